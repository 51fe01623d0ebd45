"""Keys on their way to the workers: by name where workers have the variable, else in two halves that are nothing alone.

A worker that has the variable takes it from there, and nothing is sent. Where workers lack it and the driver has it, the value is
added bit by bit to as many random bytes (a one-time pad). The sum travels as a file, the random bytes in the task's function: a
plan, an event log or an artifact that somebody gets hold of holds random bytes and no key.
"""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from synml_dagster.errors import ConfigError, SetupError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

    from synml_dagster.services.description import Key


@dataclass(frozen=True)
class SecretReference:
    """How a worker finds a key."""

    env: str
    pad: bytes | None = field(default=None, repr=False)
    path: str | None = None
    artifact: str | None = None

    def resolve(self) -> str:
        """Return the key.

        Raises
        ------
        SetupError
            The worker has neither the variable nor the other half.
        """
        if self.pad is None:
            return checked(os.environ.get(self.env, ""), self.env)
        path = self.path
        if self.artifact is not None:
            from pyspark import SparkFiles

            path = SparkFiles.get(self.artifact)
        try:
            half = Path(path or "").read_bytes()
        except OSError as problem:
            raise SetupError(
                f"key: {self.env} did not reach this worker; set the variable where Spark's workers run"
            ) from problem
        return checked(_added(half, self.pad).decode(), self.env)


def key_here(key: Key | None) -> str | None:
    """Return the value of a key that this process itself sends, None where there is no key.

    Raises
    ------
    ConfigError
        The variable is not set here.
    """
    if key is None:
        return None
    if not os.environ.get(key.env, "").strip():
        raise ConfigError(f"key: the environment variable {key.env} is not set in this process")
    return checked(os.environ[key.env], key.env)


@contextmanager
def sent_key(spark: SparkSession, key: Key | None, tasks: int) -> Iterator[SecretReference | None]:
    """Lend how workers find `key`; what was laid down for it on this host goes with the block.

    Raises
    ------
    ConfigError
        Neither the workers nor this process have the variable.
    """
    from synml_dagster.spark import is_connect, is_local

    if key is None:
        yield None
        return
    here = os.environ.get(key.env, "").strip()
    own_workers = is_local(spark) and not is_connect(spark)
    if not own_workers and _workers_have(spark, key.env, tasks):
        yield SecretReference(key.env)
        return
    if not here:
        where = "this process" if own_workers else "Spark's workers and this process"
        raise ConfigError(
            f"key: the environment variable {key.env} is not set in {where}. Set it before the session starts."
        )
    checked(here, key.env)
    pad = secrets.token_bytes(len(here.encode()))
    folder = Path(tempfile.mkdtemp(prefix="synml-key-"))
    try:
        half = folder / f"synml-{uuid.uuid4().hex}"
        half.touch(mode=0o600)
        half.write_bytes(_added(here.encode(), pad))
        if own_workers:
            yield SecretReference(key.env, pad, path=str(half))
        else:
            # Classic executors fetch the file when their first task comes.
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            spark.addArtifacts(str(half), file=True)
            yield SecretReference(key.env, pad, artifact=half.name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def checked(value: str, env: str) -> str:
    """Return a key without the blanks around it.

    Raises
    ------
    ConfigError
        It is none: empty, or with what no header can hold.
    """
    value = value.strip()
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise ConfigError(
            f"key: the environment variable {env} holds no key: it is empty, or has blanks or line breaks inside"
        )
    return value


def _workers_have(spark: SparkSession, env: str, tasks: int) -> bool:
    found = spark.range(0, tasks, 1, tasks).mapInArrow(_Probe(env), "found boolean").collect()
    return all(row.found for row in found)


@dataclass(frozen=True)
class _Probe:
    """Says whether the worker has a variable, and not what it is."""

    env: str

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for _ in batches:
            pass
        yield pa.RecordBatch.from_pydict({"found": [bool(os.environ.get(self.env, "").strip())]})


def _added(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
