"""Numbers: exact sums of errors, and two small grids to look at them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from synml_dagster.evaluation import intervals
from synml_dagster.evaluation.catalogue import METRICS
from synml_dagster.evaluation.result import Evaluation, Histogram, Histogram2D
from synml_dagster.evaluation.soundness import bad_weight, check_rows, no_number

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, Row

_GRID = 40
_RESIDUAL_BINS = 41  # odd, so that one bin is centred on no error
_TAIL = 0.005  # of the rows beyond each end of a drawn axis, gathered in its outer bins


def evaluate_regression(frame: DataFrame, weighted: bool) -> Evaluation:
    """Measure `frame` (y, score = prediction, w) in two Spark jobs."""
    sums = _sums(frame)
    cells = _cells(frame, sums)
    total, spread = float(sums["weight"]), cells.spread
    metrics = {
        "rmse": (sums["squared"] / total) ** 0.5,
        "mae": sums["absolute"] / total,
        "bias": sums["bias"] / total,
    }
    baseline = {"rmse": (spread / total) ** 0.5, "mae": cells.around_median / total, "bias": 0.0}
    notes = []
    sure = {
        "rmse": _mean(sums, total, "mse", sums["squared"]).root_interval(),
        "mae": _mean(sums, total, "mae", sums["absolute"]).interval(low=0.0),
        "bias": _mean(sums, total, "bias", sums["bias"]).interval(),
    }
    if spread > 0:
        rest = sums["squared"] / spread
        metrics["r2"] = 1 - rest
        baseline["r2"] = 0.0
        variance = sums["mse_2"] - 2 * rest * cells.mixed + rest * rest * cells.fourth
        rows = intervals.effective(total, sums["squares"])
        sure["r2"] = intervals.explained(1 - rest, spread, variance, rows)
    else:
        notes.append("All of the evaluated labels are equal: R² needs labels that differ.")
    if sums["zeros"]:
        notes.append(
            f"{sums['zeros']:,} labels are 0: MAPE, an error as a share of the label, does not exist there."
        )
    else:
        metrics["mape"] = sums["relative"] / total
        sure["mape"] = _mean(sums, total, "mape", sums["relative"]).interval(low=0.0)
    return Evaluation(
        task="regression",
        rows=sums["rows"],
        weight=total,
        weighted=weighted,
        metrics={name: float(metrics[name]) for name in METRICS["regression"] if name in metrics},
        intervals={name: sure[name] for name in METRICS["regression"] if sure.get(name) is not None},
        baseline=baseline,
        actual_vs_predicted=Histogram2D(x_edges=cells.axis, y_edges=cells.axis, weight=cells.grid.tolist()),
        residuals=Histogram(edges=cells.residual_axis, weight=cells.residuals.tolist()),
        notes=notes,
    )


def _sums(frame: DataFrame) -> Row:
    """Return the sums that metrics and their intervals are made of, and where the axes end, in one Spark job."""
    from pyspark.sql import functions as sf

    y, p, w = sf.col("y"), sf.col("score"), sf.col("w")
    error = p - y
    share = sf.when(y != 0, sf.abs(error / sf.nullif(y, sf.lit(0.0))))
    tails = sf.array(sf.lit(_TAIL), sf.lit(0.5), sf.lit(1 - _TAIL))
    sums: Row = frame.agg(
        sf.count(sf.lit(1)).alias("rows"),
        sf.sum(w).alias("weight"),
        sf.sum(w * y).alias("y"),
        sf.sum(w * error).alias("bias"),
        sf.sum(w * error * error).alias("squared"),
        sf.sum(w * sf.abs(error)).alias("absolute"),
        sf.sum(w * share).alias("relative"),
        sf.sum(w * w).alias("squares"),
        *intervals.squared_sums("bias", error),
        *intervals.squared_sums("mae", sf.abs(error)),
        *intervals.squared_sums("mse", error * error),
        *intervals.squared_sums("mape", share),
        sf.count(sf.when(y == 0, 1)).alias("zeros"),
        sf.percentile_approx(y, tails, 1_000).alias("y_tails"),
        sf.percentile_approx(p, tails, 1_000).alias("p_tails"),
        sf.percentile_approx(error, tails, 1_000).alias("error_tails"),
        sf.count(sf.when(no_number(y), 1)).alias("labels"),
        sf.count(sf.when(no_number(p), 1)).alias("predictions"),
        sf.count(sf.when(bad_weight(w), 1)).alias("weights"),
    ).collect()[0]
    faults = {
        "a label that is no number": sums["labels"],
        "a prediction that is no number": sums["predictions"],
        "a weight that is missing or negative": sums["weights"],
    }
    check_rows(sums["rows"], sums["weight"], faults)
    return sums


class _Cells(NamedTuple):
    """The weight of rows by actual and predicted value and by error, and sums around the mean and the median of the labels."""

    axis: list[float]
    grid: NDArray[np.float64]
    residual_axis: list[float]
    residuals: NDArray[np.float64]
    spread: float
    around_median: float
    mixed: float
    fourth: float


def _cells(frame: DataFrame, sums: Row) -> _Cells:
    """Gather `frame` in one Spark job, on axes between the tails that `sums` found."""
    from pyspark.sql import functions as sf

    y, p, w = sf.col("y"), sf.col("score"), sf.col("w")
    error = p - y
    mean, median = sums["y"] / sums["weight"], sums["y_tails"][1]

    low = min(sums["y_tails"][0], sums["p_tails"][0])
    high = max(sums["y_tails"][2], sums["p_tails"][2])
    axis = _edges(low, high, _GRID)
    reach = max(abs(sums["error_tails"][0]), abs(sums["error_tails"][2]))
    residual_axis = _edges(-reach, reach, _RESIDUAL_BINS)
    cells = sf.explode(
        sf.array(
            sf.struct(sf.lit(0).alias("kind"), _step(p, axis).alias("i"), _step(y, axis).alias("j")),
            sf.struct(sf.lit(1).alias("kind"), _step(error, residual_axis).alias("i"), sf.lit(0).alias("j")),
        )
    )
    far = y - sf.lit(mean)
    by_cell = (
        frame.select("y", "w", "score", cells.alias("cell"))
        .groupBy("cell.kind", "cell.i", "cell.j")
        .agg(
            sf.sum("w").alias("w"),
            sf.sum(w * far * far).alias("squared"),
            sf.sum(w * w * error * error * far * far).alias("mixed"),
            sf.sum(w * w * far * far * far * far).alias("fourth"),
            sf.sum(w * sf.abs(y - sf.lit(median))).alias("absolute"),
        )
        .collect()
    )
    grid = np.zeros((_GRID, _GRID))
    residuals = np.zeros(_RESIDUAL_BINS)
    spread = around_median = mixed = fourth = 0.0
    for cell in by_cell:
        if cell["kind"] == 0:
            grid[cell["i"], cell["j"]] = cell["w"]
            spread += cell["squared"]
            mixed += cell["mixed"]
            fourth += cell["fourth"]
            around_median += cell["absolute"]
        else:
            residuals[cell["i"]] = cell["w"]
    return _Cells(axis, grid, residual_axis, residuals, spread, around_median, mixed, fourth)


def _mean(sums: Row, total: float, name: str, weighted: float) -> intervals.WeightedMean:
    """The mean of what `intervals.squared_sums` added up, whose weighted sum is `weighted`."""
    first, second = sums[f"{name}_1"], sums[f"{name}_2"]
    return intervals.WeightedMean.of(total, sums["squares"], weighted / total, first, second)


def _edges(low: float, high: float, bins: int) -> list[float]:
    if not high > low:
        pad = max(abs(low) * 0.05, 0.5)
        low, high = low - pad, high + pad
    return [float(edge) for edge in np.linspace(low, high, bins + 1)]


def _step(value: Column, edges: list[float]) -> Column:
    """Return the number of the bin of `value`, the outer bins taking what lies beyond."""
    from pyspark.sql import functions as sf

    bins = len(edges) - 1
    # Clamped before the cast: a value far beyond would not fit an integer, which is an error in ANSI mode.
    step = (value - edges[0]) / ((edges[-1] - edges[0]) / bins)
    return sf.floor(sf.least(sf.greatest(step, sf.lit(0.0)), sf.lit(bins - 1.0))).cast("int")
