"""What answers are worth on test rows; needs NumPy and scikit-learn alone, since peers have environments of their own."""

from __future__ import annotations

from typing import Any

import numpy as np


def measured(task: str, answers: Any, y: Any) -> dict[str, float]:
    """Return log loss and AUC of classes, the root mean squared error of values."""
    from sklearn.metrics import log_loss, roc_auc_score

    answers = np.asarray(answers, np.float64)
    if task == "regression":
        return {"rmse": float(np.mean((answers - y) ** 2) ** 0.5)}
    if answers.ndim == 1:
        return {"logloss": float(log_loss(y, answers)), "auc": float(roc_auc_score(y, answers))}
    return {
        "logloss": float(log_loss(y, answers, labels=np.arange(answers.shape[1]))),
        "auc": float(roc_auc_score(y, answers, multi_class="ovr", labels=np.arange(answers.shape[1]))),
    }
