"""One way in: checks what was asked, keeps the few columns that matter at hand, and asks the task's own module."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from synml_dagster.errors import ConfigError, did_you_mean
from synml_dagster.evaluation.bins import EXACT_ROWS
from synml_dagster.evaluation.catalogue import METRICS
from synml_dagster.evaluation.costs import ChosenThreshold
from synml_dagster.evaluation.result import Evaluation
from synml_dagster.evaluation.spec import CostMatrix

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def evaluate(
    scored: DataFrame,
    *,
    task: str,
    label: str = "__label",
    prediction: str = "prediction",
    probability: str = "probability",
    probabilities: str = "probabilities",
    classes: Sequence[object] | None = None,
    group: str | None = None,
    weight: str | None = None,
    linear_gain: bool = False,
    label_gain: Sequence[float] | None = None,
    chosen: ChosenThreshold | None = None,
    cost_matrix: CostMatrix | None = None,
    exact_rows: int = EXACT_ROWS,
) -> Evaluation:
    """Measure a scored table, aggregated by Spark in two or three small jobs; no row leaves the cluster.

    Every metric has a 95% confidence interval beside it, `Evaluation.intervals`: see `evaluation.intervals`.

    Scores are counted by distinct value for tables up to `exact_rows` rows and by narrow bins of log-odds beyond,
    so that ROC AUC and its kin agree with scikit-learn's to about 1e-6 whatever the size. The columns that matter are
    cached meanwhile, so a table that is scored lazily is scored once.

    Parameters
    ----------
    scored
        One row per labelled row. `label` holds the class index 0..k-1 (binary, multiclass), the number (regression)
        or the grade of relevance (ranking).
    task
        "binary", "multiclass", "regression" or "ranking".
    prediction
        The number predicted (regression) or the score to rank by (ranking). Classes are judged by probability alone.
    probability
        Binary: the probability of the class with index 1.
    probabilities
        Multiclass: an array with one probability per class; `probability` where no such column is there.
    classes
        Names by class index, for readers; "0", "1", ... when absent.
    group
        Ranking: the query that a row belongs to.
    weight
        A column of weights >= 0, honoured by every metric; a ranking takes the mean weight of a query's rows.
    linear_gain
        Ranking: the gain of a grade is the grade itself, for grades above 30, of which 2 to the power is no measure.
    label_gain
        Ranking: the gain of each grade from 0, as LightGBM's parameter says it; goes before `linear_gain`.
    chosen
        Binary: a threshold that `choose_threshold` found on other rows, to be priced on these.
    cost_matrix
        Multiclass: what each answer costs by what is true; the decisions of the lowest expected cost are priced.
    exact_rows
        Binary, multiclass: up to so many scores each distinct one counts by itself; the driver holds a line for each.

    Raises
    ------
    ConfigError
        When the task is none, or a column is not there.
    DataError
        When there are no rows, or labels, predictions or weights that no metric can be computed from.
    """
    from pyspark.sql import functions as sf

    from synml_dagster.spark.quoting import quoted
    from synml_dagster.spark.task_errors import typed_errors

    if task not in METRICS:
        raise ConfigError(f"Task {task!r} is none of {', '.join(METRICS)}.{did_you_mean(task, METRICS)}")
    if chosen is not None and task != "binary":
        raise ConfigError(f"A threshold is chosen for a binary task, and this one is {task}; leave it out.")
    if cost_matrix is not None and task != "multiclass":
        raise ConfigError(f"A table of costs is of several classes, and this task is {task}; leave it out.")
    if task == "ranking" and group is None:
        raise ConfigError("A ranking is evaluated by query: name the column of the query ids with `group`.")
    if task == "multiclass" and probabilities not in scored.columns and probability in scored.columns:
        probabilities = probability  # LightGBM's own transform calls it so, whatever the number of classes
    score = {"binary": probability, "multiclass": probabilities}.get(task, prediction)
    wanted = {"y": label, "score": score, "w": weight, "g": group if task == "ranking" else None}
    for column in wanted.values():
        if column is not None and column not in scored.columns:
            raise ConfigError(
                f"The scored table has no column {column!r}.{did_you_mean(column, scored.columns)}"
            )

    def pick(name: str, cast: str | None) -> Column:
        column = sf.col(quoted(name))
        return column.cast(cast) if cast else column

    narrow = scored.select(
        pick(label, "double").alias("y"),
        pick(score, "array<double>" if task == "multiclass" else "double").alias("score"),
        (sf.lit(1.0) if weight is None else pick(weight, "double")).alias("w"),
        *([pick(group, None).alias("g")] if task == "ranking" and group else []),
    ).persist()
    try:
        with typed_errors():
            if task == "ranking":
                from synml_dagster.evaluation.ranking import evaluate_ranking

                return evaluate_ranking(narrow, weight is not None, linear_gain, label_gain)
            names, weighted = [str(c) for c in classes or ()], weight is not None
            return _by_task(narrow, task, names, weighted, exact_rows, chosen, cost_matrix)
    finally:
        with suppress(Exception):  # the session may be the reason for the error that is on its way up
            narrow.unpersist()


def _by_task(
    narrow: DataFrame,
    task: str,
    classes: list[str],
    weighted: bool,
    exact_rows: int,
    chosen: ChosenThreshold | None,
    cost_matrix: CostMatrix | None,
) -> Evaluation:
    if task == "binary":
        from synml_dagster.evaluation.binary import evaluate_binary

        return evaluate_binary(narrow, classes or ["0", "1"], weighted, exact_rows, chosen)
    if task == "multiclass":
        from synml_dagster.evaluation.multiclass import evaluate_multiclass

        return evaluate_multiclass(narrow, classes, weighted, exact_rows, cost_matrix)
    from synml_dagster.evaluation.regression import evaluate_regression

    return evaluate_regression(narrow, weighted)
