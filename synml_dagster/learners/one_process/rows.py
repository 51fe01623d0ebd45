"""The rows of a features table in this process: float32 features, labels, weights and queries."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import DataError, SetupError
from synml_dagster.features import GROUP, LABEL, PLACE, WEIGHT
from synml_dagster.learners.one_process.memory import available_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow
    from pyspark.sql import SparkSession

    from synml_dagster.files import ParquetFiles

MOST_VALUES = 100_000_000
"""A table of more values is sampled where nothing else is said: 400 MB of float32."""
_COPIES = 3
"""The rows as Arrow's columns, as the matrix, and as what a library makes of it."""
_FEWEST = 1000
_MOST_BEHIND, _FEWEST_BEHIND, _VALUES_BEHIND = 30, 10, 100_000


@dataclass(frozen=True)
class Rows:
    """Rows of a table, or a sample of them."""

    X: NDArray[np.float32]
    """[n, features]"""
    y: NDArray[np.float64]
    weight: NDArray[np.float64]
    of: int
    """Rows of the table that they were drawn from."""
    group: NDArray[np.int64] | None = None
    """[n] the number of each row's query, which stand together; None where the table has no queries."""
    place: NDArray[np.float64] | None = None
    """[n] where each row stands by time, or its group as a number; None where the split is by neither."""
    derived: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)
    """What a learner has made of these rows and keeps for its next training on them, such as bins."""

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self.y)

    def take(self, index: NDArray[np.int64]) -> Rows:
        """Return the rows at `index`, in that order; queries have to be taken whole."""
        group = None if self.group is None else _numbered(self.group[index])
        place = None if self.place is None else self.place[index]
        return Rows(
            np.asfortranarray(self.X[index]), self.y[index], self.weight[index], self.of, group, place
        )


def read_rows(
    spark: SparkSession,
    files: ParquetFiles,
    features: Sequence[str],
    most_values: int = MOST_VALUES,
    *,
    most_rows: int | None = None,
) -> Rows:
    """Return the rows of `files`, or a sample of them, in an order that does not depend on how they were stored.

    Parameters
    ----------
    most_values
        Where the table holds more, a sample is drawn that the rows' content chooses, and whole queries of a ranking.
    most_rows
        As many rows at most, in place of `most_values`.

    Raises
    ------
    DataError
        All weights are 0.
    SetupError
        The rows would not fit into the memory that is free.
    """
    from pyspark.sql import functions as sf

    from synml_dagster.spark.quoting import quoted
    from synml_dagster.spark.sampling import sample_by_content

    frame, total = files.dataframe(spark), files.count()
    weighted, ranked = WEIGHT in frame.columns, GROUP in frame.columns
    most = most_rows or max(_FEWEST, most_values // max(1, len(features)))
    _check_memory(min(total, most), len(features))
    frame = sample_by_content(frame, most, total, by=[GROUP] if ranked else None)
    wanted = [*features, LABEL, *([WEIGHT] if weighted else [])]
    columns = [sf.col(quoted(name)).cast("float" if name in set(features) else "double") for name in wanted]
    if ranked:
        columns.append(sf.xxhash64(sf.col(quoted(GROUP))))
    # mapInArrow is not asked here, but names with dots are as awkward for Arrow's readers: give plain ones.
    table = frame.select(*(c.alias(f"c{i}") for i, c in enumerate(columns))).toArrow()
    X = np.empty((table.num_rows, len(features)), np.float32, order="F")
    for i in range(len(features)):
        X[:, i] = table.column(i).to_numpy()
    y = table.column(len(features)).to_numpy().astype(np.float64)
    weight = (
        table.column(len(features) + 1).to_numpy().astype(np.float64)
        if weighted
        else np.ones(table.num_rows, np.float64)
    )
    query = table.column(table.num_columns - 1).to_numpy() if ranked else None
    del table
    return _arranged(X, y, weight, query, total)


def rows_of(table: pyarrow.Table, features: Sequence[str], by: Sequence[str] | None = None) -> Rows:
    """Return all rows of an Arrow table of features, label, and weight and query where there are any, in `read_rows`' order.

    Parameters
    ----------
    by
        The features whose content decides about the order; `features` where None. Rows of one table are in one order, whatever
        features are taken of it, where these are the same.

    Raises
    ------
    DataError
        All weights are 0.
    """
    place = {name: i for i, name in reversed(list(enumerate(table.column_names)))}

    def matrix(names: Sequence[str]) -> NDArray[np.float32]:
        found = np.empty((table.num_rows, len(names)), np.float32, order="F")
        for i, name in enumerate(names):
            found[:, i] = table.column(place[name]).cast("float32").to_numpy()
        return found

    X = matrix(features)
    y = table.column(place[LABEL]).to_numpy().astype(np.float64)
    weight = np.ones(table.num_rows, np.float64)
    if WEIGHT in place:
        weight = table.column(place[WEIGHT]).to_numpy().astype(np.float64)
    query = None
    if GROUP in place:
        words = np.array([str(value) for value in table.column(place[GROUP]).to_pylist()])
        query = np.unique(words, return_inverse=True)[1].astype(np.int64)
    stands = table.column(place[PLACE]).to_numpy().astype(np.float64) if PLACE in place else None
    order = None
    if by is not None and list(by) != list(features):
        order = _order(matrix(by), y, weight, query)
    return _arranged(X, y, weight, query, table.num_rows, order, stands)


def _arranged(
    X: NDArray[np.float32],
    y: NDArray[np.float64],
    weight: NDArray[np.float64],
    query: NDArray[np.int64] | None,
    total: int,
    order: NDArray[np.intp] | None = None,
    place: NDArray[np.float64] | None = None,
) -> Rows:
    if not weight.sum() > 0:
        raise DataError("the weight is 0 in all of these rows; nothing can be learned or measured by it.")
    if order is None:
        order = _order(X, y, weight, query)
    for i in range(X.shape[1]):  # column by column: a second matrix would cost as much as the first
        X[:, i] = X[order, i]
    group = None
    if query is not None:
        group = _numbered(query[order])
    return Rows(X, y[order], weight[order], total, group, None if place is None else place[order])


def _numbered(query: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number queries, whose rows stand together, from 0."""
    return np.cumsum(np.r_[False, query[1:] != query[:-1]]).astype(np.int64)


def background(X: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return up to thirty rows of `X`, evenly apart: what an explanation puts in place of what it leaves out of a row."""
    most = max(_FEWEST_BEHIND, min(_MOST_BEHIND, _VALUES_BEHIND // max(1, X.shape[1])))
    return X[np.unique(np.linspace(0, len(X) - 1, min(most, len(X))).astype(np.int64))]


def _check_memory(rows: int, features: int) -> None:
    free = available_bytes()
    wanted = _COPIES * rows * (features + 3) * 4
    if free is not None and wanted > free:
        fit = int(rows * free / wanted * 0.8)
        raise SetupError(
            f"{rows:,} rows of {features:,} features take about {wanted / 1e9:.1f} GB in this process and {free / 1e9:.1f} GB are free. "
            f"Set train.params.max_rows to {max(_FEWEST, fit):,} or less, give the step more memory, or train with learner lightgbm, which takes the table across Spark's executors."
        )


def _order(
    X: NDArray[np.float32],
    y: NDArray[np.float64],
    weight: NDArray[np.float64],
    query: NDArray[np.int64] | None,
) -> NDArray[np.intp]:
    """Return the rows' order by a hash of their content, queries together: the same wherever files and tasks begin and end."""
    rng = np.random.default_rng(0)
    mixed = np.zeros(len(y), np.uint64)
    with np.errstate(over="ignore"):
        for i in range(X.shape[1]):
            bits = np.ascontiguousarray(X[:, i]).view(np.uint32).astype(np.uint64)
            mixed += (bits + np.uint64(1)) * rng.integers(1, 2**63, dtype=np.uint64)
            mixed ^= mixed >> np.uint64(29)
        for values in (y, weight):
            mixed += values.view(np.uint64) * rng.integers(1, 2**63, dtype=np.uint64)
            mixed ^= mixed >> np.uint64(31)
        mixed *= np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(32)
    return np.lexsort((mixed,) if query is None else (mixed, query))


def sample_note(rows: Rows, what: str) -> list[str]:
    """Return the warning that a model was trained on some rows of its table; nothing where it was trained on all."""
    used = len(rows.y)
    if used >= rows.of:
        return []
    chosen = "whole queries, " if rows.group is not None else ""
    return [
        f"trained on {used:,} of {rows.of:,} rows, {chosen}chosen by their content: {what} is trained in one process"
    ]
