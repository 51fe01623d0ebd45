"""Confidence intervals of rates, of their differences and of means."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist


def wilson(hits: float, of: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval of a rate (Wilson 1927): it stays in [0, 1] and holds for few rows and for rates of 0 and 1.

    Examples
    --------
    >>> low, high = wilson(0, 10)
    >>> round(low, 4), round(high, 4)
    (0.0, 0.2775)
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    rate, square = hits / of, z * z / of
    middle = (rate + square / 2) / (1 + square)
    half = z / (1 + square) * sqrt(rate * (1 - rate) / of + square / (4 * of))
    # At the ends the formula gives 0 and 1 but for rounding.
    return (0.0 if hits == 0 else middle - half), (1.0 if hits == of else middle + half)


def newcombe(
    hits_a: float, of_a: float, hits_b: float, of_b: float, confidence: float = 0.95
) -> tuple[float, float]:
    """Return the interval of rate a less rate b: Newcombe's hybrid score interval (1998, method 10)."""
    a, b = hits_a / of_a, hits_b / of_b
    low_a, high_a = wilson(hits_a, of_a, confidence)
    low_b, high_b = wilson(hits_b, of_b, confidence)
    down = sqrt((a - low_a) ** 2 + (high_b - b) ** 2)
    up = sqrt((high_a - a) ** 2 + (b - low_b) ** 2)
    return a - b - down, a - b + up


def mean_interval(mean: float, variance: float, of: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return Student's t interval of a mean; `variance` is that of the sample, over n - 1."""
    from scipy.stats import t

    half = float(t.ppf(0.5 + confidence / 2, of - 1)) * sqrt(variance / of)
    return mean - half, mean + half


def welch(
    mean_a: float, variance_a: float, of_a: float, mean_b: float, variance_b: float, of_b: float
) -> tuple[float, float] | None:
    """Return Welch's t and its two-sided p-value for the difference of two means; None where nothing varies or a group has one row."""
    from scipy.stats import t

    if of_a < 2 or of_b < 2:
        return None
    part_a, part_b = variance_a / of_a, variance_b / of_b
    if part_a + part_b <= 0:
        return None
    statistic = (mean_a - mean_b) / sqrt(part_a + part_b)
    freedom = (part_a + part_b) ** 2 / (part_a**2 / (of_a - 1) + part_b**2 / (of_b - 1))
    return statistic, float(2 * t.sf(abs(statistic), freedom))
