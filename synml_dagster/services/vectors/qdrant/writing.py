"""How Spark writes points: tasks send them, and the commit looks for rows that were one point, and removes what is no more."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql.datasource import DataSourceArrowWriter, DataSourceStreamArrowWriter, WriterCommitMessage

from synml_dagster.errors import DataError
from synml_dagster.services.vectors.qdrant.collection import Collection

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql.datasource import WriterCommitMessage


@dataclass
class Sent(WriterCommitMessage):
    """What a task has sent: for each point the first 8 bytes of its id, and 8 of what it is."""

    points: bytes


class PointWriter(DataSourceArrowWriter):
    """Writes the rows of a table."""

    def __init__(self, collection: Collection, overwrite: bool) -> None:
        self.collection = collection
        self.mark = uuid.uuid4().hex if overwrite else None

    def write(self, iterator: Iterator[pa.RecordBatch]) -> Sent:
        """Send the rows of a task."""
        return _sent(self.collection, iterator, self.mark)

    def commit(self, messages: list[WriterCommitMessage | None]) -> None:
        """Remove the points of other writes, where this one is to leave its own alone."""
        _check_apart(self.collection, messages)
        if self.mark is not None:
            self.collection.remove_others(self.mark)

    def abort(self, messages: list[WriterCommitMessage | None]) -> None:
        """Leave what was sent: the next write changes or keeps it."""


class PointStreamWriter(DataSourceStreamArrowWriter):
    """Writes the batches of a stream: one that is tried again leaves what it would have left the first time."""

    def __init__(self, collection: Collection) -> None:
        self.collection = collection

    def write(self, iterator: Iterator[pa.RecordBatch]) -> Sent:
        """Send the rows of a task."""
        return _sent(self.collection, iterator, None)

    def commit(self, messages: list[WriterCommitMessage | None], batchId: int) -> None:
        """Look for rows that were one point."""
        _check_apart(self.collection, messages)

    def abort(self, messages: list[WriterCommitMessage | None], batchId: int) -> None:
        """Leave what was sent: the batch is tried again."""


def _sent(collection: Collection, batches: Iterator[pa.RecordBatch], mark: str | None) -> Sent:
    made = collection.put(batches, mark)
    return Sent(b"".join(one.id.bytes[:8] + one.digest for one in made))


def _check_apart(collection: Collection, messages: Sequence[WriterCommitMessage | None]) -> None:
    """Refuse different rows of one key: which of them came last was chance."""
    told = b"".join(one.points for one in messages if isinstance(one, Sent))
    found = np.frombuffer(told, dtype=[("id", "<u8"), ("digest", "<u8")])
    once = np.unique(found)
    twice = len(once) - len(np.unique(once["id"]))
    if twice:
        key = ", ".join(collection.settings.key)
        raise DataError(
            f"vectors: {twice} rows have the key ({key}) of another row and differ from it; {collection.settings.place} now holds one of each, and which one is chance. "
            "Leave one row of each key, and write again."
        )
