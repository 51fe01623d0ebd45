"""Partial dependence and individual conditional expectation: a model's answers while one or two columns are stepped through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ConfigError, DataError
from synml_dagster.explain.agnostic.models import Takes, needed, scored
from synml_dagster.explain.effects.changed_rows import ChangedRows
from synml_dagster.explain.effects.grid import check_columns, grids_of, sampled
from synml_dagster.explain.effects.on_spark import collected
from synml_dagster.explain.effects.quickest import open_rows
from synml_dagster.explain.effects.weights import check_weight, row_weights

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pyspark.sql import DataFrame

_MOST_CURVES = 10_000


@dataclass(frozen=True, eq=False)
class Dependence:
    """A model's answers where all rows have the same value in one column, or in two.

    Attributes
    ----------
    columns
        One column, or two.
    grid
        By column: the values that were asked about.
    mean, deviation
        float64 [values, outputs] or [values, values, outputs]: mean over the rows (partial dependence, Friedman 2001) and
        standard deviation, which is above 0 between columns that interact too.
    rows
        Rows that were asked about.
    curves
        float64 [rows, values, outputs]: the answers row by row (ICE, Goldstein et al. 2015), where asked for.
    curve_rows
        pyarrow Table of the rows behind the curves.
    """

    columns: tuple[str, ...]
    grid: tuple[list[Any], ...]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    rows: int
    curves: NDArray[np.float64] | None = None
    curve_rows: pa.Table | None = None

    def to_pandas(self) -> pd.DataFrame:
        """Return one line per value (or pair of values) and output: the columns, output, mean, deviation."""
        import pandas as pd

        lines = []
        shape = [len(g) for g in self.grid]
        for place in np.ndindex(*shape):
            values = {c: g[i] for c, g, i in zip(self.columns, self.grid, place, strict=True)}
            for output in range(self.mean.shape[-1]):
                told = {"mean": self.mean[(*place, output)], "deviation": self.deviation[(*place, output)]}
                lines.append({**values, "output": output, **told})
        return pd.DataFrame(lines)

    def __repr__(self) -> str:
        reach = float(np.ptp(self.mean[..., 0]))
        return f"Dependence({' & '.join(self.columns)}: {self.mean[..., 0].size} values over {self.rows:,} rows, mean spans {reach:.4g})"


def partial_dependence(
    df: DataFrame,
    model: Any,
    features: Sequence[str | tuple[str, str]],
    *,
    points: int = 20,
    grid: Mapping[str, Sequence[Any]] | None = None,
    curves: int = 0,
    weight: str | None = None,
    output: str | None = None,
    takes: Takes = "arrow",
) -> list[Dependence]:
    """Return what raw columns do to a model's answers, over all rows of a table; one Spark job for all of them.

    Parameters
    ----------
    df
        Rows with the columns that the model reads, classic or Connect.
    model, output, takes
        As for `explain_rows`.
    features
        Columns, and pairs of columns for two-way dependence.
    points
        Values by column: steps of numbers, the commonest words.
    grid
        Column -> the values to ask about instead.
    curves
        Rows whose own curves (ICE) are kept, chosen by their content; of single columns alone.
    weight
        The column that says how much each row counts in means and deviations; all alike when None.
    output
        The answer of a graph to look at.

    Raises
    ------
    ConfigError
        The model is given no such column, a pair is not of two columns, or a number is out of its range.
    DataError
        The table is empty, a column has no values, or a weight is missing or negative.
    """
    import pyarrow as pa

    check_weight(df, weight)
    opened = scored(model, output=output, takes=takes, spark=df.sparkSession)
    reads = [c for c in needed(opened, df.columns) if c != weight or opened.columns is not None]
    asked = [(f,) if isinstance(f, str) else tuple(f) for f in features]
    check_columns([c for one in asked for c in one], reads, "features")
    for one in asked:
        if len(one) > 2 or len(set(one)) < len(one):
            raise ConfigError(f"features: {one} is not one column, nor a pair of two.")
    if not 0 <= curves <= _MOST_CURVES:
        raise ConfigError(f"curves must be from 0 to {_MOST_CURVES:,} but got {curves}.")
    names = list(dict.fromkeys(c for one in asked for c in one))
    grids = grids_of(df, names, points, grid)
    found = _merged(collected(df, opened, reads, _Steps(asked, grids, weight), [weight] if weight else []))
    if not found:
        raise DataError("There are no rows: the table is empty.")
    shown = sampled(df, reads, curves).to_batches()[0] if curves else None
    curve_rows = open_rows(scored(model, output=output, takes=takes))(shown) if shown is not None else None
    made = []
    for number, one in enumerate(asked):
        shape = [len(grids[c]) for c in one]
        told = found[number].reshape(4, *shape, -1)
        rows, weights = int(told[0].flat[0]), float(told[1].flat[0])
        if not weights > 0:
            raise DataError(f"Column {weight!r} weighs no row more than 0.")
        own = (
            _curves(curve_rows, {one[0]: grids[one[0]]}) if curve_rows is not None and len(one) == 1 else None
        )
        made.append(
            Dependence(
                columns=one,
                grid=tuple(grids[c].to_pylist() for c in one),
                mean=told[2],
                deviation=np.sqrt(told[3] / weights),
                rows=rows,
                curves=own,
                curve_rows=pa.Table.from_batches([shown]) if own is not None else None,
            )
        )
    return made


def _curves(rows: ChangedRows, grids: Mapping[str, pa.Array]) -> NDArray[np.float64]:
    """Return the answers [rows, steps, outputs]."""
    parts = list(rows.stepped(grids))
    count, steps = parts[-1].rows.stop, parts[-1].steps.stop
    found = np.empty((count, steps, parts[0].answers.shape[2]))
    for part in parts:
        found[part.rows, part.steps] = part.answers
    return found


def _merged(pairs: Sequence[tuple[int, NDArray[np.float64]]]) -> dict[int, NDArray[np.float64]]:
    """Return by key what `_Steps` tells of all batches together (Chan, Golub and LeVeque 1979)."""
    found: dict[int, NDArray[np.float64]] = {}
    for key, numbers in pairs:
        rows, weight, mean, squares = numbers.reshape(4, -1)
        if key not in found:
            found[key] = np.stack([rows, weight, mean, squares])
            continue
        one = found[key]
        together = one[1] + weight
        share = weight / np.where(together > 0, together, 1.0)
        apart = mean - one[2]
        one[3] += squares + apart**2 * one[1] * share
        one[2] += apart * share
        one[0], one[1] = one[0] + rows, together
    return found


class _Steps:
    """The work of a task: for each feature, at each step, the rows, their weight, and the answers' mean and the sum of their squares around it."""

    def __init__(
        self, asked: Sequence[tuple[str, ...]], grids: Mapping[str, pa.Array], weight: str | None
    ) -> None:
        self._asked, self._grids, self._weight = asked, grids, weight

    def __call__(self, rows: ChangedRows, batch: pa.RecordBatch) -> Iterator[tuple[int, NDArray[np.float64]]]:
        weights = row_weights(batch, self._weight)
        for number, columns in enumerate(self._asked):
            grids = {column: self._grids[column] for column in columns}
            found: NDArray[np.float64] | None = None
            near: NDArray[np.float64] | float = (
                0.0  # without it squares of large answers would swallow how they differ
            )
            for part in rows.stepped(grids):
                if found is None:
                    steps = prod(len(grid) for grid in grids.values())
                    found = np.zeros((2, steps, part.answers.shape[2]))
                    near = part.answers[0, 0].copy()
                answers, here = part.answers - near, weights[part.rows]
                flat = answers.reshape(len(answers), -1)
                shape = answers.shape[1:]
                found[0, part.steps] += (here @ flat).reshape(shape)
                found[1, part.steps] += (here @ flat**2).reshape(shape)
            assert found is not None
            total = float(weights.sum())
            mean = found[0] / (total or 1.0)
            squares = np.maximum(found[1] - mean * found[0], 0)
            about = np.broadcast_to([[[batch.num_rows]], [[total]]], (2, *found.shape[1:]))
            yield number, np.concatenate([about, [mean + near, squares]]).reshape(-1)
