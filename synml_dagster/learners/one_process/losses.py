"""What a model loses on rows: the metrics that families measure alike, under the names that LightGBM has for them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synml_dagster.learners.one_process.rows import Rows

METRIC = {"binary": "binary_logloss", "multiclass": "multi_logloss", "regression": "rmse", "ranking": "ndcg"}
"""By task, the metric that a family stops by and a sweep searches by; more is better of `ndcg` alone."""
_LEAST = 1e-15


def loss(answers: NDArray[np.float64], rows: Rows, task: str) -> float:
    """Return the weighted log loss of probabilities, or the root mean squared error of a regression's numbers.

    Parameters
    ----------
    answers
        What the model predicts, as `TrainedModel.predict` does.
    """
    if task == "regression":
        return float(np.sqrt(np.average((answers - rows.y) ** 2, weights=rows.weight)))
    index = rows.y.astype(np.int64)
    right = (
        np.where(index == 1, answers, 1 - answers)
        if task == "binary"
        else answers[np.arange(len(index)), index]
    )
    return float(-np.average(np.log(np.clip(right, _LEAST, None)), weights=rows.weight))
