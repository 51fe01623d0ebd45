"""Asks a model about a table's rows, changed: each task works on its batches and sends sums home."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from synml_dagster.explain.agnostic.models import Scored
from synml_dagster.explain.effects.changed_rows import ChangedRows
from synml_dagster.explain.effects.quickest import open_rows

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

Work = Callable[[ChangedRows, "pa.RecordBatch"], Iterator[tuple[int, NDArray[np.float64]]]]
"""A batch of rows, of which a model can be asked, to pairs of a key and numbers."""


def collected(
    df: DataFrame, model: Scored, reads: Sequence[str], work: Work, also: Sequence[str] = ()
) -> list[tuple[int, NDArray[np.float64]]]:
    """Return all pairs of a key and numbers that `work` yields for the rows of `df`, whatever their order.

    Parameters
    ----------
    reads, also
        The columns that the model is given, and those that `work` needs besides.
    """
    from pyspark.sql import functions as sf

    from synml_dagster.spark.quoting import quoted
    from synml_dagster.spark.task_errors import typed_errors

    names = list(dict.fromkeys([*reads, *also]))
    given_to_model = list(reads)

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        changed = open_rows(model)
        for batch in batches:
            if not batch.num_rows:
                continue
            given = pa.RecordBatch.from_arrays(batch.columns, names=names)
            told = list(work(changed(given.select(given_to_model)), given))
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
