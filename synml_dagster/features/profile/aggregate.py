"""Runs a summary over a table in one Spark job: every task summarises its rows, one task merges what they send.

A summary's module imports numpy and pyarrow alone, because executors import it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol, TypeVar

from synml_dagster.spark.task_errors import typed_errors

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame


class Summary(Protocol):
    """What is built batch by batch, sent as pieces of bytes, and merged in any order."""

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in a batch of rows."""

    def merge(self, piece: bytes) -> None:
        """Take in a piece that another summary has sent."""

    def pieces(self) -> Iterator[bytes]:
        """Send this summary, in pieces of a few megabytes."""


S = TypeVar("S", bound=Summary)


def summarise(
    frame: DataFrame,
    make: Callable[[], S],
    told: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]] | None = None,
) -> S:
    """Return the summary of all rows of `frame`, whatever its partitions are: one Spark job of two stages.

    The driver gets one merged summary however many partitions there are. `make` is sent to the executors, and so is
    `told`, which makes the batches to summarise of those of the frame where they are not the same.
    """

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        summary = make()
        for batch in batches if told is None else told(batches):
            summary.add(batch)
        yield from _send(summary)

    def merge(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        summary = make()
        for batch in batches:
            for piece in batch.column(0):
                summary.merge(piece.as_py())
        yield from _send(summary)

    schema = "piece binary"
    with typed_errors():
        rows = frame.mapInArrow(read, schema).repartition(1).mapInArrow(merge, schema).collect()
    whole = make()
    for row in rows:
        whole.merge(bytes(row[0]))
    return whole


def _send(summary: Summary) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    for piece in summary.pieces():
        yield pa.RecordBatch.from_arrays([pa.array([piece], pa.binary())], ["piece"])
