"""Several classes: a confusion table and each class against the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from synml_dagster.evaluation import curves
from synml_dagster.evaluation.bins import MAX_BINS, bin_key, bin_sums, bins_from_arrow
from synml_dagster.evaluation.catalogue import METRICS
from synml_dagster.evaluation.result import ClassMetrics, Confusion, Evaluation
from synml_dagster.evaluation.soundness import EPSILON, bad_weight, check_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def evaluate_multiclass(frame: DataFrame, classes: list[str], weighted: bool, exact_rows: int) -> Evaluation:
    """Measure `frame` (y = class index, score = array of probabilities, w)."""
    from pyspark.sql import functions as sf

    y, p, w = sf.col("y"), sf.col("score"), sf.col("w")
    hit = sf.get(p, y.cast("int"))
    counts = frame.groupBy(
        y.alias("y"), (sf.array_position(p, sf.array_max(p)) - 1).alias("best"), sf.size(p).alias("size")
    ).agg(
        sf.count(sf.lit(1)).alias("rows"),
        sf.sum(w).alias("w"),
        sf.sum(w * -sf.log(sf.greatest(hit, sf.lit(EPSILON)))).alias("logloss"),
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

    table = np.zeros((k, k))
    for row in found:
        table[int(row["y"]), int(row["best"])] += row["w"]
    areas = _areas(frame, rows, k, exact_rows)
    per_class = _per_class(table, classes, areas)
    seen = [c for c, used in zip(per_class, (table.sum(0) + table.sum(1)) > 0, strict=True) if used]
    known = [area for area in areas if area is not None]
    metrics = {
        "logloss": sum(row["logloss"] for row in found) / total,
        "accuracy": float(np.trace(table)) / total,
        "f1_macro": float(np.mean([c.f1 for c in seen])),
    }
    if known:
        metrics["auc_macro"] = float(np.mean(known))
    absent = [name for name, area in zip(classes, areas, strict=True) if area is None]
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
        baseline=_baseline(table.sum(1) / total),
        confusion=Confusion(classes=classes, weight=table.tolist()),
        per_class=per_class,
        notes=notes,
    )


def _areas(frame: DataFrame, rows: int, k: int, exact: int) -> list[float | None]:
    """ROC AUC of each class against the rest, None where one side has no rows; one Spark job."""
    from pyspark.sql import functions as sf

    long = frame.select("y", "w", sf.posexplode("score").alias("class", "score"))
    key = bin_key(sf.col("score"), rows * k, exact, max(MAX_BINS // (4 * k), 2_000))
    by_key = long.groupBy("class", key.alias("key")).agg(*bin_sums(sf.col("y") == sf.col("class")))
    table = by_key.drop("key").toArrow()
    number = table.column("class").to_numpy()
    areas: list[float | None] = []
    for index in range(k):
        bins = bins_from_arrow(table.filter(number == index))
        areas.append(curves.auc(bins) if bins.positives and bins.negatives else None)
    return areas


def _per_class(
    table: NDArray[np.float64], classes: list[str], areas: list[float | None]
) -> list[ClassMetrics]:
    result = []
    for i, name in enumerate(classes):
        right, true, flagged = table[i, i], table[i].sum(), table[:, i].sum()
        result.append(
            ClassMetrics(
                name=name,
                weight=float(true),
                precision=float(right / flagged) if flagged else 0.0,
                recall=float(right / true) if true else 0.0,
                f1=float(2 * right / (true + flagged)) if true + flagged else 0.0,
                auc=areas[i],
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
