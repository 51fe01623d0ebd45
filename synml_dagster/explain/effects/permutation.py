"""Permutation importance (Breiman 2001; Fisher, Rudin and Dominici 2019): how much worse the answers are where one column is shuffled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ConfigError, DataError, did_you_mean
from synml_dagster.explain.agnostic.models import Takes, needed, scored
from synml_dagster.explain.effects.grid import check_columns, sampled
from synml_dagster.explain.effects.metrics import METRICS, measure
from synml_dagster.explain.effects.on_spark import answers, with_column

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pyspark.sql import DataFrame

MOST_ROWS = 200_000
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
        Of numbers: `rmse`, `mae`, `r2`. Of classes: `auc` (of two), `logloss`, `accuracy`.
    features
        Columns to shuffle; all that the model reads when None.
    repeats
        Shuffles of each column.
    rows
        Rows that are asked about at most, chosen by their content; up to 200,000.
    classes
        The label's classes in the order of the probabilities; its values in order when None.
    seed
        Of the shuffles.

    Raises
    ------
    ConfigError
        A column or a metric is not there, or a number is out of its range.
    DataError
        The table is empty, labels are missing, or the metric cannot be computed from these rows.
    """
    if metric not in METRICS:
        raise ConfigError(
            f"metric is one of {', '.join(METRICS)} but got {metric!r}.{did_you_mean(metric, METRICS)}"
        )
    if repeats < 1:
        raise ConfigError(f"repeats must be at least 1 but got {repeats}.")
    if not 1 <= rows <= MOST_ROWS:
        raise ConfigError(f"rows must be from 1 to {MOST_ROWS:,} but got {rows:,}.")
    if label not in df.columns:
        raise ConfigError(f"The table has no label {label!r}.{did_you_mean(label, df.columns)}")
    spark = df.sparkSession
    opened = scored(model, output=output, takes=takes, spark=spark)
    reads = [c for c in needed(opened, df.columns) if c != label or opened.columns is not None]
    chosen = list(reads if features is None else features)
    check_columns(chosen, reads, "features")
    total = df.count()
    table = sampled(df, list(dict.fromkeys([*reads, label])), rows)
    truth = measured_label(table.column(label), metric, classes)
    batch = table.select(reads).combine_chunks().to_batches()[0]
    told = answers(scored(model, output=output, takes=takes).open(), batch)
    baseline = measure(metric, truth, told)
    # One seed for all columns, as scikit-learn draws it, so that columns are shuffled alike.
    start = int(np.random.RandomState(seed).randint(np.iinfo(np.int32).max + 1))
    work = _Shuffles(opened, batch, chosen, truth, metric, repeats, start)
    losses = np.zeros((len(chosen), repeats))
    from synml_dagster.spark import task_slots
    from synml_dagster.spark.task_errors import typed_errors

    tasks = max(1, min(len(chosen), task_slots(spark) or 8))
    with typed_errors():
        found = (
            spark.range(0, len(chosen), 1, tasks)
            .mapInArrow(work, "place int, repeat int, value double")
            .collect()
        )
    sign = 1 if METRICS[metric] else -1
    for row in found:
        losses[row["place"], row["repeat"]] = sign * (baseline - row["value"])
    order = np.argsort(-losses.mean(1), kind="stable")
    return PermutationImportance(
        metric, baseline, [chosen[i] for i in order], losses[order], batch.num_rows, total
    )


def measured_label(column: Any, metric: str, classes: Sequence[Any] | None) -> NDArray[Any]:
    """Return the truth as numbers, or as places of classes.

    Raises
    ------
    DataError
        A label is missing, or is none of the classes.
    """
    if column.null_count:
        raise DataError(f"{column.null_count:,} rows have no label; leave them out.")
    if metric in ("rmse", "mae", "r2"):
        try:
            truth = np.asarray(column.to_numpy(), dtype=np.float64)
        except (TypeError, ValueError) as problem:
            raise DataError(f"metric {metric} needs numbers in the label: {problem}") from problem
        if not np.isfinite(truth).all():
            raise DataError("A label is NaN or infinite; leave its row out.")
        return truth
    values = column.to_pylist()
    known = sorted(set(values)) if classes is None else list(classes)
    place = {value: i for i, value in enumerate(known)}
    strange = [v for v in values if v not in place]
    if strange:
        raise DataError(f"The label holds {strange[0]!r}, which is none of the classes.")
    return np.array([place[v] for v in values], dtype=np.int64)


class _Shuffles:
    """The work of a task: the metric of its columns, shuffled."""

    def __init__(
        self,
        model: Any,
        batch: pa.RecordBatch,
        columns: Sequence[str],
        truth: NDArray[Any],
        metric: str,
        repeats: int,
        seed: int,
    ) -> None:
        self._model, self._batch, self._columns, self._truth = model, batch, columns, truth
        self._metric, self._repeats, self._seed = metric, repeats, seed

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        scores: Callable[[Any], NDArray[np.float64]] = self._model.open()
        for tasks in batches:
            lines = []
            for place in tasks.column(0).to_pylist():
                name = self._columns[place]
                random = np.random.RandomState(self._seed)
                order, shuffled = np.arange(self._batch.num_rows), self._batch.column(name)
                for repeat in range(self._repeats):
                    random.shuffle(order)
                    shuffled = shuffled.take(pa.array(order))  # again and again, as scikit-learn does
                    told = answers(scores, with_column(self._batch, name, shuffled))
                    lines.append((place, repeat, measure(self._metric, self._truth, told)))
            yield pa.RecordBatch.from_arrays(
                [
                    pa.array([line[0] for line in lines], pa.int32()),
                    pa.array([line[1] for line in lines], pa.int32()),
                    pa.array([line[2] for line in lines], pa.float64()),
                ],
                names=["place", "repeat", "value"],
            )
