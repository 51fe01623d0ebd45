"""Real servers that tests start and stop: Spark Connect on a free port of this host."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path


def free_port() -> int:
    with closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for_port(port: int, process: subprocess.Popen, seconds: float, log: Path) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}:\n{log.read_text()[-3000:]}")
        with closing(socket.socket()) as s:
            s.settimeout(1)
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise TimeoutError(f"nothing listened on port {port} after {seconds} s:\n{log.read_text()[-3000:]}")


@contextmanager
def connect_server(
    cores: int = 2, packages: Sequence[str] = (), more: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Start a Spark Connect server from the pip-installed pyspark and yield its `sc://` address.

    `packages` are Maven coordinates, which Spark fetches; `more` is configuration beside this function's own.
    """
    import pyspark

    home = Path(pyspark.__file__).parent
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="synml-connect-") as folder:
        log = Path(folder) / "server.log"
        conf = {
            "spark.connect.grpc.binding.address": "127.0.0.1",
            "spark.connect.grpc.binding.port": str(port),
            "spark.ui.enabled": "false",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.sql.shuffle.partitions": "8",
            "spark.sql.session.timeZone": "UTC",
            "spark.sql.warehouse.dir": str(Path(folder) / "warehouse"),
            "spark.scheduler.barrier.maxConcurrentTasksCheck.interval": "1s",
            "spark.scheduler.barrier.maxConcurrentTasksCheck.maxFailures": "3",
            **(more or {}),
        }
        command = [str(home / "bin" / "spark-submit"), "--master", f"local[{cores}]", "--driver-memory", "2g"]
        if packages:
            command += ["--packages", ",".join(packages)]
        for key, value in conf.items():
            command += ["--conf", f"{key}={value}"]
        command += ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"]
        environment = {
            k: v for k, v in os.environ.items() if k not in ("SPARK_REMOTE", "SPARK_MASTER", "MASTER")
        }
        environment |= {"PYSPARK_PYTHON": sys.executable, "SPARK_HOME": str(home)}
        with log.open("wb") as out:
            process = subprocess.Popen(
                command, stdout=out, stderr=out, env=environment, cwd=folder, start_new_session=True
            )
        try:
            wait_for_port(port, process, 300 if packages else 90, log)
            yield f"sc://127.0.0.1:{port}"
        finally:
            try:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(20)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                os.killpg(process.pid, signal.SIGKILL)
