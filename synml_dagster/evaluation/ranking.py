"""Rankings: NDCG and mean average precision by query, with window functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from synml_dagster.evaluation import intervals
from synml_dagster.evaluation.catalogue import METRICS, RANKING_CUTOFFS
from synml_dagster.evaluation.result import Evaluation, Histogram
from synml_dagster.evaluation.soundness import bad_weight, check_rows, no_number

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_HISTOGRAM_BINS = 20
MAX_GRADE = 30
"""Up to here `2 ** grade - 1` is the gain; LightGBM's own default table ends here, too."""


def evaluate_ranking(
    frame: DataFrame, weighted: bool, linear_gain: bool = False, label_gain: Sequence[float] | None = None
) -> Evaluation:
    """Measure `frame` (y = grade >= 0, score to rank by, w, g = query) in two Spark jobs.

    Gain is `2 ** grade - 1`, or the grade itself with `linear_gain`, or what `label_gain` says, and the discount of place i (from 1) is `1 / log2(i + 1)`, as in LightGBM. Rows with
    equal scores share the mean discount of their places (McSherry and Najork 2008), so that no lucky order of the
    table counts; for MAP they stand worst first. A query without a relevant row counts 1, as in LightGBM.
    """
    from pyspark.sql import functions as sf

    y, s, w = sf.col("y"), sf.col("score"), sf.col("w")
    most = len(label_gain) - 1 if label_gain else float("inf") if linear_gain else MAX_GRADE
    sums = frame.agg(
        sf.count(sf.lit(1)).alias("rows"),
        sf.sum(w).alias("weight"),
        sf.count(sf.when(no_number(y) | (y < 0) | (y > most), 1)).alias("labels"),
        sf.count(sf.when(no_number(s), 1)).alias("scores"),
        sf.count(sf.when(bad_weight(w), 1)).alias("weights"),
        sf.count(sf.when(sf.col("g").isNull(), 1)).alias("queries"),
    ).collect()[0]
    faults = {
        f"a label that is no grade 0..{most}": sums["labels"],
        "a score that is no number": sums["scores"],
        "a weight that is missing or negative": sums["weights"],
        "no query id": sums["queries"],
    }
    check_rows(sums["rows"], sums["weight"], faults)

    queries = by_query(frame, linear_gain, label_gain)
    query_weight = sf.col("w")
    ndcg10 = sf.least(sf.floor(sf.col("`ndcg@10`") * _HISTOGRAM_BINS), sf.lit(_HISTOGRAM_BINS - 1)).cast(
        "int"
    )
    names, unordered = list(METRICS["ranking"]), [f"unordered@{k}" for k in RANKING_CUTOFFS]
    found = (
        queries.groupBy(ndcg10.alias("bin"))
        .agg(
            sf.count(sf.lit(1)).alias("queries"),
            sf.sum(query_weight).alias("w"),
            sf.count(sf.when(sf.col("relevant") == 0, 1)).alias("empty"),
            sf.sum(query_weight * query_weight).alias("squares"),
            *(sf.sum(query_weight * sf.col(f"`{name}`")).alias(name) for name in [*names, *unordered]),
            *(c for name in names for c in intervals.squared_sums(name, sf.col(f"`{name}`"))),
        )
        .collect()
    )
    total = sum(row["w"] for row in found)
    count = sum(row["queries"] for row in found)
    empty = sum(row["empty"] for row in found)
    metrics = {name: float(sum(row[name] for row in found) / total) for name in names}
    squares = sum(row["squares"] for row in found)
    sure = {
        # Queries are what is drawn: the rows of one query are not independent of each other.
        name: intervals.bounded(
            metrics[name],
            intervals.WeightedMean.of(
                total, squares, metrics[name], *(sum(row[f"{name}_{i}"] for row in found) for i in (1, 2))
            ).interval(0.0, 1.0),
            intervals.effective(total, squares),
        )
        for name in names
    }
    histogram = np.zeros(_HISTOGRAM_BINS)
    for row in found:
        histogram[row["bin"]] = row["queries"]
    notes = [f"{empty:,} of {count:,} queries hold no relevant row; each counts 1."] if empty else []
    if label_gain:
        notes.append("The gain of a grade is what label_gain says.")
    elif linear_gain:
        notes.append(
            f"Grades go above {MAX_GRADE}, so the gain of a grade is the grade itself and not a power of 2."
        )
    return Evaluation(
        task="ranking",
        rows=sums["rows"],
        weight=float(sums["weight"]),
        weighted=weighted,
        metrics=metrics,
        intervals={name: interval for name, interval in sure.items() if interval is not None},
        baseline={
            f"ndcg@{k}": float(sum(row[f"unordered@{k}"] for row in found) / total) for k in RANKING_CUTOFFS
        },
        groups=count,
        per_group=Histogram(
            edges=[float(edge) for edge in np.linspace(0, 1, _HISTOGRAM_BINS + 1)], weight=histogram.tolist()
        ),
        notes=notes,
    )


def _gain(grade: Column, linear: bool, table: Sequence[float] | None) -> Column:
    from pyspark.sql import functions as sf

    if table:
        gains = sf.split(sf.lit(",".join(repr(float(gain)) for gain in table)), ",").cast("array<double>")
        return sf.get(gains, grade.cast("int"))
    return grade if linear else sf.pow(sf.lit(2.0), grade) - 1


def by_query(
    frame: DataFrame, linear_gain: bool = False, label_gain: Sequence[float] | None = None
) -> DataFrame:
    """One row per query: w (mean weight), relevant (rows of grade > 0), every metric, and NDCG without any order."""
    from pyspark.sql import Window
    from pyspark.sql import functions as sf

    y = sf.col("y")
    gain = _gain(y, linear_gain, label_gain)
    query = Window.partitionBy("g")
    # The best order is that of the gains, which a table of gains need not have in the order of the grades.
    by_score, by_grade = query.orderBy(sf.desc("score")), query.orderBy(sf.desc(gain))
    tied = Window.partitionBy("g", "score")
    worst_first = query.orderBy(sf.desc("score"), sf.asc("y"))
    hits = worst_first.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    placed = frame.withColumns(
        {
            "gain": gain,
            "first": sf.rank().over(by_score),
            "ties": sf.count(sf.lit(1)).over(tied),
            "ideal": sf.row_number().over(by_grade),
            "place": sf.row_number().over(worst_first),
            "hits": sf.sum((y > 0).cast("int")).over(hits),
        }
    )
    relevant = sf.sum((y > 0).cast("int"))
    metrics: list[Column] = []
    for k in RANKING_CUTOFFS:
        dcg, ideal = sf.sum(sf.col("gain") * _discount(k)), sf.sum(sf.col("gain") * _ideal_discount(k))
        # What rows in no order get: each of them stands at every place equally often.
        unordered = (
            sf.sum("gain") * sf.get(_cumulated(k), sf.least(sf.max("ideal"), sf.lit(k))) / sf.max("ideal")
        )
        metrics.append(
            sf.when(ideal > 0, unordered / sf.nullif(ideal, sf.lit(0.0)))
            .otherwise(1.0)
            .alias(f"unordered@{k}")
        )
        metrics.append(
            sf.when(ideal > 0, dcg / sf.nullif(ideal, sf.lit(0.0))).otherwise(1.0).alias(f"ndcg@{k}")
        )
        precision = sf.sum(
            sf.when((y > 0) & (sf.col("place") <= k), sf.col("hits") / sf.col("place")).otherwise(0.0)
        )
        best = sf.least(relevant, sf.lit(k))
        metrics.append(
            sf.when(relevant > 0, precision / sf.nullif(best, sf.lit(0))).otherwise(1.0).alias(f"map@{k}")
        )
    return placed.groupBy("g").agg(sf.avg("w").alias("w"), relevant.alias("relevant"), *metrics)


def _discount(k: int) -> Column:
    """Mean discount of the places that a row's ties fill, counting only the first `k`."""
    from pyspark.sql import functions as sf

    before, total = sf.col("first") - 1, _cumulated(k)

    def first(places: Column) -> Column:
        return sf.get(total, sf.least(places, sf.lit(k)).cast("int"))

    return (first(before + sf.col("ties")) - first(before)) / sf.col("ties")


def _cumulated(k: int) -> Column:
    """The discounts of the first 0, 1, ... `k` places together, as an array."""
    from pyspark.sql import functions as sf

    return sf.array(*(sf.lit(float(v)) for v in [0.0, *np.cumsum(1 / np.log2(np.arange(1, k + 1) + 1))]))


def _ideal_discount(k: int) -> Column:
    from pyspark.sql import functions as sf

    place = sf.col("ideal")
    return sf.when(place <= k, 1 / sf.log2(place + 1.0)).otherwise(0.0)
