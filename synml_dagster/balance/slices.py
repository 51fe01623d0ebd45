"""Error analysis: the slices of up to two columns on which a model is worst, with their size and an interval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from synml_dagster.balance.counts import MISSING, NO_GROUPS, NUMBERS
from synml_dagster.balance.intervals import mean_interval, wilson
from synml_dagster.balance.result import Part, Result
from synml_dagster.errors import ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame

OTHER = "(other)"
_SAMPLE = 10_000
_MOST_COLUMNS = 60


class Slice(Part):
    """Rows that have the same values, or values in the same range, in one column or in two."""

    columns: list[str]
    values: list[str]
    rows: int
    share: float
    error: float
    low: float
    high: float

    @property
    def name(self) -> str:
        """The slice in words."""
        return " & ".join(f"{c} {v}" for c, v in zip(self.columns, self.values, strict=True))


class ErrorSlices(Result):
    """The slices on which a model is worst, worst first. Tables: `slices`."""

    measure: Literal["wrong answers", "absolute error"]
    rows: int
    error: float
    looked_at: int
    slices: list[Slice]

    def tables(self) -> dict[str, list[Part]]:
        """Return the parts by the name of their table."""
        return {"slices": [*self.slices]}

    def __repr__(self) -> str:
        first = (
            f"; worst {self.slices[0].error:.4g} where {self.slices[0].name}"
            if self.slices
            else "; no slice is surely worse"
        )
        return f"ErrorSlices({self.measure} {self.error:.4g} on {self.rows:,} rows{first})"


@dataclass(frozen=True)
class _Groups:
    """How a column is cut: the limits of its ranges, or its commonest words."""

    limits: tuple[float, ...] | None
    words: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        if self.limits is None:
            return [*(repr(w) for w in self.words), OTHER, MISSING]
        ends = [f"{x:.5g}" for x in self.limits]
        inner = [f"{a} to < {b}" for a, b in pairwise(ends)]
        return [f"< {ends[0]}", *inner, f">= {ends[-1]}", MISSING]

    def code(self, column: Column) -> Column:
        """Return the place of each row's group among `names`."""
        from pyspark.sql import functions as sf

        missing = sf.lit(len(self.names) - 1)
        if self.limits is None:
            found = sf.when(column.isNull(), missing)
            for i, word in enumerate(self.words):
                found = found.when(column.cast("string") == word, sf.lit(i))
            return found.otherwise(sf.lit(len(self.words)))
        value = column.cast("double")
        found = sf.when(value.isNull() | sf.isnan(value), missing)
        for i, limit in enumerate(self.limits):
            found = found.when(value < limit, sf.lit(i))
        return found.otherwise(sf.lit(len(self.limits)))


def worst_slices(
    scored: DataFrame,
    columns: Sequence[str],
    *,
    task: Literal["classes", "regression"],
    label: str = "__label",
    prediction: str = "prediction",
    minimum: int = 100,
    most: int = 20,
    groups: int = 6,
) -> ErrorSlices:
    """Find where a scored table's answers are worst, among the slices of each column and of each two.

    Numbers are cut into ranges of about equal rows, words into their commonest and the others; from up to 10,000 rows.
    Then one pass counts all slices. One is told where the lower end of its 95% interval is above the error of all rows, and,
    of two columns, above the error of either column's slice alone. With many slices some are told by chance: look at them
    on rows that have not been looked at.

    Parameters
    ----------
    scored
        Labelled rows with predictions, classic or Connect.
    columns
        Columns to cut by, up to 60; they need not be features.
    task
        `classes`: the share of rows whose `prediction` is not the label. `regression`: the mean absolute error.
    minimum
        Rows of a slice.
    most
        Slices that are told.
    groups
        Into how many a column is cut.

    Raises
    ------
    ConfigError
        A column is not there, or a number is out of its range.
    DataError
        There are no rows, or one without label or prediction.
    """
    from pyspark.sql import functions as sf

    from synml_dagster.spark.quoting import quoted
    from synml_dagster.spark.task_errors import typed_errors

    there = scored.columns
    for name in [*columns, label, prediction]:
        if name not in there:
            raise ConfigError(f"The scored table has no column {name!r}.{did_you_mean(name, there)}")
    if task not in ("classes", "regression"):
        raise ConfigError(f"task is 'classes' or 'regression' but got {task!r}.")
    if not 1 <= len(set(columns)) == len(columns) <= _MOST_COLUMNS:
        raise ConfigError(f"columns: name from 1 to {_MOST_COLUMNS} different ones but got {len(columns)}.")
    if minimum < 2 or most < 1 or not 2 <= groups <= 20:
        raise ConfigError("minimum must be at least 2, most at least 1, and groups from 2 to 20.")
    cuts = _cuts(scored, columns, groups)
    truth, answer = sf.col(quoted(label)), sf.col(quoted(prediction))
    error = sf.abs(truth.cast("double") - answer.cast("double"))
    if task == "classes":
        error = (truth.cast("string") != answer.cast("string")).cast("double")
    sizes = [len(cuts[c].names) for c in columns]
    narrow = scored.select(
        error.alias("error"),
        *(cuts[c].code(sf.col(quoted(c))).cast("int").alias(f"c{i}") for i, c in enumerate(columns)),
    )
    with typed_errors():
        sent = narrow.mapInArrow(_Sums(tuple(sizes)), "sums array<double>").toArrow()
    flat = sent.column("sums").combine_chunks().flatten().to_numpy().reshape(sent.num_rows, -1).sum(0)
    return _told(flat, columns, cuts, sizes, task, minimum, most)


class _Sums:
    """The work of a task: rows, errors and squared errors of each slice, one after the other; rows without an error are told first."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        self._sizes = sizes

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        total: NDArray[np.float64] | None = None
        for batch in batches:
            error = batch.column(0).to_numpy(zero_copy_only=False).astype(np.float64)
            lost = ~np.isfinite(error)
            error = np.where(lost, 0.0, error)
            codes = [batch.column(i + 1).to_numpy() for i in range(len(self._sizes))]
            parts = [np.array([lost.sum()], dtype=np.float64)]
            for _, size, code in _slices(self._sizes, codes):
                for weight in (None, error, error**2):
                    parts.append(np.bincount(code, weight, size).astype(np.float64))
            found = np.concatenate(parts)
            total = found if total is None else total + found
        if total is not None:
            lists = pa.array([total.tolist()], pa.list_(pa.float64()))
            yield pa.RecordBatch.from_arrays([lists], names=["sums"])


def _slices(
    sizes: Sequence[int], codes: Sequence[NDArray[Any]]
) -> Iterator[tuple[tuple[int, ...], int, NDArray[Any]]]:
    """Yield the columns, the number of slices and each row's slice: of each column, then of each two."""
    for i, size in enumerate(sizes):
        yield (i,), size, codes[i]
    for i, j in combinations(range(len(sizes)), 2):
        yield (i, j), sizes[i] * sizes[j], codes[i] * sizes[j] + codes[j]


def _told(
    flat: NDArray[np.float64],
    columns: Sequence[str],
    cuts: Mapping[str, _Groups],
    sizes: Sequence[int],
    task: str,
    minimum: int,
    most: int,
) -> ErrorSlices:
    if flat[0]:
        raise DataError(f"{int(flat[0]):,} rows have no label or no prediction; leave them out.")
    none = [np.zeros(0, dtype=np.int64)] * len(sizes)
    at, alone, found = 1, {}, []
    rows = error = 0.0
    looked_at = 0
    for places, size, _ in _slices(sizes, none):
        n, total, squares = flat[at : at + 3 * size].reshape(3, size)
        at += 3 * size
        if len(places) == 1 and not rows:
            rows, error = float(n.sum()), float(total.sum() / n.sum())
        for cell in np.flatnonzero(n >= minimum):
            looked_at += 1
            own = divmod(int(cell), sizes[places[1]]) if len(places) == 2 else (int(cell),)
            mean = float(total[cell] / n[cell])
            low, high = _interval(task, float(n[cell]), float(total[cell]), float(squares[cell]))
            if len(places) == 1:
                alone[(places[0], own[0])] = mean
            floor = max(
                [
                    error,
                    *(alone.get((p, o), 0.0) for p, o in zip(places, own, strict=True) if len(places) == 2),
                ]
            )
            if low > floor:
                found.append(
                    Slice(
                        columns=[columns[p] for p in places],
                        values=[cuts[columns[p]].names[o] for p, o in zip(places, own, strict=True)],
                        rows=int(n[cell]),
                        share=float(n[cell] / rows),
                        error=mean,
                        low=low,
                        high=high,
                    )
                )
    found.sort(key=lambda s: -s.low)
    return ErrorSlices(
        measure="wrong answers" if task == "classes" else "absolute error",
        rows=int(rows),
        error=error,
        looked_at=looked_at,
        slices=found[:most],
    )


def _interval(task: str, n: float, total: float, squares: float) -> tuple[float, float]:
    if task == "classes":
        return wilson(total, n)
    mean = total / n
    low, high = mean_interval(mean, max(0.0, (squares - n * mean**2) / (n - 1)), n)
    return max(0.0, low), high


def _cuts(scored: DataFrame, columns: Sequence[str], groups: int) -> dict[str, _Groups]:
    """How each column is cut, from rows that are chosen by their content."""
    from pyspark.sql import functions as sf

    from synml_dagster.spark.quoting import quoted

    types = dict(scored.dtypes)
    for name in columns:
        if types[name].startswith(NO_GROUPS):
            raise ConfigError(f"columns: {name!r} is of type {types[name]}, which is not cut into slices.")
    numbers = {c: types[c].startswith(NUMBERS) for c in columns}
    shown = [
        (sf.col(quoted(c)).cast("double") if numbers[c] else sf.col(quoted(c)).cast("string")).alias(f"c{i}")
        for i, c in enumerate(columns)
    ]
    narrow = scored.select(*shown)
    table = narrow.orderBy(sf.xxhash64(*narrow.columns)).limit(_SAMPLE).toArrow().to_pandas()
    if not len(table):
        raise DataError("There are no rows to look at: the table is empty.")
    found = {}
    for i, name in enumerate(columns):
        values = table[f"c{i}"].dropna()
        if not numbers[name]:
            found[name] = _Groups(None, tuple(values.value_counts().index[:groups]))
            continue
        if values.nunique() > groups:
            limits = np.unique(np.quantile(values, np.linspace(0, 1, groups + 1)[1:-1]))
        else:
            limits = np.sort(values.unique())[1:]  # each value a range of its own
        found[name] = _Groups(tuple(limits.tolist()) or None, ())
    return found
