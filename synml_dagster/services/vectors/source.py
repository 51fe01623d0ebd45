"""The format `synml_vectors` as Spark knows formats: a place to write to, which the address says what it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyspark.sql.datasource import (
    DataSource,
    DataSourceArrowWriter,
    DataSourceStreamArrowWriter,
    WriterCommitMessage,
)

from synml_dagster.errors import ConfigError
from synml_dagster.services.vectors.qdrant.collection import Collection
from synml_dagster.services.vectors.qdrant.settings import QdrantSettings
from synml_dagster.services.vectors.qdrant.writing import PointStreamWriter, PointWriter
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
    """A table of PostgreSQL, or a collection of Qdrant, as a place to write to."""

    @classmethod
    def name(cls) -> str:
        """Return the format's name."""
        return "synml_vectors"

    def writer(self, schema: StructType, overwrite: bool) -> DataSourceArrowWriter:
        """Return what writes a table's rows."""
        if self._is_qdrant:
            return PointWriter(Collection.found(QdrantSettings.of(self.options), schema), overwrite)
        return Writer(Staging.of(Table.found(Settings.of(self.options), schema)), overwrite)

    def streamWriter(self, schema: StructType, overwrite: bool) -> DataSourceStreamArrowWriter:  # noqa: N802
        """Return what writes a stream's batches."""
        if self._is_qdrant:
            if overwrite:
                raise ConfigError(
                    "vectors: a stream in outputMode complete writes its whole table with each batch; Qdrant takes append and update"
                )
            return PointStreamWriter(Collection.found(QdrantSettings.of(self.options), schema))
        return StreamWriter(Staging.of(Table.found(Settings.of(self.options), schema)), overwrite)

    @property
    def _is_qdrant(self) -> bool:
        return str(self.options.get("url", "")).strip().lower().startswith(("http://", "https://"))


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


def _take_over(staging: Staging, messages: Sequence[WriterCommitMessage | None], overwrite: bool) -> None:
    told = [one for one in messages if isinstance(one, Copied)]
    # The tasks' writer need not be this one: a stream without a memory of its own in its options has a place for each.
    if names := {one.name for one in told if one.rows}:
        staging = replace(staging, name=min(names))
    staging.take_over([one.task for one in told], sum(one.rows for one in told), overwrite=overwrite)
