"""The metrics by task: their names, what they mean to a reader, and which way is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from synml_dagster.errors import ConfigError, did_you_mean

Task = Literal["binary", "multiclass", "regression", "ranking"]

RANKING_CUTOFFS = (1, 3, 5, 10)


@dataclass(frozen=True)
class MetricInfo:
    """One metric as a reader meets it."""

    name: str
    title: str
    higher_is_better: bool
    meaning: str
    """One sentence without a full stop, for captions and table cells."""
    percent: bool = False
    """Shown as a percentage."""


def _by_name(*infos: MetricInfo) -> dict[str, MetricInfo]:
    return {info.name: info for info in infos}


_LOGLOSS = MetricInfo(
    "logloss", "Log loss", False, "mean surprise at the true class; rewards honest probabilities"
)
_ACCURACY = MetricInfo(
    "accuracy", "Accuracy", True, "share of rows whose most likely class is right", percent=True
)

METRICS: dict[str, dict[str, MetricInfo]] = {
    "binary": _by_name(
        MetricInfo(
            "auc", "ROC AUC", True, "chance that a random positive row scores above a random negative one"
        ),
        MetricInfo("average_precision", "Average precision", True, "area under the precision-recall curve"),
        _LOGLOSS,
        MetricInfo("brier", "Brier score", False, "mean squared distance between probability and outcome"),
        MetricInfo("accuracy", "Accuracy", True, "share of right answers at threshold 0.5", percent=True),
        MetricInfo(
            "precision", "Precision", True, "share of flagged rows that are positive, at 0.5", percent=True
        ),
        MetricInfo("recall", "Recall", True, "share of positive rows that are flagged, at 0.5", percent=True),
        MetricInfo("f1", "F1", True, "harmonic mean of precision and recall at threshold 0.5"),
        MetricInfo("ks", "KS", True, "largest distance between the two classes' score distributions"),
    ),
    "multiclass": _by_name(
        _LOGLOSS,
        _ACCURACY,
        MetricInfo("auc_macro", "ROC AUC (macro)", True, "mean over classes of one-against-the-rest ROC AUC"),
        MetricInfo("f1_macro", "F1 (macro)", True, "mean over classes of F1, each class counting the same"),
    ),
    "regression": _by_name(
        MetricInfo("rmse", "RMSE", False, "root of the mean squared error, in the label's own unit"),
        MetricInfo("mae", "MAE", False, "mean absolute error, in the label's own unit"),
        MetricInfo("r2", "R²", True, "share of the label's variance that the model explains"),
        MetricInfo("mape", "MAPE", False, "mean absolute error as a share of the label", percent=True),
        MetricInfo("bias", "Bias", False, "mean of prediction minus label, in the label's own unit"),
    ),
    "ranking": _by_name(
        *(
            MetricInfo(f"ndcg@{k}", f"NDCG@{k}", True, f"quality of the order of the first {k}, 1 is ideal")
            for k in RANKING_CUTOFFS
        ),
        *(
            MetricInfo(f"map@{k}", f"MAP@{k}", True, f"mean average precision of the first {k}")
            for k in RANKING_CUTOFFS
        ),
    ),
}
"""Every metric that `evaluate` reports, by task, most telling first (`bias` is best near 0)."""

_PRIMARY = {"binary": "auc", "multiclass": "logloss", "regression": "rmse", "ranking": "ndcg@10"}


def primary_metric(task: str) -> str:
    """Return the one metric that a task is judged by unless the description names another.

    Raises
    ------
    ConfigError
        When `task` is not a task.
    """
    if task not in _PRIMARY:
        raise ConfigError(f"Task {task!r} is none of {', '.join(_PRIMARY)}.{did_you_mean(task, _PRIMARY)}")
    return _PRIMARY[task]


def metric_info(metric: str, task: str | None = None) -> MetricInfo:
    """Return what is known of `metric`, looked up in `task` or in every task.

    Raises
    ------
    ConfigError
        When no such metric is reported, with the nearest names.
    """
    tables = [METRICS[task]] if task in METRICS else list(METRICS.values())
    for table in tables:
        if metric in table:
            return table[metric]
    known = [name for table in tables for name in table]
    where = f" for {task}" if task in METRICS else ""
    raise ConfigError(f"There is no metric {metric!r}{where}.{did_you_mean(metric, known)}")


def higher_is_better(metric: str) -> bool:
    """Return whether more of `metric` is better.

    Raises
    ------
    ConfigError
        When no task reports such a metric.
    """
    return metric_info(metric).higher_is_better


def better_by(metric: str, new: float, old: float) -> float:
    """Return by how much `new` is better than `old`, below 0 where it is worse; a bias is the better the nearer to 0.

    Raises
    ------
    ConfigError
        When no task reports such a metric.

    Examples
    --------
    >>> better_by("auc", 0.75, 0.5), better_by("rmse", 3.0, 2.0), better_by("bias", -4.0, 1.0)
    (0.25, -1.0, -3.0)
    """
    if metric == "bias":
        return abs(old) - abs(new)
    return new - old if higher_is_better(metric) else old - new


def reaches(metric: str, value: float, wanted: float) -> bool:
    """Return whether `value` is as good as `wanted`, or better; NaN never is.

    Examples
    --------
    >>> reaches("auc", 0.8, 0.75), reaches("rmse", 3.0, 2.0), reaches("bias", -4.0, 1.0)
    (True, False, False)
    """
    return better_by(metric, value, wanted) >= 0


def format_metric(metric: str, value: float) -> str:
    """Return `value` as a person reads it: percentages where the metric is one, four telling digits else."""
    try:
        percent = metric_info(metric).percent
    except ConfigError:
        percent = False
    if value != value:
        return "–"
    if percent:
        return f"{value:.1%}"
    size = abs(value)
    if not size:
        return "0"
    if size < 1e-3 or size >= 1e7:
        return f"{value:.3g}"
    return f"{value:,.0f}" if size >= 1e4 else f"{value:,.1f}" if size >= 1e3 else f"{value:,.4f}"
