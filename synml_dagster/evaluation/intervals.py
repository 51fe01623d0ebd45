"""How sure a metric is: 95% confidence intervals, from sums that Spark has added up.

Rates have Wilson's interval, ROC AUC DeLong's, means Student's, RMSE and R² the delta method's. What has no closed form is
bootstrapped over cells of equal scores, on the driver, with a seed: as exact as a bootstrap of the rows, and as cheap for a
million of them as for a thousand. Nothing depends on how the table was partitioned.

All take rows as drawn one by one from those that the model will meet. Queries of a ranking are the unit there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, isfinite, log, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from synml_dagster.balance import wilson
from synml_dagster.evaluation.bins import ScoreBins
from synml_dagster.evaluation.result import Interval

if TYPE_CHECKING:
    from pyspark.sql import Column

Statistic = Callable[["Replicates"], NDArray[np.float64]]
"""Values by replicate, NaN where a replicate has none."""

CONFIDENCE = 0.95
_REPLICATES = 400
_AT_AN_END = 1e-9
_AT_ONCE = 4_000_000  # draws; bounds the memory of a bootstrap


def rate(value: float, rows: float) -> Interval | None:
    """Return Wilson's interval of a share of `rows`, or of as many as weighted ones are worth."""
    if rows <= 0:
        return None
    low, high = wilson(value * rows, rows, CONFIDENCE)
    return Interval(low=max(0.0, low), high=min(1.0, high), method="Wilson")


def bounded(value: float, interval: Interval | None, rows: float) -> Interval | None:
    """Return the interval of a figure between 0 and 1; Wilson's of `rows` where it stands at an end.

    There it does not vary over the rows, and a variance or a bootstrap would say that it is certain. A figure of 0 to 1
    varies at most as a share does.
    """
    if min(abs(value), abs(1 - value)) > _AT_AN_END:
        return interval
    return rate(float(round(value)), rows)


def effective(weight: float, squares: float) -> float:
    """Return how many rows of equal weight are worth the same: `(sum w)^2 / sum w^2` (Kish 1965)."""
    return weight * weight / squares if squares > 0 else 0.0


@dataclass(frozen=True)
class WeightedMean:
    """A mean with the variance of it, from sums over rows."""

    mean: float
    variance: float
    """Of the mean, not of a row."""
    rows: float
    """Effective ones."""

    @classmethod
    def of(cls, weight: float, squares: float, mean: float, first: float, second: float) -> WeightedMean:
        """Return it from `sum w`, `sum w^2`, the mean, `sum w^2 v` and `sum w^2 v^2`."""
        rows = effective(weight, squares)
        if rows <= 1:
            return cls(mean, float("nan"), rows)
        around = max(0.0, second - 2 * mean * first + mean * mean * squares)
        return cls(mean, around / weight**2 * rows / (rows - 1), rows)

    def interval(self, low: float = -float("inf"), high: float = float("inf")) -> Interval | None:
        """Return Student's t interval, kept within `low` and `high`; None for fewer than two rows."""
        reach = self._reach()
        if reach is None:
            return None
        return Interval(low=max(low, self.mean - reach), high=min(high, self.mean + reach), method="t")

    def root_interval(self) -> Interval | None:
        """Return the interval of the mean's root: that of its logarithm by the delta method, so that it stays above 0."""
        reach = self._reach()
        if reach is None or self.mean < 0:
            return None
        if self.mean == 0:
            return Interval(low=0.0, high=0.0, method="delta")
        half = reach / self.mean / 2
        return _finite(sqrt(self.mean) * exp(-min(half, 700)), sqrt(self.mean) * exp(min(half, 700)), "delta")

    def _reach(self) -> float | None:
        from scipy.stats import t

        if not isfinite(self.variance):
            return None
        return float(t.ppf(0.5 + CONFIDENCE / 2, self.rows - 1)) * sqrt(self.variance)


def squared_sums(name: str, value: Column) -> list[Column]:
    """Return the aggregates `<name>_1` and `<name>_2` that `WeightedMean.of` takes, of `value` and the column `w`."""
    from pyspark.sql import functions as sf

    square = sf.col("w") * sf.col("w")
    return [sf.sum(square * value).alias(f"{name}_1"), sf.sum(square * value * value).alias(f"{name}_2")]


def explained(r2: float, spread: float, variance: float, rows: float) -> Interval | None:
    """Return the interval of R² by the delta method, on the logarithm of the share that is not explained.

    `spread` is the weighted sum of squares around the mean, and `variance` is `sum w^2 (e^2 - (1 - r2) d^2)^2` over errors e and
    distances d from the mean: of a ratio of two sums (Cochran 1977, 2.11).
    """
    from scipy.stats import t

    rest = 1 - r2
    if rows <= 1 or not isfinite(variance):
        return None
    if rest <= 0:
        return Interval(low=1.0, high=1.0, method="delta")
    error = sqrt(max(0.0, variance) * rows / (rows - 1)) / spread
    half = min(700.0, float(t.ppf(0.5 + CONFIDENCE / 2, rows - 1)) * error / rest)
    return _finite(1 - rest * exp(half), 1 - rest * exp(-half), "delta")


@dataclass(frozen=True, eq=False)
class Placements:
    """Where the rows of one class stand among those of the other, bin by bin: what DeLong's variance is made of."""

    area: float
    positive: NDArray[np.float64]
    """[bins] weight share of the negatives below a positive row of the bin, ties half."""
    negative: NDArray[np.float64]
    """[bins] weight share of the positives above a negative row of the bin, ties half."""

    @classmethod
    def of(cls, bins: ScoreBins) -> Placements:
        """Return the placements; needs both classes."""
        below = bins.negatives - np.cumsum(bins.negative) + bins.negative / 2
        above = np.cumsum(bins.positive) - bins.positive / 2
        positive, negative = below / bins.negatives, above / bins.positives
        return cls(float(np.sum(bins.positive * positive) / bins.positives), positive, negative)


def delong(bins: ScoreBins) -> Interval | None:
    """Return the interval of ROC AUC by DeLong, DeLong and Clarke-Pearson (1988), on the logit scale (Pepe 2003, 5.2)."""
    placed = Placements.of(bins)
    ranks = [effective(weight.sum(), squares.sum()) for weight, squares in bins.by_class]
    if min(ranks) <= 1:
        return None
    variance = 0.0
    for (weight, squares), place, rows in zip(
        bins.by_class, (placed.positive, placed.negative), ranks, strict=True
    ):
        off = np.sum(squares * (place - placed.area) ** 2) / weight.sum() ** 2
        variance += float(off) * rows / (rows - 1)
    return area_interval(placed.area, variance, min(ranks))


def area_interval(area: float, variance: float, rows: float) -> Interval | None:
    """Return the interval of an area under a ROC curve whose variance is known.

    Where no pair stands in the wrong order the variance is 0 and says nothing; then Wilson's interval of the rows of
    the rarer class is taken, all of them right.
    """
    if variance <= 0 or min(area, 1 - area) <= _AT_AN_END:
        return bounded(area, None, rows)
    half = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2) * sqrt(variance) / (area * (1 - area))
    middle = log(area / (1 - area))
    low, high = (1 / (1 + exp(-max(-700.0, min(700.0, middle + side * half)))) for side in (-1, 1))
    return Interval(low=low, high=high, method="DeLong")


@dataclass(frozen=True, eq=False)
class Replicates:
    """Resampled weights, by replicate and cell, best score first. Arrays are float64."""

    positive: NDArray[np.float64]
    negative: NDArray[np.float64]
    """[replicates, cells]"""
    flagged: NDArray[np.bool_]
    """[cells] whether the score is at or above 0.5."""
    losses: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
    """By name: mean loss of a positive and of a negative row of each cell."""


def bootstrap(
    bins: ScoreBins, statistics: dict[str, Statistic], seed: int = 0, *, most_cells: int = 10_000
) -> dict[str, Interval]:
    """Return bias-corrected percentile intervals (Efron 1981) of statistics of scores.

    Each cell of scores is drawn with a Poisson number of its rows (Hanley and MacGibbon 2006), positives and negatives
    apart, which is what drawing rows one by one comes to. Weights of rows count by their first two moments. Beyond
    `most_cells` neighbouring scores are taken together; what that changes in a statistic is added back.

    Parameters
    ----------
    bins
        The rows by score.
    statistics
        By metric: what to compute of `Replicates`.
    seed
        Of the draws.
    most_cells
        What the time and the memory of a draw are bounded by.

    Returns
    -------
    dict
        By metric; one is absent where too few replicates have a value.
    """
    rng = np.random.default_rng(seed)
    cells = _cells(bins, most_cells)

    def replicates(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> Replicates:
        return Replicates(positive, negative, cells.flagged, cells.losses)

    centre = replicates(cells.positive[None], cells.negative[None])
    at = {name: float(statistic(centre)[0]) for name, statistic in statistics.items()}
    drawn: dict[str, list[NDArray[np.float64]]] = {name: [] for name in statistics}
    step = max(1, _AT_ONCE // (2 * len(cells.positive)))
    for begin in range(0, _REPLICATES, step):
        n = min(step, _REPLICATES - begin)
        made = replicates(
            _drawn(rng, n, cells.positive, cells.positive_squares),
            _drawn(rng, n, cells.negative, cells.negative_squares),
        )
        for name, statistic in statistics.items():
            drawn[name].append(statistic(made))
    found = {}
    for name, values in drawn.items():
        if (interval := _bias_corrected(np.concatenate(values), at[name])) is not None:
            found[name] = interval
    return found


def _drawn(
    rng: np.random.Generator, n: int, weight: NDArray[np.float64], squares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Draw the weight of each cell: of mean `weight` and variance `squares`, Poisson where all rows weigh one."""
    unit = np.divide(squares, weight, out=np.ones_like(weight), where=weight > 0)
    return np.asarray(rng.poisson(weight / unit, (n, len(weight))) * unit, dtype=np.float64)


def _bias_corrected(values: NDArray[np.float64], at: float) -> Interval | None:
    known = values[np.isfinite(values)]
    if not isfinite(at) or len(known) < len(values) / 2:
        return None
    normal = NormalDist()
    below = (np.mean(known < at) + np.mean(known <= at)) / 2
    shift = normal.inv_cdf(float(np.clip(below, 1 / (len(known) + 1), 1 - 1 / (len(known) + 1))))
    tail = normal.inv_cdf(0.5 + CONFIDENCE / 2)
    low, high = np.quantile(known, [normal.cdf(2 * shift - tail), normal.cdf(2 * shift + tail)])
    return Interval(low=min(float(low), at), high=max(float(high), at), method="bootstrap")


@dataclass(frozen=True, eq=False)
class _Cells:
    positive: NDArray[np.float64]
    negative: NDArray[np.float64]
    positive_squares: NDArray[np.float64]
    negative_squares: NDArray[np.float64]
    flagged: NDArray[np.bool_]
    losses: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]


def _cells(bins: ScoreBins, most: int) -> _Cells:
    """Take neighbouring bins together, none across 0.5."""
    from synml_dagster.evaluation.soundness import EPSILON

    flagged = bins.low >= 0.5
    place = np.arange(len(flagged)) * min(most, len(flagged)) // len(flagged)
    _, cell = np.unique(2 * place + ~flagged, return_inverse=True)
    p = np.clip(bins.score, EPSILON, 1 - EPSILON)

    def add(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(cell, values), dtype=np.float64)

    def mean(values: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
        total = add(weight)
        return np.divide(add(values * weight), total, out=np.zeros_like(total), where=total > 0)

    return _Cells(
        add(bins.positive),
        add(bins.negative),
        add(bins.positive_squares),
        add(bins.negative_squares),
        np.bincount(cell, flagged) > 0,
        {
            "logloss": (mean(-np.log(p), bins.positive), mean(-np.log1p(-p), bins.negative)),
            "brier": (mean((1 - bins.score) ** 2, bins.positive), mean(bins.score**2, bins.negative)),
        },
    )


def loss(name: str) -> Statistic:
    """Return the mean of a loss by replicate."""

    def of(r: Replicates) -> NDArray[np.float64]:
        of_positive, of_negative = r.losses[name]
        with np.errstate(divide="ignore", invalid="ignore"):
            return (r.positive @ of_positive + r.negative @ of_negative) / (r.positive + r.negative).sum(1)

    return of


def average_precision(r: Replicates) -> NDArray[np.float64]:
    """Return average precision by replicate."""
    true, total = np.cumsum(r.positive, 1), np.cumsum(r.positive + r.negative, 1)
    precision = np.divide(true, total, out=np.zeros_like(true), where=total > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (r.positive * precision).sum(1) / r.positive.sum(1)


def ks(r: Replicates) -> NDArray[np.float64]:
    """Return the Kolmogorov-Smirnov distance by replicate.

    A largest distance is biased upwards in small samples, and its interval covers less than it says there: 85 to 90% of
    the time with 100 to 1,000 rows.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        true = np.cumsum(r.positive, 1) / r.positive.sum(1, keepdims=True)
        false = np.cumsum(r.negative, 1) / r.negative.sum(1, keepdims=True)
    return np.abs(true - false).max(1)


def f1(r: Replicates) -> NDArray[np.float64]:
    """Return F1 at 0.5 by replicate."""
    true, false = r.positive @ r.flagged, r.negative @ r.flagged
    with np.errstate(divide="ignore", invalid="ignore"):
        return 2 * true / (true + false + r.positive.sum(1))


def macro_f1(table: NDArray[np.float64], squares: NDArray[np.float64], seed: int = 0) -> Interval | None:
    """Return the bootstrap interval of macro F1, cells of the confusion table being drawn.

    `table` and `squares` are sums of w and of w² by true class (rows) and answer, float64 [k, k].
    """
    k = len(table)
    used = (table.sum(0) + table.sum(1)) > 0
    drawn = _drawn(np.random.default_rng(seed), _REPLICATES, table.ravel(), squares.ravel())

    def of(tables: NDArray[np.float64]) -> NDArray[np.float64]:
        both = tables.sum(1) + tables.sum(2)
        right = 2 * np.diagonal(tables, axis1=1, axis2=2)
        scores = np.divide(right, both, out=np.zeros_like(both), where=both > 0)
        return np.asarray(scores[:, used].mean(1))

    return _bias_corrected(of(drawn.reshape(-1, k, k)), float(of(table[None])[0]))


def _finite(low: float, high: float, method: str) -> Interval | None:
    return Interval(low=low, high=high, method=method) if isfinite(low) and isfinite(high) else None
