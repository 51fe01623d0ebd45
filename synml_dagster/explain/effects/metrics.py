"""The metrics that a model is judged by while its columns are shuffled, by scikit-learn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import DataError

METRICS: dict[str, bool] = {
    "rmse": False,
    "mae": False,
    "r2": True,
    "auc": True,
    "logloss": False,
    "accuracy": True,
}
"""Name -> whether more is better."""


def measure(metric: str, truth: NDArray, told: NDArray[np.float64]) -> float:
    """Return a metric of answers [rows, outputs].

    Raises
    ------
    DataError
        It cannot be computed: one class only, or answers that are no probabilities.
    """
    from sklearn import metrics

    if metric in ("rmse", "mae", "r2"):
        if told.shape[1] != 1:
            raise DataError(f"metric {metric} is of one number a row, and the model answers {told.shape[1]}.")
        score = {
            "rmse": metrics.root_mean_squared_error,
            "mae": metrics.mean_absolute_error,
            "r2": metrics.r2_score,
        }[metric]
        return float(score(truth, told[:, 0]))
    if told.shape[1] == 1:
        told = np.column_stack([1 - told[:, 0], told[:, 0]])
    if told.min() < -1e-6 or told.max() > 1 + 1e-6:
        raise DataError(
            f"metric {metric} is of probabilities, and the model answers {told.min():.4g} to {told.max():.4g}; choose output='probability'."
        )
    if truth.max() >= told.shape[1]:
        raise DataError(f"The label has more classes than the model's {told.shape[1]} probabilities.")
    if metric == "accuracy":
        return float((told.argmax(1) == truth).mean())
    if metric == "auc":
        if told.shape[1] != 2 or len(np.unique(truth)) < 2:
            raise DataError(
                "metric auc is of two classes, both of which have rows; choose logloss or accuracy."
            )
        return float(metrics.roc_auc_score(truth, told[:, 1]))
    return float(metrics.log_loss(truth, told, labels=np.arange(told.shape[1])))
