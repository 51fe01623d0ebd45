"""Accumulated local effects (Apley and Zhu 2020): what a number does to the answers, without asking about rows that there are none of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ConfigError, DataError
from synml_dagster.explain.agnostic.models import Takes, needed, scored
from synml_dagster.explain.effects.changed_rows import ChangedRows
from synml_dagster.explain.effects.grid import check_columns, edges_of
from synml_dagster.explain.effects.on_spark import collected, summed
from synml_dagster.explain.effects.weights import check_weight, row_weights

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
    weight: str | None = None,
    output: str | None = None,
    takes: Takes = "arrow",
) -> list[AccumulatedEffect]:
    """Return the accumulated local effects of columns of numbers, over all rows; two answers a row and column.

    Each row is asked at both edges of the bin that it is in; the mean differences of the bins are added up, and centred.
    Where columns go together this is what one of them does by itself, which partial dependence is not.

    Parameters
    ----------
    df, model, features, weight, output, takes
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
    check_weight(df, weight)
    opened = scored(model, output=output, takes=takes, spark=df.sparkSession)
    reads = [c for c in needed(opened, df.columns) if c != weight or opened.columns is not None]
    check_columns(features, reads, "features")
    edges = edges_of(df, features, bins)
    found = summed(collected(df, opened, reads, _Differences(edges, weight), [weight] if weight else []))
    made = []
    for number, name in enumerate(features):
        if number not in found:
            raise DataError(f"Column {name!r} has no numbers.")
        sums = found[number].reshape(len(edges[name]) - 1, -1)
        rows, weights, total = sums[:, 0].astype(np.int64), sums[:, 1], sums[:, 2:]
        if not weights.sum() > 0:
            raise DataError(f"Column {weight!r} weighs no row with a number in {name!r} more than 0.")
        step = total / np.where(weights > 0, weights, 1.0)[:, None]
        along = np.concatenate([np.zeros((1, step.shape[1])), np.cumsum(step, 0)])
        middle = (along[1:] + along[:-1]) / 2
        mean = (weights[:, None] * middle).sum(0) / weights.sum()
        made.append(AccumulatedEffect(name, edges[name], along - mean, rows))
    return made


class _Differences:
    """The work of a task: by bin, the rows, their weight, and the sum of the answers at its upper edge less those at its lower."""

    def __init__(self, edges: Mapping[str, NDArray[np.float64]], weight: str | None) -> None:
        self._edges, self._weight = edges, weight

    def __call__(self, rows: ChangedRows, batch: pa.RecordBatch) -> Iterator[tuple[int, NDArray[np.float64]]]:
        import pyarrow as pa

        weights = row_weights(batch, self._weight)
        for number, (name, edges) in enumerate(self._edges.items()):
            column = batch.column(name)
            values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
            known = np.isfinite(values)
            if not known.any():
                continue
            # A bin holds its upper edge; the first its lower one too, and values beyond the ends count to the outer bins.
            bins = len(edges) - 1
            place = np.clip(np.searchsorted(edges, values, side="left") - 1, 0, bins - 1)
            low, high = rows.replaced(name, np.stack([place, place + 1]), pa.array(edges).cast(column.type))
            step, there, heavy = (high - low)[known], place[known], weights[known]
            counts = [np.bincount(there, each, minlength=bins) for each in (None, heavy)]
            steps = [np.bincount(there, heavy * step[:, j], minlength=bins) for j in range(step.shape[1])]
            yield number, np.column_stack([*counts, *steps]).reshape(-1)
