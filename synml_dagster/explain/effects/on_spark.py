"""Asks a model about a table's rows, changed: each task works on its batches and sends sums home."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import DataError
from synml_dagster.explain.agnostic.models import Scored

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

Work = Callable[
    [Callable[[Any], NDArray[np.float64]], "pa.RecordBatch"], Iterator[tuple[int, NDArray[np.float64]]]
]
"""The opened model and a batch of rows, to pairs of a key and numbers."""


def collected(
    df: DataFrame, model: Scored, reads: Sequence[str], work: Work
) -> list[tuple[int, NDArray[np.float64]]]:
    """Return all pairs of a key and numbers that `work` yields for the rows of `df`, whatever their order."""
    from pyspark.sql import functions as sf

    from synml_dagster.spark.quoting import quoted
    from synml_dagster.spark.task_errors import typed_errors

    names = list(reads)

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        scores = model.open()
        for batch in batches:
            if not batch.num_rows:
                continue
            given = pa.RecordBatch.from_arrays(batch.columns, names=names)
            told = list(work(scores, given))
            keys = pa.array([key for key, _ in told], pa.int32())
            numbers = pa.array([numbers.tolist() for _, numbers in told], pa.list_(pa.float64()))
            yield pa.RecordBatch.from_arrays([keys, numbers], names=["key", "numbers"])

    narrow = df.select(*(sf.col(quoted(name)).alias(f"c{i}") for i, name in enumerate(names)))
    with typed_errors():
        found = narrow.mapInArrow(run, "key int, numbers array<double>").toArrow().combine_chunks()
    if not found.num_rows:
        return []
    lists = found.column("numbers").chunk(0)
    flat, ends = lists.flatten().to_numpy(), lists.offsets.to_numpy()
    ends = ends - ends[0]
    keys = found.column("key").to_pylist()
    return [(key, flat[a:b]) for key, a, b in zip(keys, ends, ends[1:], strict=False)]


def summed(pairs: Sequence[tuple[int, NDArray[np.float64]]]) -> dict[int, NDArray[np.float64]]:
    """Return the sums of the numbers by key."""
    found: dict[int, NDArray[np.float64]] = {}
    for key, numbers in pairs:
        found[key] = found[key] + numbers if key in found else numbers.copy()
    return found


def with_column(batch: pa.RecordBatch, name: str, values: Any) -> pa.RecordBatch:
    """Return a batch with another array, or one value for all rows, in the place of a column."""
    import pyarrow as pa

    place = batch.schema.get_field_index(name)
    if isinstance(values, pa.Scalar):
        values = pa.repeat(values, batch.num_rows)
    columns = [values if i == place else column for i, column in enumerate(batch.columns)]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def answers(scores: Callable[[Any], NDArray[np.float64]], batch: pa.RecordBatch) -> NDArray[np.float64]:
    """Return a model's answers, float64 [rows, outputs].

    Raises
    ------
    DataError
        Some are missing or infinite, of which no mean can be told.
    """
    found = np.asarray(scores(batch), dtype=np.float64).reshape(batch.num_rows, -1)
    if not np.isfinite(found).all():
        bad = int((~np.isfinite(found).all(axis=1)).sum())
        raise DataError(
            f"The model answered a number that is missing or infinite for {bad} of {batch.num_rows} rows, and no effect can be told of it."
        )
    return found
