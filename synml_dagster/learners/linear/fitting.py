"""Fits a linear model by scikit-learn on standardised columns, and measures it on the validation rows."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import DataError
from synml_dagster.learners.linear.model import LinearModel, write_form
from synml_dagster.learners.link import Link
from synml_dagster.learners.one_process.design import Design
from synml_dagster.learners.one_process.losses import loss
from synml_dagster.learners.one_process.rows import Rows, sample_note

if TYPE_CHECKING:
    from synml_dagster.features import FeaturePlan

_NEVER = -30.0
"""The score of a class that no training row has: a probability of 1e-13."""


def fit(
    plan: FeaturePlan,
    params: Mapping[str, Any],
    train: Rows,
    held: Rows,
    *,
    metric: str,
    seed: int,
) -> LinearModel:
    """Train on `train` and measure on `held`.

    With the mean of the loss over the rows (half the squared error of a regression), the penalty is
    `alpha * ((1 - l1_ratio) / 2 * |w|^2 + l1_ratio * |w|_1)` of the coefficients of standardised columns, so that one
    `alpha` means the same for small and large tables.

    Raises
    ------
    DataError
        The training rows have one class alone, or no weight.
    """
    began = time.monotonic()
    features, task = plan.feature_names, plan.task
    categorical = {features.index(name) for name in plan.categorical_features}
    design = Design.of(train.X, train.weight, categorical)
    columns = design.columns(train.X)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if task == "regression":
            intercept, coefficients = _regression(columns, train, params, seed)
            link = Link()
        else:
            count = len(plan.label.classes or [])
            intercept, coefficients = _classification(columns, train, params, count, seed)
            link = Link("logistic") if count == 2 else Link("softmax")
    notes = sorted({str(one.message).splitlines()[0] for one in caught if "onverge" in str(one.message)})
    notes += sample_note(train, "a linear model")
    form, spread = design.form(
        intercept, coefficients, train.X, train.weight, link, classifies=task != "regression"
    )
    model = LinearModel(
        text=write_form(form),
        features=list(features),
        categorical=list(plan.categorical_features),
        objective={"regression": "squared error", "binary": "logistic", "multiclass": "multinomial"}[task],
        params=dict(params),
        facts={"rows": len(train.y), "rows of the table": train.of, "notes": notes},
        spread=spread.tolist(),
    )
    model.history = {"validation": {metric: [loss(model.predict(held.X), held, task)]}}
    model.facts["seconds"] = round(time.monotonic() - began, 3)
    return model


def _regression(
    columns: Any, train: Rows, params: Mapping[str, Any], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from sklearn.linear_model import ElasticNet, Ridge

    middle = float(np.average(train.y, weights=train.weight))
    alpha, l1 = float(params["alpha"]), float(params["l1_ratio"])
    if columns.shape[1] == 0:
        return np.array([middle]), np.zeros((1, 0))
    if l1 == 0:
        found = Ridge(alpha=alpha * train.weight.sum(), random_state=seed)
    else:
        found = ElasticNet(alpha=alpha, l1_ratio=l1, max_iter=int(params["max_iter"]), random_state=seed)
    found.fit(columns, train.y - middle, sample_weight=train.weight)
    return np.array([float(found.intercept_) + middle]), np.asarray(found.coef_, np.float64).reshape(1, -1)


def _classification(
    columns: Any, train: Rows, params: Mapping[str, Any], count: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from sklearn.linear_model import LogisticRegression

    seen = np.unique(train.y[train.weight > 0].astype(np.int64))
    if len(seen) < 2:
        raise DataError(
            "all training rows with a weight have one class; there is nothing to tell apart. Choose another split, or bring more rows."
        )
    alpha, l1 = float(params["alpha"]), float(params["l1_ratio"])
    width = columns.shape[1]
    if width == 0:
        columns = np.zeros((len(train.y), 1))
    found = LogisticRegression(
        C=1 / (alpha * train.weight.sum()),
        l1_ratio=l1,
        solver="saga" if l1 else "lbfgs",
        max_iter=int(params["max_iter"]),
        random_state=seed,
    )
    found.fit(columns, train.y.astype(np.int64), sample_weight=train.weight)
    intercept = np.asarray(found.intercept_, np.float64)
    coefficients = np.asarray(found.coef_, np.float64)[:, :width]
    if count > 2:
        if len(seen) == 2:  # scikit-learn has one score for two classes; softmax wants one each
            intercept, coefficients = np.r_[0.0, intercept], np.vstack([0 * coefficients, coefficients])
        bases, weights = np.full(count, _NEVER), np.zeros((count, width))
        bases[seen], weights[seen] = intercept, coefficients
        return bases, weights
    return intercept, coefficients
