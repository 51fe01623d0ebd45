"""The session that trains: what it has to offer, what went wrong there in one line, and where it leaves files."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from synml_dagster.errors import ConfigError, SetupError, SynmlError, TrainingError
from synml_dagster.files.filesystems import filesystem_of, is_remote
from synml_dagster.spark import is_connect, is_local
from synml_dagster.spark.session import SCRATCH

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_ENABLED = "spark.connect.session.connectML.enabled"
_FIRST_ON_CONNECT = 4
_CUT_SHORT = ("stops early", "stop early")
_LONGEST = 600


def open_session_of(family: str) -> SparkSession:
    """Return the session that is open in this process, whichever thread asks.

    Raises
    ------
    ConfigError
        None is: on an executor, say.
    """
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    try:
        return SparkSession.active()
    except (PySparkException, RuntimeError) as problem:
        raise ConfigError(
            f"learner {family} trains by jobs of a Spark session, and none is open in this process. Open one with open_session(), and train where it is."
        ) from problem


def check_session(spark: SparkSession, family: str) -> None:
    """Refuse a session that cannot train models of pyspark.ml.

    Raises
    ------
    SetupError
        It is a Connect session whose server is too old, or has them turned off.
    """
    if not is_connect(spark):
        return
    version = str(spark.version)
    if int(version.partition(".")[0]) < _FIRST_ON_CONNECT:
        raise SetupError(
            f"learner {family}: the Spark Connect server runs Spark {version}, and pyspark.ml works on Connect from 4.0 on. Update the server, use classic Spark (SPARK_MASTER), or train with learner lightgbm."
        )
    try:
        enabled = spark.conf.get(_ENABLED, "true")
    except Exception:
        enabled = "true"
    if str(enabled).lower() == "false":
        raise SetupError(
            f"learner {family}: {_ENABLED} is false on the Spark Connect server, so it trains no models of pyspark.ml. Set it to true there, use classic Spark (SPARK_MASTER), or train with learner lightgbm."
        )


@contextmanager
def clear_errors(family: str) -> Iterator[None]:
    """Raise what pyspark.ml says as one line, and a model that Spark cut short as no model at all.

    Raises
    ------
    TrainingError
        Spark did not train, or stopped early because the model was larger than the server of Spark Connect lets one be.
    """
    said = _Said()
    log = logging.getLogger("pyspark.ml.util")
    log.addHandler(said)
    try:
        yield
    except SynmlError:
        raise
    except Exception as problem:
        raise TrainingError(
            f"learner {family}: pyspark.ml did not train: {_first_line(problem)}"
        ) from problem
    finally:
        log.removeHandler(said)
    for message in said.messages:
        if any(words in message for words in _CUT_SHORT):
            raise TrainingError(
                f"learner {family}: Spark stopped before the model was whole: {message.strip()} Take fewer or smaller trees, or raise spark.connect.session.connectML.mlCache.memoryControl.maxModelSize on the server."
            )


class _Said(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def _first_line(problem: BaseException) -> str:
    """Spark puts stacks of Java behind its messages, and py4j a line of its own before them."""
    text = str(problem)
    if (java := getattr(problem, "java_exception", None)) is not None:
        text = str(java.getMessage() or text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0][:_LONGEST] if lines else type(problem).__name__


@contextmanager
def scratch(spark: SparkSession, place: str | None) -> Iterator[str]:
    """Lend a path that Spark can write to and read from; what is there goes afterwards.

    Parameters
    ----------
    place
        Where executors reach it, too. Where None, a temporary folder of a local session; of a cluster what the setting
        `spark.synml.scratch` says, and else `spark.sql.warehouse.dir`, where Spark keeps tables.
    """
    name = f"_spark_ml_{uuid.uuid4().hex[:12]}"
    if place is None and is_local(spark):
        folder = tempfile.mkdtemp(prefix="synml-spark-ml-")
        try:
            yield f"{folder}/{name}"
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return
    root = (
        spark.conf.get(SCRATCH, "") or spark.conf.get("spark.sql.warehouse.dir", "") or tempfile.gettempdir()
    )
    path = f"{place}{name}" if place else f"{root.rstrip('/')}/{name}"
    try:
        yield path
    finally:
        with suppress(Exception):  # what is left is a few kilobytes under a name that no reader looks at
            _remove(path)


def _remove(path: str) -> None:
    local = path.removeprefix("file://") if path.startswith("file://") else path.removeprefix("file:")
    if is_remote(path):
        filesystem, inside = filesystem_of(path)
        filesystem.rm(inside, recursive=True)
    elif os.path.isdir(local):
        shutil.rmtree(local)
