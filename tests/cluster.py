"""A real standalone Spark cluster of several worker processes on this host, from the pip-installed pyspark."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyspark

from tests.servers import free_port, wait_for_port

_HOME = Path(pyspark.__file__).parent
# A barrier group that cannot get its slots must say so in seconds, and a lost executor must be noticed in seconds.
CONF = {
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.shuffle.partitions": "4",
    "spark.sql.session.timeZone": "UTC",
    "spark.executor.memory": "512m",
    "spark.scheduler.barrier.maxConcurrentTasksCheck.interval": "1s",
    "spark.scheduler.barrier.maxConcurrentTasksCheck.maxFailures": "10",
    "spark.network.timeout": "30s",
    "spark.network.timeoutInterval": "10s",
    "spark.executor.heartbeatInterval": "5s",
}


@dataclass
class Cluster:
    """A running standalone cluster.

    Attributes
    ----------
    master : str
        Its `spark://` address.
    workers : list
        The worker processes; each holds one executor of an application.
    """

    master: str
    folder: Path
    workers: list[subprocess.Popen] = field(default_factory=list)

    def start_connect_server(self) -> tuple[str, subprocess.Popen]:
        """Start a Spark Connect server on this cluster; the caller stops it with `stop`."""
        port = free_port()
        conf = CONF | {
            "spark.connect.grpc.binding.address": "127.0.0.1",
            "spark.connect.grpc.binding.port": str(port),
            "spark.sql.warehouse.dir": str(self.folder / "warehouse"),
        }
        command = [str(_HOME / "bin" / "spark-submit"), "--master", self.master, "--driver-memory", "1g"]
        for key, value in conf.items():
            command += ["--conf", f"{key}={value}"]
        command += ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"]
        log = self.folder / f"connect-{port}.log"
        process = _start(command, log, self.folder)
        wait_for_port(port, process, 120, log)
        return f"sc://127.0.0.1:{port}", process


def stop(process: subprocess.Popen, seconds: float = 20) -> None:
    """End a process and its children."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
            process.wait(seconds)
            return
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


@contextmanager
def standalone_cluster(workers: int = 2, cores: int = 1) -> Iterator[Cluster]:
    """Start a master and `workers` workers of `cores` cores each; everything is ended and removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="synml-cluster-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        port = free_port()
        started: list[subprocess.Popen] = []
        try:
            log = folder / "master.log"
            head = "org.apache.spark.deploy.master.Master"
            command = [
                str(_HOME / "bin" / "spark-class"),
                head,
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
                "--webui-port",
                "0",
            ]
            started.append(_start(command, log, folder))
            wait_for_port(port, started[0], 60, log)
            cluster = Cluster(f"spark://127.0.0.1:{port}", folder)
            for i in range(workers):
                command = [str(_HOME / "bin" / "spark-class"), "org.apache.spark.deploy.worker.Worker"]
                command += [
                    "--host",
                    "127.0.0.1",
                    "--webui-port",
                    "0",
                    "--cores",
                    str(cores),
                    "--memory",
                    "1g",
                ]
                command += ["--work-dir", str(folder / f"work-{i}"), cluster.master]
                cluster.workers.append(_start(command, folder / f"worker-{i}.log", folder))
                started.append(cluster.workers[-1])
            _wait_for_workers(log, workers, 90)
            yield cluster
        finally:
            for process in reversed(started):
                stop(process)


def _wait_for_workers(log: Path, workers: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    while log.read_text().count("Registering worker") < workers:
        if time.monotonic() > end:
            raise TimeoutError(f"the workers did not register:\n{log.read_text()[-2000:]}")
        time.sleep(0.2)


def _start(command: list[str], log: Path, folder: Path) -> subprocess.Popen:
    environment = {k: v for k, v in os.environ.items() if k not in ("SPARK_REMOTE", "SPARK_MASTER", "MASTER")}
    environment |= {"PYSPARK_PYTHON": sys.executable, "SPARK_HOME": str(_HOME), "SPARK_LOCAL_IP": "127.0.0.1"}
    with log.open("wb") as out:
        return subprocess.Popen(
            command, stdout=out, stderr=out, env=environment, cwd=folder, start_new_session=True
        )
