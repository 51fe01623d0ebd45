"""The ranges that suit LightGBM, and the point that a sweep begins at."""

from __future__ import annotations

from synml_dagster.learners.space import ParameterRange, Value

# Ranges around LightGBM's defaults: https://lightgbm.readthedocs.io/en/stable/Parameters-Tuning.html
SPACE: dict[str, ParameterRange] = {
    "learning_rate": ParameterRange(low=0.02, high=0.3, log=True),
    "num_leaves": ParameterRange(low=7, high=255, log=True),
    "min_data_in_leaf": ParameterRange(low=5, high=200, log=True),
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
