"""Exact SHAP values of models that add up a term per feature, in closed form."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synml_dagster.explain.rows import explainable_rows
from synml_dagster.learners import AdditiveForm


class AdditiveExplainer:
    """Exact SHAP values of an additive model: a feature's term less its mean over the training rows.

    It is Corollary 1 of Lundberg and Lee 2017 (Linear SHAP): with features taken as independent, no other order of
    features gives another value.

    Parameters
    ----------
    form
        The model.
    """

    method = "Exact SHAP values of the linear model"
    rows_scored = 0

    def __init__(self, form: AdditiveForm) -> None:
        self._form = form
        self.num_features, self.num_outputs = form.num_features, form.num_outputs

    @property
    def base(self) -> NDArray[np.float64]:
        """Mean raw score over the training rows, float64 [outputs]."""
        return self._form.intercept + self._form.mean_term.sum(0)

    def values(
        self, X: ArrayLike, *, threads: int = 1
    ) -> tuple[NDArray[np.float64], float | NDArray[np.float64]]:
        """Explain rows.

        Parameters
        ----------
        X
            float32 [n, F] in the order of the model's features; NaN is missing.

        Returns
        -------
        phi
            float64 [n, F], or [n, F, k] for k > 1 outputs.
        base
            What they add up from: a float, or float64 [k].

        Raises
        ------
        DataError
            `X` has another number of columns than the model.
        """
        rows = explainable_rows(X, self.num_features)
        phi = self._form.terms(rows) - self._form.mean_term
        return (phi[:, :, 0], float(self.base[0])) if self.num_outputs == 1 else (phi, self.base)
