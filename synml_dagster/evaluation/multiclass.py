"""Several classes: a confusion table and each class against the rest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synml_dagster.evaluation import curves, intervals
from synml_dagster.evaluation.bins import MAX_BINS, ScoreBins, bin_key, bin_sums, bins_from_arrow
from synml_dagster.evaluation.catalogue import METRICS
from synml_dagster.evaluation.decisions import cost_decision
from synml_dagster.evaluation.result import ClassMetrics, Confusion, Evaluation, Interval
from synml_dagster.evaluation.soundness import EPSILON, bad_weight, check_rows
from synml_dagster.evaluation.spec import CostMatrix

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame


def evaluate_multiclass(
    frame: DataFrame,
    classes: list[str],
    weighted: bool,
    exact_rows: int,
    cost_matrix: CostMatrix | None = None,
) -> Evaluation:
    """Measure `frame` (y = class index, score = array of probabilities, w)."""
    from pyspark.sql import functions as sf

    y, p, w = sf.col("y"), sf.col("score"), sf.col("w")
    hit = sf.get(p, y.cast("int"))
    surprise = -sf.log(sf.greatest(hit, sf.lit(EPSILON)))
    counts = frame.groupBy(
        y.alias("y"), (sf.array_position(p, sf.array_max(p)) - 1).alias("best"), sf.size(p).alias("size")
    ).agg(
        sf.count(sf.lit(1)).alias("rows"),
        sf.sum(w).alias("w"),
        sf.sum(w * surprise).alias("logloss"),
        sf.sum(w * w).alias("squares"),
        *intervals.squared_sums("logloss", surprise),
        sf.count(sf.when(sf.exists(p, lambda v: v.isNull() | sf.isnan(v)), 1)).alias("holes"),
        sf.count(sf.when(bad_weight(w), 1)).alias("bad"),
    )
    found = counts.collect()
    rows = sum(row["rows"] for row in found)
    k = len(classes) or max((row["size"] or 0 for row in found), default=0)
    classes = classes or [str(i) for i in range(k)]

    def is_class(value: float | None) -> bool:
        return value is not None and value == value and 0 <= value < k and value == int(value)

    faults = {
        f"a label that is no class index 0..{k - 1}": sum(r["rows"] for r in found if not is_class(r["y"])),
        f"probabilities that are missing or not {k} numbers": sum(
            r["rows"] if r["size"] != k or r["best"] is None else r["holes"] for r in found
        ),
        "a weight that is missing or negative": sum(row["bad"] for row in found),
    }
    total = float(sum(row["w"] or 0.0 for row in found))
    check_rows(rows, total, faults)

    table, squares = np.zeros((k, k)), np.zeros((k, k))
    for row in found:
        table[int(row["y"]), int(row["best"])] += row["w"]
        squares[int(row["y"]), int(row["best"])] += row["squares"]
    each = _bins_by_class(frame, rows, k, exact_rows)
    per_class = _per_class(table, classes, each)
    seen = [c for c, used in zip(per_class, (table.sum(0) + table.sum(1)) > 0, strict=True) if used]
    known = [c.auc for c in per_class if c.auc is not None]
    metrics = {
        "logloss": sum(row["logloss"] for row in found) / total,
        "accuracy": float(np.trace(table)) / total,
        "f1_macro": float(np.mean([c.f1 for c in seen])),
    }
    if known:
        metrics["auc_macro"] = float(np.mean(known))
    first, second = (sum(row[f"logloss_{power}"] for row in found) for power in (1, 2))
    surprised = intervals.WeightedMean.of(total, squares.sum(), metrics["logloss"], first, second)
    sure = {
        "logloss": surprised.interval(low=0.0),
        "accuracy": intervals.rate(metrics["accuracy"], intervals.effective(total, squares.sum())),
        "auc_macro": _macro_interval(frame, each, metrics["auc_macro"]) if known else None,
        "f1_macro": intervals.bounded(
            metrics["f1_macro"],
            intervals.macro_f1(table, squares),
            intervals.effective(total, squares.sum()),
        ),
    }
    absent = [c.name for c in per_class if c.auc is None]
    notes = (
        [f"ROC AUC leaves out {', '.join(absent)}: no such row, or no other, was evaluated."]
        if absent
        else []
    )
    return Evaluation(
        task="multiclass",
        rows=rows,
        weight=total,
        weighted=weighted,
        classes=classes,
        metrics={name: float(metrics[name]) for name in METRICS["multiclass"] if name in metrics},
        intervals={name: interval for name, interval in sure.items() if interval is not None},
        baseline=_baseline(table.sum(1) / total),
        confusion=Confusion(classes=classes, weight=table.tolist()),
        per_class=per_class,
        decision=None if cost_matrix is None else cost_decision(frame, classes, cost_matrix),
        notes=notes,
    )


def _bins_by_class(frame: DataFrame, rows: int, k: int, exact: int) -> list[ScoreBins]:
    """Scores of each class against the rest; one Spark job."""
    from pyspark.sql import functions as sf

    long = frame.select("y", "w", sf.posexplode("score").alias("class", "score"))
    key = bin_key(sf.col("score"), rows * k, exact, max(MAX_BINS // (4 * k), 2_000))
    by_key = long.groupBy("class", key.alias("key")).agg(*bin_sums(sf.col("y") == sf.col("class")))
    table = by_key.drop("key").toArrow()
    number = table.column("class").to_numpy()
    return [bins_from_arrow(table.filter(number == index)) for index in range(k)]


def _macro_interval(frame: DataFrame, each: list[ScoreBins], area: float) -> Interval | None:
    """The interval of the mean of the classes' areas, which share their rows: one pass adds up what a row does to the mean."""
    both = [(i, bins) for i, bins in enumerate(each) if bins.positives and bins.negatives]
    work = _Influence(tuple((i, *_influences(bins)) for i, bins in both), len(both))
    sums = frame.select("y", "score", "w").mapInArrow(work, "variance double").toArrow()
    variance = float(np.sum(sums.column("variance").to_numpy()))
    rows = min(intervals.effective(w.sum(), s.sum()) for _, bins in both for w, s in bins.by_class)
    if rows <= 1:
        return None
    return intervals.area_interval(area, variance * rows / (rows - 1), rows)


def _influences(bins: ScoreBins) -> tuple[NDArray[np.float64], ...]:
    """Return the bins' lowest scores, lowest first, and what a unit of weight of either class does to the area in each."""
    placed = intervals.Placements.of(bins)
    of_positive = (placed.positive - placed.area) / bins.positives
    of_negative = (placed.negative - placed.area) / bins.negatives
    return bins.low[::-1].copy(), of_positive[::-1].copy(), of_negative[::-1].copy()


class _Influence:
    """The work of a task: the sum over its rows of the squared change of the mean area that a row makes."""

    def __init__(self, classes: tuple[tuple[Any, ...], ...], count: int) -> None:
        self._classes, self._count = classes, count

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        total = 0.0
        for batch in batches:
            y, w = (batch.column(i).to_numpy(zero_copy_only=False) for i in (0, 2))
            score = batch.column(1).flatten().to_numpy(zero_copy_only=False).reshape(len(y), -1)
            change = np.zeros(len(y))
            for index, low, of_positive, of_negative in self._classes:
                place = np.maximum(np.searchsorted(low, score[:, index], side="right") - 1, 0)
                change += np.where(y == index, of_positive[place], of_negative[place])
            total += float(np.sum((w * change / self._count) ** 2))
        yield pa.RecordBatch.from_arrays([pa.array([total], pa.float64())], names=["variance"])


def _per_class(table: NDArray[np.float64], classes: list[str], each: list[ScoreBins]) -> list[ClassMetrics]:
    result = []
    for i, name in enumerate(classes):
        right, true, flagged = table[i, i], table[i].sum(), table[:, i].sum()
        bins = each[i]
        both = bool(bins.positives and bins.negatives)
        result.append(
            ClassMetrics(
                name=name,
                weight=float(true),
                precision=float(right / flagged) if flagged else 0.0,
                recall=float(right / true) if true else 0.0,
                f1=float(2 * right / (true + flagged)) if true + flagged else 0.0,
                auc=curves.auc(bins) if both else None,
                auc_interval=intervals.delong(bins) if both else None,
                calibration=curves.calibration(bins),
            )
        )
    return result


def _baseline(shares: NDArray[np.float64]) -> dict[str, float]:
    """Answer every row with the classes' shares."""
    present = shares[shares > 0]
    top = float(shares.max())
    return {
        "logloss": float(-(present * np.log(present)).sum()),
        "accuracy": top,
        "auc_macro": 0.5,
        "f1_macro": 2 * top / (1 + top) / len(present),
    }
