"""What LightGBM's objectives take from the rows of each rank alone, where one process takes it from all rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

_NAMES = {
    **dict.fromkeys(
        ("regression_l2", "l2", "mean_squared_error", "mse", "l2_root", "root_mean_squared_error", "rmse"),
        "regression",
    ),
    **dict.fromkeys(("l1", "mean_absolute_error", "mae"), "regression_l1"),
    "mean_absolute_percentage_error": "mape",
    "xentropy": "cross_entropy",
    "xentlambda": "cross_entropy_lambda",
    "softmax": "multiclass",
    **dict.fromkeys(("multiclass_ova", "ova", "ovr"), "multiclassova"),
    **dict.fromkeys(("xendcg", "xe_ndcg", "xe_ndcg_mart", "xendcg_mart"), "rank_xendcg"),
}
NEEDS_MIXED_ROWS = ("regression_l1", "quantile", "mape", "poisson", "tweedie")
"""With the first three a leaf's value is a percentile of its rows, and several ranks take the mean of their percentiles;
the last two refuse a rank whose labels are all zero."""
_FROM_MEAN = (
    "regression",
    "huber",
    "fair",
    "poisson",
    "gamma",
    "tweedie",
    "cross_entropy",
    "cross_entropy_lambda",
)


def objective_of(params: Mapping[str, Any]) -> str:
    """Return the objective under LightGBM's main name."""
    name = str(params.get("objective", "regression"))
    return _NAMES.get(name, name)


_OF_TASK = {
    "binary": ("binary",),
    "multiclass": ("multiclass", "multiclassova"),
    "ranking": ("lambdarank", "rank_xendcg"),
}
_OF_NUMBERS = (*_FROM_MEAN, "regression_l1", "quantile", "mape")


def fits_task(params: Mapping[str, Any], task: str) -> tuple[str, ...]:
    """Return the objectives that go with `task` where the one of `params` is another task's, and nothing where it fits.

    A function of the user's own is left to the user.
    """
    if callable(params.get("objective")):
        return ()
    name, wanted = objective_of(params), _OF_TASK.get(task, _OF_NUMBERS)
    known = {one for names in (*_OF_TASK.values(), _OF_NUMBERS) for one in names}
    return wanted if name in known and name not in wanted else ()


def starts_from_mean(params: Mapping[str, Any]) -> bool:
    """Return whether boosting starts from a function of the mean label that ranks would each take of their own rows.

    LightGBM 4.7 then starts from the mean of what the ranks found, whatever their sizes: a table sorted by its label
    gave log odds of infinity on two ranks. Binary and multiclass objectives sum over all ranks first. With dart and rf
    the score is part of trees that are taken out or averaged, and is left to LightGBM.
    """
    averages = _is_on(params, "boost_from_average", True)
    plain = str(params.get("boosting", "gbdt")) in ("gbdt", "gbrt", "goss")
    return averages and plain and objective_of(params) in _FROM_MEAN


TAKES_OFFSET = ("regression", "regression_l1", "huber", "fair", "quantile")
"""Objectives of differences: a label less a constant has the same trees, and float32 keeps what differs."""


def root_of_labels(params: Mapping[str, Any]) -> bool:
    """Return whether the mean is one of the labels' signed roots."""
    return objective_of(params) == "regression" and _is_on(params, "reg_sqrt", False)


def start_of(params: Mapping[str, Any], mean: float) -> float:
    """Return the raw score that LightGBM starts from where `mean` is the weighted mean of all labels."""
    name = objective_of(params)
    if name in ("poisson", "gamma", "tweedie"):
        return math.log(mean) if mean > 0 else 0.0
    if name == "cross_entropy":
        p = min(max(mean, 1e-15), 1 - 1e-15)
        return math.log(p / (1 - p))
    if name == "cross_entropy_lambda":
        return math.log(math.expm1(mean)) if mean > 0 else 0.0
    return mean


def _is_on(params: Mapping[str, Any], name: str, default: bool) -> bool:
    """Read a switch as LightGBM does."""
    return str(params.get(name, default)).casefold() in ("true", "1", "+")
