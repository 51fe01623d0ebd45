"""Opens Spark sessions, classic or Connect, and is the one place that knows which kind it holds.

Classic is `local[*]` inside this process or a master's address; Connect is `sc://host:port`, or `local[n]`
for a server that pyspark starts beside this process.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from synml_dagster.errors import ConfigError, SetupError
from synml_dagster.spark.class_archive import archive_options
from synml_dagster.spark.java import check_java
from synml_dagster.spark.messages import first_line
from synml_dagster.spark.worker_sockets import worker_sockets

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

# A user's own `conf` wins over each of these.
_RUNTIME_DEFAULTS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "65536",
}
# A barrier group that cannot get its slots must fail in seconds; Spark's own default is to wait 10 minutes.
_STATIC_DEFAULTS = {
    "spark.scheduler.barrier.maxConcurrentTasksCheck.interval": "1s",
    "spark.scheduler.barrier.maxConcurrentTasksCheck.maxFailures": "3",
    "spark.ui.showConsoleProgress": "false",
    # Else every operator on a column looks for the line of Python that it stands on, which takes three times as long
    # as the operator itself; wide tables take thousands of them.
    "spark.python.sql.dataFrameDebugging.enabled": "false",
}
_LOCAL_DEFAULTS = {
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.shuffle.partitions": "8",
}
# Set per query or per session at any time; every other `spark.*` key is fixed when the session's JVM starts.
_RUNTIME_PREFIXES = ("spark.sql.", "spark.connect.client.", "spark.synml.")
_STATIC_SQL = {"spark.sql.warehouse.dir", "spark.sql.extensions", "spark.sql.catalogImplementation"}


SCRATCH = "spark.synml.scratch"
"""A setting of a session: a folder that its executors and this process reach, for what lives a moment."""


class SparkSettings(BaseModel):
    """Which Spark to use and how it is configured.

    With neither `remote` nor `master`, the environment's `SPARK_REMOTE` and then `SPARK_MASTER` decide, and
    without them Spark runs inside this process as `local[*]`.

    Examples
    --------
    >>> SparkSettings(master="local[2]").target()
    ('classic', 'local[2]')
    >>> SparkSettings(remote="sc://spark:15002").target()
    ('connect', 'sc://spark:15002')
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    master: str | None = Field(
        default=None,
        description="Classic Spark's master: `local[*]`, `spark://host:7077`, `yarn`, `k8s://...`.",
    )
    remote: str | None = Field(
        default=None,
        description="Spark Connect's address: `sc://host:15002`, or `local[n]` to start a server beside this process.",
    )
    app_name: str = Field(default="synml_dagster", description="The application's name in Spark's own UI.")
    conf: dict[str, str] = Field(
        default_factory=dict,
        description="Spark configuration, key by key; wins over this package's defaults.",
    )

    def target(self) -> tuple[str, str]:
        """Return the kind of session ("classic" or "connect") and its address.

        Raises
        ------
        ConfigError
            Both a master and a remote are given.
        """
        if self.master and self.remote:
            raise ConfigError(
                f"spark: both master={self.master!r} and remote={self.remote!r} are given; keep one. `remote` is Spark Connect, `master` classic Spark."
            )
        if self.remote:
            return "connect", self.remote
        if self.master:
            return "classic", self.master
        if remote := os.environ.get("SPARK_REMOTE"):
            return "connect", remote
        return "classic", os.environ.get("SPARK_MASTER") or os.environ.get("MASTER") or "local[*]"


def open_session(settings: SparkSettings | None = None) -> SparkSession:
    """Open the session that `settings` describe, or return the one this process already holds.

    Raises
    ------
    SetupError
        Java is missing or too old, or the remote cannot be reached.
    ConfigError
        This process already holds a session of another kind or address, or one whose static settings differ.
    """
    settings = settings or SparkSettings()
    kind, address = settings.target()
    local = address.startswith("local")
    if local:
        # Workers take `python3` from PATH otherwise, which is another interpreter as soon as a venv is not activated.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
        # Spark looks the host's name up otherwise, and warns when it is the loopback address.
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    java = check_java() if kind == "classic" or local else None

    from pyspark.sql import SparkSession

    active = _active_session()
    if active is not None:
        _refuse_conflicts(active, kind, address, settings.conf)
        for key, value in settings.conf.items():
            if _is_runtime(key):
                active.conf.set(key, value)
        return active

    conf = dict(_RUNTIME_DEFAULTS)
    if local:
        conf |= _LOCAL_DEFAULTS | worker_sockets() | {"spark.driver.memory": _driver_memory()}
        quiet = f"-Dlog4j2.configurationFile={Path(__file__).with_name('log4j2.properties').as_uri()}"
        conf["spark.driver.extraJavaOptions"] = f"{quiet} {archive_options(java) if java else ''}".strip()
        # One directory a process: two local sessions in one working directory must not share a warehouse.
        conf["spark.sql.warehouse.dir"] = warehouse = tempfile.mkdtemp(prefix="synml-warehouse-")
        if settings.conf.get("spark.sql.catalogImplementation") != "hive":
            # The catalog is in this process's memory: nobody finds a table of it once it is gone.
            atexit.register(shutil.rmtree, warehouse, ignore_errors=True)
    if kind == "classic" or local:
        conf |= _STATIC_DEFAULTS
    conf |= settings.conf

    builder: Any = SparkSession.builder.appName(settings.app_name)
    builder = builder.remote(address) if kind == "connect" else builder.master(address)
    if kind == "connect" and not local:
        conf = {k: v for k, v in conf.items() if _is_runtime(k)}
    for key, value in conf.items():
        builder = builder.config(key, value)
    # pyspark reads SPARK_REMOTE and SPARK_MASTER itself and refuses a builder that says otherwise.
    hidden = {k: os.environ.pop(k) for k in ("SPARK_REMOTE", "SPARK_MASTER", "MASTER") if k in os.environ}
    try:
        with warnings.catch_warnings():
            # The server that pyspark starts for `local[n]` takes the static settings; its client then tries to set them
            # again and warns of each that it may not.
            warnings.filterwarnings("ignore", message=".*spark\\..*")
            session = builder.getOrCreate()
        if kind == "connect":
            session.version  # noqa: B018 - the first answer of the server; nothing was sent before
    except Exception as problem:
        raise SetupError(
            f"spark: no session on {address!r}: {first_line(problem).rstrip('.')}. Is it running, and can this host reach it?"
        ) from problem
    finally:
        os.environ.update(hidden)
    if not local:
        ship_code(session)
    return session


def active_session() -> SparkSession:
    """Return the session that is open, for work on files whose caller has named none.

    Raises
    ------
    ConfigError
        None is.
    """
    from pyspark.sql import SparkSession

    session = SparkSession.getActiveSession()
    if session is None:
        raise ConfigError("no Spark session is open. Open one with open_session(), or pass spark=.")
    return session


def is_connect(spark: SparkSession) -> bool:
    """Return whether `spark` is a Spark Connect session."""
    return type(spark).__module__.startswith("pyspark.sql.connect")


def is_local(spark: SparkSession) -> bool:
    """Return whether `spark` runs its tasks on this host, in processes that share its files and its Python."""
    try:
        master = spark.conf.get("spark.master", "") or ""
        return master.startswith("local[") or master == "local"
    except Exception:
        return False


def task_slots(spark: SparkSession) -> int | None:
    """Return how many tasks the session can run at the same time, or None where Spark does not say."""
    master = spark.conf.get("spark.master", "") or ""
    cpus = int(spark.conf.get("spark.task.cpus", "1") or 1)
    if found := re.fullmatch(r"local(?:\[(\*|\d+)(?:,\d+)?\])?", master):
        cores = found.group(1)
        return (1 if cores is None else os.cpu_count() or 1 if cores == "*" else int(cores)) // cpus
    if not is_connect(spark):
        context = spark.sparkContext._jsc.sc()
        return int(context.maxNumConcurrentTasks(context.resourceProfileManager().defaultResourceProfile()))
    instances = spark.conf.get("spark.executor.instances", None)
    cores = spark.conf.get("spark.executor.cores", None)
    return int(instances) * (int(cores) // cpus) if instances and cores else None


def context_of(spark: SparkSession) -> SparkContext:
    """Return the context of a classic session; Spark Connect has none and says so."""
    return spark.sparkContext


def ui_address(spark: SparkSession) -> str | None:
    """Return where Spark's UI shows the session's jobs; None where it is off, and of Connect, whose server has one of its own."""
    return None if is_connect(spark) else spark.sparkContext.uiWebUrl


@contextmanager
def job_tag(spark: SparkSession, tag: str) -> Iterator[None]:
    """Mark the jobs that this thread starts within the block, so that `stop_tagged` finds them from any thread."""
    add, remove = (spark.addTag, spark.removeTag)
    if not is_connect(spark):
        # A classic session's own tags answer only to the thread that set them; its context's answer to all.
        add, remove = (spark.sparkContext.addJobTag, spark.sparkContext.removeJobTag)
    add(tag)
    try:
        yield
    finally:
        remove(tag)


def stop_tagged(spark: SparkSession, tag: str) -> None:
    """Stop the jobs that were started under `job_tag`; the thread that waits for them gets an error."""
    if is_connect(spark):
        spark.interruptTag(tag)
    else:
        spark.sparkContext.cancelJobsWithTag(tag)


def leave_call(spark: SparkSession) -> None:
    """Give this thread a fresh line to Spark, from a signal handler that is about to raise out of a call.

    A classic session's thread talks to the JVM over one line, question and answer in turn. After an exception in the
    middle, the next question, which can be pyspark's own on the way out, would wait for or take the old answer.
    """
    if not is_connect(spark):
        gateway = spark.sparkContext._gateway
        assert gateway is not None  # the session is open
        gateway._gateway_client.thread_connection.connection = None


def ship_code(spark: SparkSession) -> None:
    """Send this package's source to the executors, which need the locked wheels but not this package."""
    package = Path(__file__).resolve().parent.parent
    # Executors of a classic session fetch the archive when their first task comes, so it has to stay.
    folder = tempfile.mkdtemp(prefix="synml-ship-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    archive = Path(folder) / "synml_dagster.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for file in sorted(package.rglob("*.py")):
            out.write(file, Path(package.name) / file.relative_to(package))
    spark.addArtifacts(str(archive), pyfile=True)


def _active_session() -> SparkSession | None:
    from pyspark.sql import SparkSession

    session = SparkSession.getActiveSession()
    if session is None:
        return None
    try:
        session.conf.get("spark.app.name", "")  # a stopped session does not answer
    except Exception:
        return None
    return session


def _refuse_conflicts(active: SparkSession, kind: str, address: str, conf: dict[str, str]) -> None:
    has = "connect" if is_connect(active) else "classic"
    if has != kind:
        raise ConfigError(
            f"spark: this process already holds a {has} session, so {address!r} ({kind}) cannot be opened in it. Stop the first session, or run this step in a process of its own."
        )
    if kind == "classic" and (now := active.conf.get("spark.master", "")) != address:
        raise ConfigError(
            f"spark: this process already holds a session on {now!r}, so {address!r} cannot be opened in it. Stop the first session, or run this step in a process of its own."
        )
    for key, value in conf.items():
        if not _is_runtime(key) and active.conf.get(key, None) != value:
            raise ConfigError(
                f"spark: {key} is {active.conf.get(key, None)!r} in the session that this process already holds and cannot be changed to {value!r}: it is fixed when Spark starts. Stop the session first, or give every resource of this process the same value."
            )


def _is_runtime(key: str) -> bool:
    return key.startswith(_RUNTIME_PREFIXES) and key not in _STATIC_SQL


def _driver_memory() -> str:
    """A quarter of the host's memory, from 1 to 8 GiB: in local mode the driver is the only JVM."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return "2g"
    return f"{min(8, max(1, total // 2**32))}g"
