"""Whether one model is better than another, or was lucky: both answer the same rows, and the rows are drawn anew.

Two models that are alike are right and wrong on the same rows, so the difference of their metrics is far surer than either
metric. The paired bootstrap (Efron and Tibshirani 1993, 6.4) shows how sure: rows are drawn again and again, both models
are measured on what was drawn, and the share of draws in which one is ahead is counted. Queries of a ranking are the unit
there, as the rows of one query are not independent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ConfigError
from synml_dagster.evaluation import intervals
from synml_dagster.evaluation.catalogue import better_by, metric_info
from synml_dagster.evaluation.result import Interval
from synml_dagster.evaluation.soundness import EPSILON

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame

Floats = NDArray[np.float64]
Measure = Callable[[Floats], Floats]
"""Weights, float64 [draws, rows], to the metric of each draw, float64 [draws]; NaN where a draw has none."""

DRAWS = 1000
MOST_ROWS = 100_000
_AT_ONCE = 4_000_000  # weights; bounds the memory of a bootstrap


@dataclass(frozen=True, eq=False)
class PairedGain:
    """By how much a challenger is better than a champion, measured again and again on rows drawn from the same ones."""

    metric: str
    value: float
    """On the rows themselves; above 0 where the challenger is better, whichever way is better for the metric."""
    draws: Floats
    """The gain of each draw."""
    units: int
    """Rows that were drawn from, or queries."""
    of: int
    """Rows or queries that there are; more than `units` where a sample of them was drawn from."""

    @property
    def interval(self) -> Interval:
        """The 95% percentile interval of the gain."""
        low, high = np.quantile(self.draws, [0.025, 0.975])
        return Interval(low=float(low), high=float(high), method="paired bootstrap")

    def sure(self, minimum: float = 0.0) -> float:
        """Return the share of draws whose gain is above `minimum`; equal answers are worth half of it."""
        return float(np.mean(self.draws > minimum) + np.mean(self.draws == minimum) / 2)


def paired_gain(
    scored: DataFrame,
    metric: str,
    *,
    task: str,
    champion: str,
    challenger: str,
    label: str = "__label",
    weight: str | None = None,
    group: str | None = None,
    linear_gain: bool = False,
    label_gain: Sequence[float] | None = None,
    most_rows: int = MOST_ROWS,
    seed: int = 0,
) -> PairedGain | None:
    """Draw the rows of a table that both models have scored, and measure the challenger against the champion on each draw.

    Parameters
    ----------
    scored
        One row per labelled row, as for `evaluate`.
    metric
        The name of a metric of `task`.
    champion, challenger
        The columns of their answers: a probability (binary), probabilities by class (multiclass), numbers (regression) or
        scores to rank by.
    most_rows
        Of more rows (or queries) a sample of about so many is drawn from, which makes the interval wider and no less true.
    seed
        Of the sample and of the draws.

    Returns
    -------
    PairedGain or None
        None where most draws give no value, such as a ROC AUC of rows of one class.

    Raises
    ------
    ConfigError
        The task has no such metric.
    """
    from pyspark.sql import functions as sf

    from synml_dagster.spark.quoting import quoted

    metric_info(metric, task)
    more = [sf.col(quoted(group)).alias("g")] if task == "ranking" and group else []
    held = _rows(scored, label, champion, challenger, weight, *more)
    if task == "ranking":
        if not more:
            raise ConfigError(
                "A ranking is compared by query: name the column of the query ids with `group`."
            )
        held = _queries(held, metric, linear_gain, label_gain)
    held = held.persist()  # counted and fetched, and scored once
    try:
        count = held.count()
        table = (held if count <= most_rows else held.sample(most_rows / count, seed=seed)).toArrow()
    finally:
        with suppress(Exception):  # the session may be the reason for the error that is on its way up
            held.unpersist()
    if not table.num_rows:
        return None
    first, second = (_answers(table.column(name)) for name in ("first", "second"))
    w, y = (table.column(name).to_numpy().astype(np.float64) for name in ("w", "y"))
    measures = measure_of(metric, task, y, first), measure_of(metric, task, y, second)
    with np.errstate(divide="ignore", invalid="ignore"):
        at = [float(measure(w[None])[0]) for measure in measures]
        draws = _drawn(metric, measures, w, seed)
    known = draws[np.isfinite(draws)]
    if not all(np.isfinite(at)) or len(known) < len(draws) / 2:
        return None
    return PairedGain(metric, better_by(metric, at[1], at[0]), known, table.num_rows, count)


def measure_of(metric: str, task: str, y: Floats, answers: Floats) -> Measure:
    """Return what measures `answers` on weighted rows.

    Parameters
    ----------
    y
        [rows] class indices (binary, multiclass), numbers (regression); not looked at for a ranking.
    answers
        [rows] probabilities of class 1 or numbers, [rows, classes] probabilities, or the metric of each query (ranking).
    """
    if task == "binary":
        return _binary(metric, y == 1, answers)
    if task == "multiclass":
        return _multiclass(metric, y.astype(np.int64), answers)
    if task == "regression":
        return _regression(metric, y, answers)
    return _mean(answers)


def _drawn(metric: str, measures: tuple[Measure, Measure], w: Floats, seed: int) -> Floats:
    """Poisson numbers of each row (Hanley and MacGibbon 2006), the same ones for both models."""
    rng = np.random.default_rng(seed)
    step, found = max(1, _AT_ONCE // len(w)), []
    for begin in range(0, DRAWS, step):
        weights = rng.poisson(1.0, (min(step, DRAWS - begin), len(w))) * w
        old, new = (measure(weights) for measure in measures)
        found.append(np.array([better_by(metric, a, b) for a, b in zip(new, old, strict=True)]))
    return np.concatenate(found)


def _mean(values: Floats) -> Measure:
    return lambda w: np.asarray((w @ values) / w.sum(1))


def _binary(metric: str, positive: NDArray[np.bool_], p: Floats) -> Measure:
    if metric == "logloss":
        clipped = np.clip(p, EPSILON, 1 - EPSILON)
        return _mean(-np.log(np.where(positive, clipped, 1 - clipped)))
    if metric == "brier":
        return _mean((p - positive) ** 2)
    flagged = p >= 0.5
    if metric == "accuracy":
        return _mean((flagged == positive).astype(np.float64))
    if metric in ("precision", "recall", "f1"):
        right, of, have = (np.asarray(mask, np.float64) for mask in (flagged & positive, flagged, positive))

        def shares(w: Floats) -> Floats:
            true, found, all_ = w @ right, w @ of, w @ have
            below = {"precision": found, "recall": all_, "f1": (found + all_) / 2}[metric]
            return np.asarray(np.divide(true, below, out=np.zeros_like(true), where=below > 0))

        return shares
    return _by_score(
        {"auc": _auc, "average_precision": intervals.average_precision, "ks": intervals.ks}[metric],
        positive,
        p,
    )


def _by_score(statistic: intervals.Statistic, positive: NDArray[np.bool_], p: Floats) -> Measure:
    """A statistic of the weight of both classes by score, the best first and equal ones together."""
    order = np.argsort(-p, kind="stable")
    ranked = p[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    flagged, one = ranked[starts] >= 0.5, positive[order].astype(np.float64)

    def of(w: Floats) -> Floats:
        w = w[:, order]
        of_positive = np.add.reduceat(w * one, starts, axis=1)
        of_negative = np.add.reduceat(w, starts, axis=1) - of_positive
        return statistic(intervals.Replicates(of_positive, of_negative, flagged, {}))

    return of


def _auc(r: intervals.Replicates) -> Floats:
    positives, negatives = r.positive.sum(1), r.negative.sum(1)
    below = negatives[:, None] - np.cumsum(r.negative, 1) + r.negative / 2
    return np.asarray((r.positive * below).sum(1) / (positives * negatives))


def _multiclass(metric: str, y: NDArray[np.int64], p: Floats) -> Measure:
    classes, best = range(p.shape[1]), p.argmax(1)
    if metric == "logloss":
        return _mean(-np.log(np.maximum(p[np.arange(len(y)), y], EPSILON)))
    if metric == "accuracy":
        return _mean((best == y).astype(np.float64))
    if metric == "f1_macro":
        seen = [c for c in classes if (y == c).any() or (best == c).any()]
        each = [_binary("f1", y == c, (best == c).astype(np.float64)) for c in seen]
    else:
        each = [_by_score(_auc, y == c, p[:, c]) for c in classes if (y == c).any() and (y != c).any()]

    def mean(w: Floats) -> Floats:
        # A class that a draw has left out is no part of that draw's mean.
        values = np.array([measure(w) for measure in each])
        known = np.isfinite(values)
        return np.asarray(np.where(known, values, 0).sum(0) / known.sum(0))

    return mean


def _regression(metric: str, y: Floats, p: Floats) -> Measure:
    error = p - y
    if metric == "rmse":
        squared = _mean(error**2)
        return lambda w: np.sqrt(squared(w))
    if metric == "r2":
        unexplained, middle = _mean(error**2), float(y.mean())
        first, second = _mean(y - middle), _mean((y - middle) ** 2)
        return lambda w: 1 - unexplained(w) / (second(w) - first(w) ** 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        return _mean({"mae": np.abs(error), "mape": np.abs(error / y), "bias": error}[metric])


def _rows(
    scored: DataFrame, label: str, champion: str, challenger: str, weight: str | None, *more: Column
) -> DataFrame:
    from pyspark.sql import functions as sf

    from synml_dagster.spark.quoting import quoted

    return scored.select(
        sf.col(quoted(label)).cast("double").alias("y"),
        (sf.lit(1.0) if weight is None else sf.col(quoted(weight)).cast("double")).alias("w"),
        sf.col(quoted(champion)).alias("first"),
        sf.col(quoted(challenger)).alias("second"),
        *more,
    )


def _queries(
    rows: DataFrame, metric: str, linear_gain: bool, label_gain: Sequence[float] | None
) -> DataFrame:
    """One row per query `g`, with the metric of both models."""
    from pyspark.sql import functions as sf

    from synml_dagster.evaluation.ranking import by_query
    from synml_dagster.spark.quoting import quoted

    one, other = (
        by_query(rows.withColumn("score", sf.col(name).cast("double")), linear_gain, label_gain).select(
            "g", "w", sf.col(quoted(metric)).alias(name)
        )
        for name in ("first", "second")
    )
    return one.join(other.drop("w"), "g").select("w", sf.lit(0.0).alias("y"), "first", "second")


def _answers(column: pa.ChunkedArray) -> Floats:
    """[rows], or [rows, classes] where each row holds a list."""
    if hasattr(column.type, "value_type"):
        flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return np.asarray(flat, dtype=np.float64).reshape(len(column), -1)
    return np.asarray(column.to_numpy(), dtype=np.float64)
