"""Where to cut a probability when wrong answers cost: chosen on some rows, priced on others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from synml_dagster.evaluation import curves
from synml_dagster.evaluation.bins import ScoreBins
from synml_dagster.evaluation.intervals import WeightedMean
from synml_dagster.evaluation.result import Cost, CostCurve, ThresholdChoice
from synml_dagster.evaluation.spec import Costs

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_POINTS = 101


@dataclass(frozen=True)
class ChosenThreshold:
    """A threshold and where it is from."""

    threshold: float
    costs: Costs
    rows: int
    """Rows that it was chosen on."""
    chosen_on: str = "validation"


def choose_threshold(
    scored: DataFrame,
    costs: Costs,
    *,
    label: str = "__label",
    probability: str = "probability",
    weight: str | None = None,
    chosen_on: str = "validation",
) -> ChosenThreshold:
    """Return the threshold at which the answers of a scored table cost least; one Spark job or two.

    Every score of the table is tried, and flagging none. Between the lowest score that is flagged and the highest that
    is not, the middle is taken. Of several that cost the same, the one that is nearest to what calibrated
    probabilities would have it be (`Costs.of_calibrated`).

    Parameters
    ----------
    scored
        Labelled rows (0 or 1) with the probability of class 1. Not those that the cost is then measured on.

    Raises
    ------
    DataError
        There are no rows, or labels, probabilities or weights that nothing can be measured of.
    """
    from pyspark.sql import functions as sf

    from synml_dagster.evaluation.bins import EXACT_ROWS, score_bins
    from synml_dagster.evaluation.soundness import check_binary
    from synml_dagster.spark.quoting import quoted
    from synml_dagster.spark.task_errors import typed_errors

    narrow = scored.select(
        sf.col(quoted(label)).cast("double").alias("y"),
        sf.col(quoted(probability)).cast("double").alias("score"),
        (sf.lit(1.0) if weight is None else sf.col(quoted(weight)).cast("double")).alias("w"),
    ).persist()
    try:
        with typed_errors():
            rows = check_binary(narrow)
            return ChosenThreshold(
                best_threshold(score_bins(narrow, rows, EXACT_ROWS), costs), costs, rows, chosen_on
            )
    finally:
        narrow.unpersist()


def best_threshold(bins: ScoreBins, costs: Costs) -> float:
    """Return the threshold in [0, 1] at which deciding costs least; just above the highest score where flagging none does."""
    missed = bins.positives - np.concatenate([[0.0], np.cumsum(bins.positive)])
    alarms = np.concatenate([[0.0], np.cumsum(bins.negative)])
    cost = costs.false_positive * alarms + costs.false_negative * missed
    ends = np.concatenate([[np.nextafter(1.0, 2.0)], bins.low, [0.0]])
    # Between the lowest flagged score and the highest other one; below it all, and above it all, any is as good.
    middle = (ends[:-1] + ends[1:]) / 2
    middle[0] = ends[0] if bins.low[0] >= 1 else middle[0]
    middle = np.where(np.concatenate([[False], bins.low >= 0.5]) & (middle < 0.5), 0.5, middle)
    all_wrong = costs.false_positive * bins.negatives + costs.false_negative * bins.positives
    least = np.flatnonzero(cost <= cost.min() + 1e-12 * all_wrong)
    return float(middle[least[np.argmin(np.abs(middle[least] - costs.of_calibrated))]])


def priced(bins: ScoreBins, chosen: ChosenThreshold) -> ThresholdChoice:
    """Return what a chosen threshold costs on these rows, beside what 0.5 costs."""
    costs, at = chosen.costs, chosen.threshold
    own, half = _by_bin(bins, costs, at), _by_bin(bins, costs, 0.5)
    grid = np.linspace(0, 1, _POINTS)
    return ThresholdChoice(
        costs=costs,
        threshold=at,
        of_calibrated=costs.of_calibrated,
        chosen_on=chosen.chosen_on,
        chosen_rows=chosen.rows,
        at=curves.threshold_row(bins, at),
        at_half=curves.threshold_row(bins, 0.5),
        cost=_mean(bins, own),
        cost_at_half=_mean(bins, half),
        saved=_mean(bins, (half[0] - own[0], half[1] - own[1])),
        curve=CostCurve(
            threshold=[float(t) for t in grid],
            cost=[_mean(bins, _by_bin(bins, costs, float(t))).value for t in grid],
        ),
    )


def _by_bin(bins: ScoreBins, costs: Costs, threshold: float) -> tuple[NDArray[np.float64], ...]:
    """What a positive and what a negative row of each bin cost."""
    flagged = bins.low >= threshold
    return np.where(flagged, 0.0, costs.false_negative), np.where(flagged, costs.false_positive, 0.0)


def _mean(bins: ScoreBins, by_bin: tuple[NDArray[np.float64], ...]) -> Cost:
    weight = squares = total = first = second = 0.0
    for (w, w2), cost in zip(bins.by_class, by_bin, strict=True):
        weight, squares, total = weight + w.sum(), squares + w2.sum(), total + (w * cost).sum()
        first, second = first + (w2 * cost).sum(), second + (w2 * cost**2).sum()
    mean = WeightedMean.of(weight, squares, float(total / weight), float(first), float(second))
    interval = mean.interval()
    return Cost(
        value=mean.mean, low=interval.low if interval else None, high=interval.high if interval else None
    )
