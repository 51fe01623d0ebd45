"""Numbers: exact sums of errors, and two small grids to look at them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from synml_dagster.evaluation.binary import bad_weight
from synml_dagster.evaluation.catalogue import METRICS
from synml_dagster.evaluation.evaluate import check_rows
from synml_dagster.evaluation.result import Evaluation, Histogram, Histogram2D

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_GRID = 40
_RESIDUAL_BINS = 41  # odd, so that one bin is centred on no error
_TAIL = 0.005  # of the rows beyond each end of a drawn axis, gathered in its outer bins


def evaluate_regression(frame: DataFrame, weighted: bool) -> Evaluation:
    """Measure `frame` (y, score = prediction, w) in two Spark jobs."""
    from pyspark.sql import functions as F

    y, p, w = F.col("y"), F.col("score"), F.col("w")
    error = p - y
    tails = F.array(F.lit(_TAIL), F.lit(0.5), F.lit(1 - _TAIL))
    sums = frame.agg(
        F.count(F.lit(1)).alias("rows"),
        F.sum(w).alias("weight"),
        F.sum(w * y).alias("y"),
        F.sum(w * error).alias("bias"),
        F.sum(w * error * error).alias("squared"),
        F.sum(w * F.abs(error)).alias("absolute"),
        F.sum(F.when(y != 0, w * F.abs(error / F.nullif(y, F.lit(0.0))))).alias("relative"),
        F.count(F.when(y == 0, 1)).alias("zeros"),
        F.percentile_approx(y, tails, 1_000).alias("y_tails"),
        F.percentile_approx(p, tails, 1_000).alias("p_tails"),
        F.percentile_approx(error, tails, 1_000).alias("error_tails"),
        F.count(F.when(_no_number(y), 1)).alias("labels"),
        F.count(F.when(_no_number(p), 1)).alias("predictions"),
        F.count(F.when(bad_weight(w), 1)).alias("weights"),
    ).collect()[0]
    faults = {
        "a label that is no number": sums["labels"],
        "a prediction that is no number": sums["predictions"],
        "a weight that is missing or negative": sums["weights"],
    }
    check_rows(sums["rows"], sums["weight"], faults)
    total = float(sums["weight"])
    mean, median = sums["y"] / total, sums["y_tails"][1]

    low = min(sums["y_tails"][0], sums["p_tails"][0])
    high = max(sums["y_tails"][2], sums["p_tails"][2])
    axis = _edges(low, high, _GRID)
    reach = max(abs(sums["error_tails"][0]), abs(sums["error_tails"][2]))
    residual_axis = _edges(-reach, reach, _RESIDUAL_BINS)
    cells = F.explode(
        F.array(
            F.struct(F.lit(0).alias("kind"), _step(p, axis).alias("i"), _step(y, axis).alias("j")),
            F.struct(F.lit(1).alias("kind"), _step(error, residual_axis).alias("i"), F.lit(0).alias("j")),
        )
    )
    by_cell = (
        frame.select("y", "w", cells.alias("cell"))
        .groupBy("cell.kind", "cell.i", "cell.j")
        .agg(
            F.sum("w").alias("w"),
            F.sum(w * (y - F.lit(mean)) * (y - F.lit(mean))).alias("squared"),
            F.sum(w * F.abs(y - F.lit(median))).alias("absolute"),
        )
        .collect()
    )
    grid = np.zeros((_GRID, _GRID))
    residuals = np.zeros(_RESIDUAL_BINS)
    spread = around_median = 0.0
    for cell in by_cell:
        if cell["kind"] == 0:
            grid[cell["i"], cell["j"]] = cell["w"]
            spread += cell["squared"]
            around_median += cell["absolute"]
        else:
            residuals[cell["i"]] = cell["w"]

    metrics = {
        "rmse": (sums["squared"] / total) ** 0.5,
        "mae": sums["absolute"] / total,
        "bias": sums["bias"] / total,
    }
    baseline = {"rmse": (spread / total) ** 0.5, "mae": around_median / total, "bias": 0.0}
    notes = []
    if spread > 0:
        metrics["r2"] = 1 - sums["squared"] / spread
        baseline["r2"] = 0.0
    else:
        notes.append("All of the evaluated labels are equal: R² needs labels that differ.")
    if sums["zeros"]:
        notes.append(
            f"{sums['zeros']:,} labels are 0: MAPE, an error as a share of the label, does not exist there."
        )
    else:
        metrics["mape"] = sums["relative"] / total
    return Evaluation(
        task="regression",
        rows=sums["rows"],
        weight=total,
        weighted=weighted,
        metrics={name: float(metrics[name]) for name in METRICS["regression"] if name in metrics},
        baseline=baseline,
        actual_vs_predicted=Histogram2D(x_edges=list(axis), y_edges=list(axis), weight=grid.tolist()),
        residuals=Histogram(edges=list(residual_axis), weight=residuals.tolist()),
        notes=notes,
    )


def _no_number(value: Column) -> Column:
    from pyspark.sql import functions as F

    return ~F.coalesce((value > float("-inf")) & (value < float("inf")), F.lit(False))


def _edges(low: float, high: float, bins: int) -> list[float]:
    if not high > low:
        pad = max(abs(low) * 0.05, 0.5)
        low, high = low - pad, high + pad
    return [float(edge) for edge in np.linspace(low, high, bins + 1)]


def _step(value: Column, edges: list[float]) -> Column:
    """Return the number of the bin of `value`, the outer bins taking what lies beyond."""
    from pyspark.sql import functions as F

    bins = len(edges) - 1
    # Clamped before the cast: a value far beyond would not fit an integer, which is an error in ANSI mode.
    step = (value - edges[0]) / ((edges[-1] - edges[0]) / bins)
    return F.floor(F.least(F.greatest(step, F.lit(0.0)), F.lit(bins - 1.0))).cast("int")
