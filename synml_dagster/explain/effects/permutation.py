"""Permutation importance (Breiman 2001; Fisher, Rudin and Dominici 2019): how much worse the answers are where one column is shuffled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ConfigError, DataError, did_you_mean
from synml_dagster.explain.agnostic.models import Scored, Takes, needed, scored
from synml_dagster.explain.effects.grid import check_columns, sampled, sampled_queries
from synml_dagster.explain.effects.metrics import (
    Truth,
    check_metric,
    measure,
    measured_labels,
    more_is_better,
)
from synml_dagster.explain.effects.metrics import gains as worth
from synml_dagster.explain.effects.quickest import open_rows
from synml_dagster.explain.effects.shipped_rows import ShippedRows, shipped
from synml_dagster.explain.effects.weights import check_weight, row_weights
from synml_dagster.spark import task_slots
from synml_dagster.spark.task_errors import typed_errors

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pyspark.sql import DataFrame

MOST_ROWS = 1_000_000
"""Rows that each task can be sent whole."""


@dataclass(frozen=True, eq=False)
class PermutationImportance:
    """By column, how much the metric suffers, over several shuffles.

    Attributes
    ----------
    metric
        What was measured.
    baseline
        Its value on the rows as they are.
    columns
        The columns, most important first.
    losses
        float64 [columns, repeats]: by how much the metric is worse; below 0 where shuffling helps by chance.
    rows, of_rows
        Rows that were asked about, and rows of the table.
    """

    metric: str
    baseline: float
    columns: list[str]
    losses: NDArray[np.float64]
    rows: int
    of_rows: int

    @property
    def mean(self) -> dict[str, float]:
        """Mean loss by column, the greatest first."""
        return dict(zip(self.columns, self.losses.mean(1).tolist(), strict=True))

    @property
    def deviation(self) -> dict[str, float]:
        """Standard deviation of the loss over the shuffles, by column."""
        return dict(zip(self.columns, self.losses.std(1).tolist(), strict=True))

    def to_pandas(self) -> pd.DataFrame:
        """Return one line per column: column, mean, deviation, low and high over the shuffles."""
        import pandas as pd

        return pd.DataFrame(
            {
                "column": self.columns,
                "mean": self.losses.mean(1),
                "deviation": self.losses.std(1),
                "low": self.losses.min(1),
                "high": self.losses.max(1),
            }
        )

    def __repr__(self) -> str:
        first = f"; {self.columns[0]} most, {self.losses[0].mean():.4g}" if self.columns else ""
        return f"PermutationImportance({self.metric} {self.baseline:.4g} on {self.rows:,} rows{first})"


def permutation_importance(
    df: DataFrame,
    model: Any,
    label: str,
    *,
    metric: str,
    features: Sequence[str] | None = None,
    repeats: int = 5,
    rows: int = 50_000,
    classes: Sequence[Any] | None = None,
    weight: str | None = None,
    query: str | None = None,
    gains: Sequence[float] | None = None,
    output: str | None = None,
    takes: Takes = "arrow",
    seed: int = 0,
) -> PermutationImportance:
    """Return how much each raw column matters to a metric, on held-out rows; columns and shuffles are spread over tasks.

    Each column is shuffled across all of the rows as scikit-learn's `permutation_importance` shuffles it: for the same rows
    in the same order and the same seed the result is the same.

    Parameters
    ----------
    df
        Held-out rows with the label and the columns that the model reads; on the rows that it learned from, what was
        learnt by heart looks important.
    model, output, takes
        As for `explain_rows`. Of classes the answer is their probability: of the second of two, or one for each class.
    label
        The column with the truth.
    metric
        Of numbers: `rmse`, `mae`, `r2`. Of classes: `auc` (of two), `logloss`, `accuracy`. Of rankings: `ndcg@10`, or of another
        number of first rows.
    features
        Columns to shuffle; all that the model reads when None.
    repeats
        Shuffles of each column.
    rows
        Rows that are asked about at most, chosen by their content; up to 1,000,000. Of rankings whole queries.
    classes
        The label's classes in the order of the probabilities; its values in order when None, which have to be as many.
    weight
        The column that says how much each row counts in the metric; all alike when None.
    query
        Of rankings: the column that tells whose results a row is of. A column's values are shuffled across all queries.
    gains
        Of rankings: what each grade from 0 is worth; `2 ** grade - 1` when None.
    seed
        Of the shuffles.

    Raises
    ------
    ConfigError
        A column or a metric is not there, or a number is out of its range.
    DataError
        The table is empty, labels, weights or queries are missing, or the metric cannot be computed from these rows.
    """
    check_metric(metric, query)
    check_weight(df, weight)
    if repeats < 1:
        raise ConfigError(f"repeats must be at least 1 but got {repeats}.")
    if not 1 <= rows <= MOST_ROWS:
        raise ConfigError(f"rows must be from 1 to {MOST_ROWS:,} but got {rows:,}.")
    for what, name in (("label", label), ("query", query)):
        if name is not None and name not in df.columns:
            raise ConfigError(f"The table has no {what} {name!r}.{did_you_mean(name, df.columns)}")
    spark = df.sparkSession
    opened = scored(model, output=output, takes=takes, spark=spark)
    roles = [c for c in (label, weight, query) if c is not None]
    reads = [c for c in needed(opened, df.columns) if c not in roles or opened.columns is not None]
    chosen = list(reads if features is None else features)
    check_columns(chosen, reads, "features")
    total = df.count()
    wanted = list(dict.fromkeys([*reads, *roles]))
    table = sampled(df, wanted, rows, total) if query is None else sampled_queries(df, wanted, query, rows)
    labels = measured_labels(table.column(label), metric, classes)
    if query is not None:
        labels = worth(labels, gains)
    unnamed = len(np.unique(labels)) if classes is None else None
    truth = Truth(labels, row_weights(table, weight), _numbered(table, query), unnamed)
    if not truth.weights.sum() > 0:
        raise DataError(f"Column {weight!r} weighs no row more than 0.")
    batch = table.select(reads).combine_chunks().to_batches()[0]
    # One seed for all columns, as scikit-learn draws it, so that columns are shuffled alike.
    start = int(np.random.RandomState(seed).randint(np.iinfo(np.int32).max + 1))
    values = np.zeros((len(chosen) + 1, repeats))
    tasks = max(1, min(len(chosen) + 1, task_slots(spark) or 8))
    with typed_errors(), shipped(spark, batch) as on_the_way:
        work = _Shuffles(opened, on_the_way, [None, *chosen], truth, metric, repeats, start)
        found = (
            spark.range(0, len(chosen) + 1, 1, tasks)
            .mapInArrow(work, "place int, repeat int, value double")
            .collect()
        )
    for row in found:
        values[row["place"], row["repeat"]] = row["value"]
    baseline = float(values[0, 0])
    losses = (1 if more_is_better(metric) else -1) * (baseline - values[1:])
    order = np.argsort(-losses.mean(1), kind="stable")
    return PermutationImportance(
        metric, baseline, [chosen[i] for i in order], losses[order], batch.num_rows, total
    )


def _numbered(table: pa.Table, query: str | None) -> NDArray[np.int64] | None:
    """Return the number of each row's query."""
    if query is None:
        return None
    return np.asarray(table.column(query).combine_chunks().dictionary_encode().indices, np.int64)


class _Shuffles:
    """The work of a task: the metric of its columns, shuffled; None is all columns as they are."""

    def __init__(
        self,
        model: Scored,
        rows: ShippedRows,
        columns: Sequence[str | None],
        truth: Truth,
        metric: str,
        repeats: int,
        seed: int,
    ) -> None:
        self._model, self._rows, self._columns, self._truth = model, rows, columns, truth
        self._metric, self._repeats, self._seed = metric, repeats, seed

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        rows = open_rows(self._model)(self._rows.open())
        orders = self._orders()
        for tasks in batches:
            lines = []
            for place in tasks.column(0).to_pylist():
                name = self._columns[place]
                told = iter([rows.as_they_are()]) if name is None else rows.replaced(name, orders)
                for repeat, answers in enumerate(told):
                    lines.append((place, repeat, measure(self._metric, self._truth, answers)))
            yield pa.RecordBatch.from_arrays(
                [
                    pa.array([line[0] for line in lines], pa.int32()),
                    pa.array([line[1] for line in lines], pa.int32()),
                    pa.array([line[2] for line in lines], pa.float64()),
                ],
                names=["place", "repeat", "value"],
            )

    def _orders(self) -> NDArray[np.intp]:
        """Return whose value each row gets, [repeats, rows]: shuffled again and again, as scikit-learn does."""
        random = np.random.RandomState(self._seed)
        order = np.arange(len(self._truth.labels))
        now, found = order.copy(), []
        for _ in range(self._repeats):
            random.shuffle(order)
            now = now[order]
            found.append(now)
        return np.stack(found)
