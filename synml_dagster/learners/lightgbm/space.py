"""The ranges that suit LightGBM, the point that a sweep begins at, and sets of parameters that are worth a trial of their own."""

from __future__ import annotations

from collections.abc import Mapping

from synml_dagster.learners.space import ParameterRange, Value

# Ranges around LightGBM's defaults: https://lightgbm.readthedocs.io/en/stable/Parameters-Tuning.html
SPACE: dict[str, ParameterRange] = {
    "learning_rate": ParameterRange(low=0.02, high=0.3, log=True),
    "num_leaves": ParameterRange(low=7, high=255, log=True),
    "min_data_in_leaf": ParameterRange(low=3, high=200, log=True),
    "feature_fraction": ParameterRange(low=0.4, high=1.0),
    "bagging_fraction": ParameterRange(low=0.5, high=1.0),
    "lambda_l1": ParameterRange(low=1e-8, high=10.0, log=True),
    "lambda_l2": ParameterRange(low=1e-8, high=10.0, log=True),
    "min_gain_to_split": ParameterRange(low=1e-8, high=1.0, log=True),
}

START: dict[str, Value] = {
    "learning_rate": 0.1,
    "num_leaves": 31,
    "min_data_in_leaf": 20,
    "feature_fraction": 1.0,
    "bagging_fraction": 1.0,
    "lambda_l1": 1e-8,
    "lambda_l2": 1e-8,
    "min_gain_to_split": 1e-8,
}
"""The first trial: LightGBM's own defaults, so that no sweep ends below them on the validation rows."""

# "Better by default" (Holzmüller, Grinsztajn, Steinwart 2024, arXiv 2407.04491): defaults tuned on 118 tables, LGBM_TD.
_TUNED_CLASSES: dict[str, Value] = {
    "learning_rate": 0.04,
    "num_leaves": 50,
    "bagging_fraction": 0.75,
    "min_data_in_leaf": 40,
    "min_sum_hessian_in_leaf": 1e-7,
}
_TUNED_NUMBERS: dict[str, Value] = {
    "learning_rate": 0.05,
    "num_leaves": 100,
    "bagging_fraction": 0.7,
    "min_data_in_leaf": 3,
    "min_sum_hessian_in_leaf": 1e-7,
}
# Models that err elsewhere than the tuned default does, for a search to begin from and an ensemble to choose from. The
# first and the last are those that AutoGluon trains beside the default.
_OTHERS: dict[str, dict[str, Value]] = {
    "extra_trees": {"extra_trees": True, "learning_rate": 0.05},
    "few_leaves": {
        "learning_rate": 0.03,
        "num_leaves": 8,
        "min_data_in_leaf": 10,
        "feature_fraction": 0.7,
        "bagging_fraction": 0.8,
    },
    "many_leaves": {
        "learning_rate": 0.03,
        "num_leaves": 128,
        "min_data_in_leaf": 3,
        "feature_fraction": 0.9,
        "lambda_l2": 10.0,
    },
}


def portfolio(task: str) -> Mapping[str, Mapping[str, Value]]:
    """Return the named sets of parameters for a task, the most promising first."""
    return {"tuned": _TUNED_NUMBERS if task == "regression" else _TUNED_CLASSES, **_OTHERS}
