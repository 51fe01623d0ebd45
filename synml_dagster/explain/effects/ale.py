"""Accumulated local effects (Apley and Zhu 2020): what a number does to the answers, without asking about rows that there are none of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ConfigError, DataError
from synml_dagster.explain.agnostic.models import Takes, needed, scored
from synml_dagster.explain.effects.grid import check_columns, edges_of
from synml_dagster.explain.effects.on_spark import answers, collected, summed, with_column

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pyspark.sql import DataFrame


@dataclass(frozen=True, eq=False)
class AccumulatedEffect:
    """The effect of one column of numbers, in the unit of the answers, 0 on average over the rows.

    Attributes
    ----------
    column
        The column.
    edges
        float64 [bins + 1], where the effect is known.
    effect
        float64 [bins + 1, outputs].
    rows
        int64 [bins], rows in each bin; missing values are in none.
    """

    column: str
    edges: NDArray[np.float64]
    effect: NDArray[np.float64]
    rows: NDArray[np.int64]

    def to_pandas(self) -> pd.DataFrame:
        """Return one line per edge and output: the column, output, effect."""
        import pandas as pd

        lines = [
            {self.column: edge, "output": output, "effect": self.effect[i, output]}
            for i, edge in enumerate(self.edges)
            for output in range(self.effect.shape[1])
        ]
        return pd.DataFrame(lines)

    def __repr__(self) -> str:
        reach = float(np.ptp(self.effect[:, 0]))
        return f"AccumulatedEffect({self.column}: {len(self.rows)} bins over {int(self.rows.sum()):,} rows, spans {reach:.4g})"


def accumulated_local_effects(
    df: DataFrame,
    model: Any,
    features: Sequence[str],
    *,
    bins: int = 20,
    output: str | None = None,
    takes: Takes = "arrow",
) -> list[AccumulatedEffect]:
    """Return the accumulated local effects of columns of numbers, over all rows; two answers a row and column.

    Each row is asked at both edges of the bin that it is in; the mean differences of the bins are added up, and centred.
    Where columns go together this is what one of them does by itself, which partial dependence is not.

    Parameters
    ----------
    df, model, features, output, takes
        As for `partial_dependence`.
    bins
        Bins at most, of about equal rows.

    Raises
    ------
    ConfigError
        The model is given no such column, or it holds no numbers.
    DataError
        The table is empty, or a column has one value only.
    """
    if bins < 1:
        raise ConfigError(f"bins must be at least 1 but got {bins}.")
    opened = scored(model, output=output, takes=takes, spark=df.sparkSession)
    reads = needed(opened, df.columns)
    check_columns(features, reads, "features")
    edges = edges_of(df, features, bins)
    found = summed(collected(df, opened, reads, _Differences(edges)))
    made = []
    for number, name in enumerate(features):
        if number not in found:
            raise DataError(f"Column {name!r} has no numbers.")
        sums = found[number].reshape(len(edges[name]) - 1, -1)
        rows, total = sums[:, 0].astype(np.int64), sums[:, 1:]
        step = total / np.maximum(rows, 1)[:, None]
        along = np.concatenate([np.zeros((1, step.shape[1])), np.cumsum(step, 0)])
        middle = (along[1:] + along[:-1]) / 2
        mean = (rows[:, None] * middle).sum(0) / max(rows.sum(), 1)
        made.append(AccumulatedEffect(name, edges[name], along - mean, rows))
    return made


class _Differences:
    """The work of a task: by bin, the rows, and the sum of the answers at its upper edge less those at its lower."""

    def __init__(self, edges: Mapping[str, NDArray[np.float64]]) -> None:
        self._edges = edges

    def __call__(
        self, scores: Callable[[Any], NDArray[np.float64]], batch: pa.RecordBatch
    ) -> Iterator[tuple[int, NDArray[np.float64]]]:
        import pyarrow as pa

        for number, (name, edges) in enumerate(self._edges.items()):
            column = batch.column(name)
            values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
            there = np.flatnonzero(np.isfinite(values))
            if not len(there):
                continue
            known = batch.take(pa.array(there))
            # A bin holds its upper edge; the first its lower one too, and values beyond the ends count to the outer bins.
            bins = len(edges) - 1
            place = np.clip(np.searchsorted(edges, values[there], side="left") - 1, 0, bins - 1)
            low, high = (
                answers(scores, with_column(known, name, pa.array(edges[place + side]).cast(column.type)))
                for side in (0, 1)
            )
            rows = np.bincount(place, minlength=bins)
            steps = [np.bincount(place, (high - low)[:, j], minlength=bins) for j in range(low.shape[1])]
            yield number, np.column_stack([rows, *steps]).reshape(-1)
