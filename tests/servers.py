"""Real servers that tests start and stop on free ports of this host: Spark Connect, PostgreSQL, MariaDB, MLflow."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from synml_dagster.spark.class_archive import archive_options
from synml_dagster.spark.java import check_java


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
        if archive := archive_options(check_java()):
            command += ["--driver-java-options", archive]
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


@contextmanager
def server_process(log: Path, command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen]:
    """Run a server until the block is left."""
    with log.open("wb") as out:
        started = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True, **options)
    try:
        yield started
    finally:
        for sign in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(started.pid, sign)
                started.wait(20)
                break
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue


@contextmanager
def mlflow_server(folder: Path, port: int | None = None) -> Iterator[str]:
    """Run MLflow's server on a SQLite file and artifacts in `folder`, which outlast it, and yield its address; `server.pid` is its group."""
    port, log = port or free_port(), folder / "server.log"
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "2",
        "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "artifacts"),
    ]  # fmt: skip
    quiet = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    with server_process(log, command, cwd=folder, env=quiet) as started:
        (folder / "server.pid").write_text(str(started.pid))
        wait_for_port(port, started, 120, log)
        yield f"http://127.0.0.1:{port}"


@contextmanager
def postgres_server(port: int, user: str, password: str) -> Iterator[Callable[..., None]]:
    """Run a PostgreSQL of its own and yield what runs its `psql` as `user`, who may do everything.

    Skips the test where PostgreSQL is not installed.
    """
    found = shutil.which("initdb") or next(
        iter(sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")))), ""
    )
    if not found:
        pytest.skip("PostgreSQL is not installed")
    binaries = Path(os.path.realpath(found)).parent
    # PostgreSQL refuses to run as root.
    who: dict[str, Any] = (
        {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
    )
    folder = Path(tempfile.mkdtemp(prefix="synml-postgres-"))

    def run(*command: object, **options: Any) -> None:
        done = subprocess.run(
            [str(c) for c in command],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            **options,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"

    try:
        (folder / "password").write_text(password)
        if who:
            for path in (folder, folder / "password"):
                shutil.chown(path, "postgres", "postgres")
        run(
            binaries / "initdb", "--pgdata", folder / "data", "--username", user, "--auth", "scram-sha-256",
            "--pwfile", folder / "password", "--no-sync", **who,
        )  # fmt: skip
        command = [
            str(binaries / "postgres"), "-D", str(folder / "data"), "-p", str(port), "-h", "127.0.0.1", "-k", str(folder),
        ]  # fmt: skip
        log = folder / "server.log"
        with server_process(log, command, cwd=folder, **who) as server:
            wait_for_port(port, server, 60, log)
            ready = [str(binaries / "pg_isready"), "--host=127.0.0.1", f"--port={port}", "--timeout=60"]
            end = time.monotonic() + 60
            # It listens before it has recovered, and refuses who comes then.
            while (
                subprocess.run(ready, capture_output=True, check=False).returncode and time.monotonic() < end
            ):
                time.sleep(0.1)

            def psql(*arguments: str) -> None:
                sql = [
                    binaries / "psql",
                    "--host=127.0.0.1",
                    f"--port={port}",
                    f"--username={user}",
                    "--quiet",
                ]
                run(*sql, *arguments, env=os.environ | {"PGPASSWORD": password})

            yield psql
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def mariadb_server(port: int, user: str, password: str) -> Iterator[Callable[[str], None]]:
    """Run a MariaDB of its own for `user`, who may do everything, and yield what has it execute a statement as another user.

    Its clock is not UTC, as servers' often are not. Skips the test where MariaDB is not installed.
    """
    found = shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin")
    if not found or not shutil.which("mariadb-install-db"):
        pytest.skip("MariaDB is not installed")
    pymysql = pytest.importorskip("pymysql", reason="pymysql is not installed")
    folder = Path(tempfile.mkdtemp(prefix="synml-mariadb-"))
    name = getpass.getuser()
    try:
        made = subprocess.run(
            ["mariadb-install-db", "--no-defaults", f"--datadir={folder}/data", f"--user={name}",
             "--auth-root-authentication-method=normal", "--skip-test-db"],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert made.returncode == 0, made.stdout[-3000:] + made.stderr[-3000:]
        quoted = password.replace("\\", "\\\\").replace("'", "''")
        (folder / "users.sql").write_text(
            "".join(
                f"CREATE USER '{who}'@'127.0.0.1' IDENTIFIED BY '{quoted}';\nGRANT ALL ON *.* TO '{who}'@'127.0.0.1';\n"
                for who in (user, "keeper")
            )
        )
        log = folder / "server.log"
        command = [
            found, "--no-defaults", f"--datadir={folder}/data", f"--user={name}", f"--port={port}", "--bind-address=127.0.0.1",
            f"--socket={folder}/socket", f"--init-file={folder}/users.sql", "--default-time-zone=+05:30", "--skip-name-resolve",
            "--innodb-fast-shutdown=3",
        ]  # fmt: skip
        with server_process(log, command, cwd=folder) as server:
            wait_for_port(port, server, 60, log)

            def execute(statement: str) -> None:
                with closing(
                    pymysql.connect(host="127.0.0.1", port=port, user="keeper", password=password)
                ) as connection:
                    connection.cursor().execute(statement)

            yield execute
    finally:
        shutil.rmtree(folder, ignore_errors=True)
