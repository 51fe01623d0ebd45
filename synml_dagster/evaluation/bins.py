"""Scores as a short table: the weight of positives and negatives by score, added up on Spark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

EXACT_ROWS = 200_000
"""Up to this many scores are counted by distinct value, unless said otherwise."""

MAX_BINS = 640_000
_LOG_ODDS_RANGE = 20.0  # probabilities within 2e-9 of 0 or 1 share the outer bins


@dataclass(frozen=True, eq=False)
class ScoreBins:
    """Rows by score, best score first. Arrays are float64 [bins]."""

    score: NDArray[np.float64]
    """Weighted mean score of the bin."""
    low: NDArray[np.float64]
    """Lowest score in the bin: deciding at it takes the whole bin."""
    positive: NDArray[np.float64]
    """Weight of the positive rows."""
    negative: NDArray[np.float64]
    """Weight of the negative rows."""
    positive_squares: NDArray[np.float64]
    """Sum of the squared weights of the positive rows."""
    negative_squares: NDArray[np.float64]
    """The same of the negative rows."""

    @property
    def by_class(self) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]:
        """Weights and their squares, of the positive and of the negative rows."""
        return (self.positive, self.positive_squares), (self.negative, self.negative_squares)

    @property
    def positives(self) -> float:
        """Weight of all positive rows."""
        return float(self.positive.sum())

    @property
    def negatives(self) -> float:
        """Weight of all negative rows."""
        return float(self.negative.sum())


def bin_key(score: Column, scores: int, exact: int, budget: int = MAX_BINS) -> Column:
    """Return the bin of a probability: its own value, or beyond `exact` scores a bin of log-odds.

    A bin holds scores whose odds differ by a factor of exp(40 / budget), 1.00006 at the default. Rows in one bin count as
    tied, which moves ROC AUC by less than a millionth for calibrated scores: inside a bin the odds of being positive
    hardly differ, so the order that is lost was worth half. No bin straddles 0.5.
    """
    from pyspark.sql import functions as sf

    if scores <= exact:
        return score
    width = 2 * _LOG_ODDS_RANGE / budget
    tiny = sf.lit(float(np.exp(-_LOG_ODDS_RANGE)))
    odds = sf.greatest(score, tiny) / sf.greatest(1 - score, tiny)
    return sf.floor(sf.log(odds) / sf.lit(width))


def score_bins(frame: DataFrame, rows: int, exact: int = EXACT_ROWS) -> ScoreBins:
    """Add up `frame` (y in {0, 1}, score in [0, 1], w) by score, in one Spark job."""
    from pyspark.sql import functions as sf

    by_key = frame.groupBy(bin_key(sf.col("score"), rows, exact).alias("key")).agg(
        *bin_sums(sf.col("y") == 1)
    )
    return bins_from_arrow(by_key.drop("key").toArrow())


def bin_sums(positive: Column) -> list[Column]:
    """Return the aggregates that make a `ScoreBins` of the columns `score` and `w`."""
    from pyspark.sql import functions as sf

    w = sf.col("w")
    return [
        sf.sum(w * sf.col("score")).alias("total"),
        sf.min("score").alias("low"),
        sf.sum(sf.when(positive, w).otherwise(0.0)).alias("positive"),
        sf.sum(sf.when(positive, 0.0).otherwise(w)).alias("negative"),
        sf.sum(sf.when(positive, w * w).otherwise(0.0)).alias("positive_squares"),
        sf.sum(sf.when(positive, 0.0).otherwise(w * w)).alias("negative_squares"),
    ]


def bins_from_arrow(table: object) -> ScoreBins:
    """Order an Arrow table of `bin_sums` by score."""
    names = ("total", "low", "positive", "negative", "positive_squares", "negative_squares")
    total, low, positive, negative, *squares = (
        np.asarray(table.column(name).to_numpy(), dtype=np.float64)  # type: ignore[attr-defined]
        for name in names
    )
    weight = positive + negative
    keep = weight > 0
    order = np.argsort(-low[keep], kind="stable")

    def placed(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return values[keep][order]

    return ScoreBins(
        placed(total) / placed(weight),
        placed(low),
        placed(positive),
        placed(negative),
        placed(squares[0]),
        placed(squares[1]),
    )
