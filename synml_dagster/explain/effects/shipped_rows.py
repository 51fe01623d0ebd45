"""Rows that every task gets whole: within its function, or as a file where they are many."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from synml_dagster.errors import SetupError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

_EMBEDDED = 8 << 20
"""Bytes that travel inside the task's function."""


@dataclass(frozen=True)
class ShippedRows:
    """A batch on its way to tasks: itself, a file that they reach, or one that Spark has sent along."""

    batch: pa.RecordBatch | None = None
    path: str | None = None
    artifact: str | None = None

    def open(self) -> pa.RecordBatch:
        """Return the rows; those of a file are mapped into memory, once for all tasks of a host.

        Raises
        ------
        SetupError
            The file did not reach this executor.
        """
        import pyarrow as pa

        if self.batch is not None:
            return self.batch
        path = self.path
        if path is None:
            from pyspark import SparkFiles

            assert self.artifact is not None
            path = SparkFiles.get(self.artifact)
        if not Path(path).is_file():
            raise SetupError(
                f"The rows {Path(path).name!r} did not reach this executor; see Spark's log for its artifacts."
            )
        return pa.ipc.open_file(pa.memory_map(path)).read_all().combine_chunks().to_batches()[0]


@contextmanager
def shipped(spark: SparkSession, batch: pa.RecordBatch, embedded: int = _EMBEDDED) -> Iterator[ShippedRows]:
    """Send rows to tasks for the time of a `with`."""
    import pyarrow as pa

    from synml_dagster.spark import is_connect, is_local

    if batch.nbytes <= embedded:
        yield ShippedRows(batch=batch)
        return
    with tempfile.TemporaryDirectory(prefix="synml-rows-") as folder:
        path = Path(folder) / f"synml-rows-{uuid4().hex}.arrow"
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
            writer.write_batch(batch)
        if is_local(spark) and not is_connect(spark):
            yield ShippedRows(path=str(path))
            return
        spark.addArtifacts(str(path), file=True)
        yield ShippedRows(artifact=path.name)
