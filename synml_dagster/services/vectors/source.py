"""The format `synml_vectors` as Spark knows formats: a source whose tasks copy rows, and whose commit writes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pyspark.sql.datasource import (
    DataSource,
    DataSourceArrowWriter,
    DataSourceStreamArrowWriter,
    WriterCommitMessage,
)

from synml_dagster.services.vectors.settings import Settings
from synml_dagster.services.vectors.staging import Staging
from synml_dagster.services.vectors.table import Table

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql.types import StructType


@dataclass
class Copied(WriterCommitMessage):
    """What a task has copied: where to, the name of its try, and its rows."""

    name: str
    task: str
    rows: int


class VectorSource(DataSource):
    """A table of PostgreSQL as a place to write to."""

    @classmethod
    def name(cls) -> str:
        """Return the format's name."""
        return "synml_vectors"

    def writer(self, schema: StructType, overwrite: bool) -> Writer:
        """Return what writes a table's rows."""
        return Writer(Staging.of(Table.found(Settings.of(self.options), schema)), overwrite)

    def streamWriter(self, schema: StructType, overwrite: bool) -> StreamWriter:  # noqa: N802
        """Return what writes a stream's batches."""
        return StreamWriter(Staging.of(Table.found(Settings.of(self.options), schema)), overwrite)


class Writer(DataSourceArrowWriter):
    """Writes the rows of a table."""

    def __init__(self, staging: Staging, overwrite: bool) -> None:
        self.staging, self.overwrite = staging, overwrite

    def write(self, iterator: Iterator[pa.RecordBatch]) -> Copied:
        """Copy the rows of a task."""
        return Copied(self.staging.name, *self.staging.put(iterator))

    def commit(self, messages: list[WriterCommitMessage | None]) -> None:
        """Write what the tasks have copied."""
        _take_over(self.staging, messages, self.overwrite)

    def abort(self, messages: list[WriterCommitMessage | None]) -> None:
        """Remove what the tasks have copied."""
        self.staging.drop()


class StreamWriter(DataSourceStreamArrowWriter):
    """Writes the batches of a stream: one that is tried again leaves what it would have left the first time."""

    def __init__(self, staging: Staging, overwrite: bool) -> None:
        self.staging, self.overwrite = staging, overwrite

    def write(self, iterator: Iterator[pa.RecordBatch]) -> Copied:
        """Copy the rows of a task."""
        return Copied(self.staging.name, *self.staging.put(iterator))

    def commit(self, messages: list[WriterCommitMessage | None], batchId: int) -> None:
        """Write what the tasks of a batch have copied."""
        _take_over(self.staging, messages, self.overwrite)

    def abort(self, messages: list[WriterCommitMessage | None], batchId: int) -> None:
        """Remove what the tasks have copied."""
        self.staging.drop()


def _take_over(staging: Staging, messages: Sequence[Any], overwrite: bool) -> None:
    told = [one for one in messages if isinstance(one, Copied)]
    # The tasks' writer need not be this one: a stream without a memory of its own in its options has a place for each.
    if names := {one.name for one in told if one.rows}:
        staging = replace(staging, name=min(names))
    staging.take_over([one.task for one in told], sum(one.rows for one in told), overwrite=overwrite)
