"""Two classes: everything follows from the weight of positives and negatives by score."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from synml_dagster.evaluation import curves, intervals
from synml_dagster.evaluation.bins import ScoreBins, score_bins
from synml_dagster.evaluation.catalogue import METRICS
from synml_dagster.evaluation.costs import ChosenThreshold, priced
from synml_dagster.evaluation.result import Confusion, Evaluation, Interval, ThresholdRow
from synml_dagster.evaluation.soundness import BINARY_FAULTS, EPSILON, binary_faults, check_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_TABLE_THRESHOLDS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]


def evaluate_binary(
    frame: DataFrame,
    classes: list[str],
    weighted: bool,
    exact_rows: int,
    chosen: ChosenThreshold | None = None,
) -> Evaluation:
    """Measure `frame` (y in {0, 1}, score = probability of class 1, w)."""
    from pyspark.sql import functions as sf

    y, p, w = sf.col("y"), sf.col("score"), sf.col("w")
    clipped = sf.least(sf.greatest(p, sf.lit(EPSILON)), sf.lit(1 - EPSILON))
    surprise = -sf.log(sf.when(y == 1, clipped).otherwise(1 - clipped))
    sums = frame.agg(
        sf.count(sf.lit(1)).alias("rows"),
        sf.sum(w).alias("weight"),
        sf.sum(w * surprise).alias("logloss"),
        sf.sum(w * (p - y) * (p - y)).alias("brier"),
        *binary_faults(y, p, w),
    ).collect()[0]
    check_rows(sums["rows"], sums["weight"], {words: sums[name] for name, words in BINARY_FAULTS.items()})

    bins = score_bins(frame, sums["rows"], exact_rows)
    total = float(sums["weight"])
    metrics = {"logloss": sums["logloss"] / total, "brier": sums["brier"] / total}
    at_half = curves.threshold_row(bins, 0.5)
    metrics |= {
        "accuracy": at_half.accuracy,
        "precision": at_half.precision,
        "recall": at_half.recall,
        "f1": at_half.f1,
    }
    evaluation = Evaluation(
        task="binary",
        rows=sums["rows"],
        weight=total,
        weighted=weighted,
        classes=classes,
        metrics={},
        baseline=_baseline(bins),
        scores=curves.score_histogram(bins),
        calibration=curves.calibration(bins),
        thresholds=[curves.threshold_row(bins, t) for t in _TABLE_THRESHOLDS],
        confusion=_confusion(at_half, classes),
    )
    if bins.positives and bins.negatives:
        metrics |= {
            "auc": curves.auc(bins),
            "average_precision": curves.average_precision(bins),
            "ks": curves.ks(bins),
        }
        evaluation.roc = curves.roc_curve(bins)
        evaluation.pr = curves.pr_curve(bins)
        evaluation.gains = curves.gains_curve(bins)
        evaluation.best_f1 = curves.threshold_row(bins, curves.best_f1_threshold(bins))
    else:
        only = classes[1] if bins.positives else classes[0]
        evaluation.notes.append(
            f"All of the evaluated rows are of class {only!r}: ROC AUC, average precision and KS need both classes."
        )
    evaluation.choice = priced(bins, chosen) if chosen else None
    evaluation.intervals = _intervals(bins, at_half, metrics)
    evaluation.metrics = {name: float(metrics[name]) for name in METRICS["binary"] if name in metrics}
    return evaluation


def _intervals(bins: ScoreBins, at_half: ThresholdRow, metrics: dict[str, float]) -> dict[str, Interval]:
    """The intervals of `metrics`, by name."""
    statistics: dict[str, intervals.Statistic] = {name: intervals.loss(name) for name in ("logloss", "brier")}
    found: dict[str, Interval | None] = {}
    flagged = bins.low >= 0.5
    (positive, positive_squares), (negative, negative_squares) = bins.by_class
    weight, squares = positive + negative, positive_squares + negative_squares
    rows = {
        "accuracy": intervals.effective(weight.sum(), squares.sum()),
        "precision": intervals.effective(weight[flagged].sum(), squares[flagged].sum()),
        "recall": intervals.effective(positive.sum(), positive_squares.sum()),
    }
    found |= {name: intervals.rate(getattr(at_half, name), of) for name, of in rows.items()}
    if bins.positives:
        statistics["f1"] = intervals.f1
    if bins.positives and bins.negatives:
        found["auc"] = intervals.delong(bins)
        statistics |= {"average_precision": intervals.average_precision, "ks": intervals.ks}
    found |= intervals.bootstrap(bins, statistics)
    rarer = min(intervals.effective(w.sum(), w2.sum()) for w, w2 in bins.by_class)
    for name in ("average_precision", "f1", "ks"):
        if name in metrics:
            found[name] = intervals.bounded(metrics[name], found.get(name), rarer)
    known = [name for name in METRICS["binary"] if name in metrics]
    return {name: interval for name in known if (interval := found.get(name)) is not None}


def _confusion(row: ThresholdRow, classes: list[str]) -> Confusion:
    return Confusion(
        classes=classes,
        weight=[[row.true_negative, row.false_positive], [row.false_negative, row.true_positive]],
    )


def _baseline(bins: ScoreBins) -> dict[str, float]:
    """Answer every row with the share of positives."""
    share = bins.positives / (bins.positives + bins.negatives)
    always = 1.0 if share >= 0.5 else 0.0
    if not 0 < share < 1:
        return {"logloss": 0.0, "brier": 0.0, "accuracy": 1.0}
    return {
        "auc": 0.5,
        "average_precision": share,
        "logloss": float(-share * np.log(share) - (1 - share) * np.log(1 - share)),
        "brier": share * (1 - share),
        "accuracy": max(share, 1 - share),
        "precision": share * always,
        "recall": always,
        "f1": always * 2 * share / (1 + share),
        "ks": 0.0,
    }
