"""Curves and single numbers of a two-class decision, from scores that are already counted (`ScoreBins`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synml_dagster.evaluation.bins import ScoreBins
from synml_dagster.evaluation.result import (
    Calibration,
    Gains,
    PrCurve,
    RocCurve,
    ScoreHistogram,
    ThresholdRow,
)

_POINTS = 300  # of a drawn curve; more cannot be told apart on a screen
_CALIBRATION_GROUPS = 12
_HISTOGRAM_BINS = 40


def auc(bins: ScoreBins) -> float:
    """Area under the ROC curve; ties count half (Hanley and McNeil 1982). Needs both classes."""
    below = bins.negatives - np.cumsum(bins.negative)
    return float(np.sum(bins.positive * (below + bins.negative / 2)) / (bins.positives * bins.negatives))


def average_precision(bins: ScoreBins) -> float:
    """Sum of precision over the steps of recall, as scikit-learn defines it. Needs a positive row."""
    true, false = np.cumsum(bins.positive), np.cumsum(bins.negative)
    return float(np.sum(bins.positive / bins.positives * true / (true + false)))


def ks(bins: ScoreBins) -> float:
    """Return the Kolmogorov-Smirnov distance of the classes' score distributions. Needs both classes."""
    true, false = np.cumsum(bins.positive), np.cumsum(bins.negative)
    return float(np.max(np.abs(true / bins.positives - false / bins.negatives)))


def roc_curve(bins: ScoreBins) -> RocCurve:
    """Return the ROC curve, thinned evenly along its length."""
    false = np.concatenate([[0.0], np.cumsum(bins.negative) / bins.negatives])
    true = np.concatenate([[0.0], np.cumsum(bins.positive) / bins.positives])
    keep = _thin(false + true)
    return RocCurve(false_positive_rate=_rounded(false[keep]), true_positive_rate=_rounded(true[keep]))


def pr_curve(bins: ScoreBins) -> PrCurve:
    """Return the precision-recall curve, thinned evenly along recall."""
    true, false = np.cumsum(bins.positive), np.cumsum(bins.negative)
    recall, precision = true / bins.positives, true / (true + false)
    keep = _thin(recall)
    return PrCurve(recall=_rounded(recall[keep]), precision=_rounded(precision[keep]))


def gains_curve(bins: ScoreBins) -> Gains:
    """Return which share of the positives the best-scored share of the rows holds."""
    weight = np.cumsum(bins.positive + bins.negative)
    flagged = np.concatenate([[0.0], weight / weight[-1]])
    found = np.concatenate([[0.0], np.cumsum(bins.positive) / bins.positives])
    keep = _thin(flagged + found)
    return Gains(flagged=_rounded(flagged[keep]), found=_rounded(found[keep]))


def calibration(bins: ScoreBins, groups: int = _CALIBRATION_GROUPS) -> Calibration:
    """Compare prediction and outcome in groups of equal weight; equal scores stay in one group."""
    weight = bins.positive + bins.negative
    middle = (np.cumsum(weight) - weight / 2) / weight.sum()
    number = np.minimum((middle * groups).astype(int), groups - 1)
    total = np.bincount(number, weight, groups)
    keep = total > 0
    predicted = np.bincount(number, weight * bins.score, groups)[keep] / total[keep]
    observed = np.bincount(number, bins.positive, groups)[keep] / total[keep]
    return Calibration(
        predicted=_rounded(predicted[::-1]),
        observed=_rounded(observed[::-1]),
        weight=_rounded(total[keep][::-1]),
    )


def score_histogram(bins: ScoreBins, count: int = _HISTOGRAM_BINS) -> ScoreHistogram:
    """Count each class by probability in `count` equal steps."""
    step = np.clip((bins.score * count).astype(int), 0, count - 1)
    return ScoreHistogram(
        edges=_rounded(np.linspace(0, 1, count + 1)),
        positive=_rounded(np.bincount(step, bins.positive, count)),
        negative=_rounded(np.bincount(step, bins.negative, count)),
    )


def threshold_row(bins: ScoreBins, threshold: float) -> ThresholdRow:
    """Decide at `threshold`: a score at or above it counts as positive."""
    taken = int(np.count_nonzero(bins.low >= threshold))
    tp, fp = float(bins.positive[:taken].sum()), float(bins.negative[:taken].sum())
    fn, tn = bins.positives - tp, bins.negatives - fp
    total = bins.positives + bins.negatives

    def share(part: float, whole: float) -> float:
        return part / whole if whole > 0 else 0.0

    return ThresholdRow(
        threshold=threshold,
        flagged=share(tp + fp, total),
        precision=share(tp, tp + fp),
        recall=share(tp, bins.positives),
        specificity=share(tn, bins.negatives),
        accuracy=share(tp + tn, total),
        f1=share(2 * tp, 2 * tp + fp + fn),
        true_positive=tp,
        false_positive=fp,
        false_negative=max(fn, 0.0),
        true_negative=max(tn, 0.0),
    )


def best_f1_threshold(bins: ScoreBins) -> float:
    """Return the score at which deciding gives the highest F1; the highest such score."""
    true, false = np.cumsum(bins.positive), np.cumsum(bins.negative)
    f1 = 2 * true / (true + false + bins.positives)
    return float(bins.low[int(np.argmax(f1))])


def _thin(along: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return positions of at most `_POINTS` points spread evenly `along` a growing coordinate, ends included."""
    if len(along) <= _POINTS:
        return np.arange(len(along))
    grid = np.linspace(along[0], along[-1], _POINTS)
    return np.unique(
        np.concatenate([np.searchsorted(along, grid).clip(0, len(along) - 1), [0, len(along) - 1]])
    )


def _rounded(values: NDArray) -> list[float]:
    return [float(v) for v in np.round(values, 6)]
