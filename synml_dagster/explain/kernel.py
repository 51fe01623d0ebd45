"""Kernel SHAP behind the explainers' protocol, for models that are neither trees nor sums of terms."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synml_dagster.errors import ModelError
from synml_dagster.explain.agnostic.coalitions import MOST_EXACT, coalitions
from synml_dagster.explain.agnostic.games import MatrixGame
from synml_dagster.explain.agnostic.kernel_shap import shapley_values
from synml_dagster.explain.rows import explainable_rows
from synml_dagster.learners import ScoredForm


class KernelExplainer:
    """Shapley values of the raw scores of any model, against a background that it carries.

    Exact up to 12 features; estimated by weighted least squares over 2 m + 2048 coalitions beyond, the same ones for every
    row and run. Values add up to the raw score either way.

    Parameters
    ----------
    form
        The model and its background.
    budget
        Coalitions at most, beyond 12 features.
    """

    def __init__(self, form: ScoredForm, *, budget: int | None = None) -> None:
        self._form, self._budget = form, budget
        self.num_features, self.num_outputs = form.num_features, form.num_outputs
        self._background = np.asarray(form.background, dtype=np.float32)
        n = len(self._background)
        if not n or self._background.shape[1:] != (self.num_features,):
            raise ModelError(
                f"The model's background must be rows of {self.num_features} features but is an array of {self._background.shape}."
            )
        how = "Exact" if self.num_features <= MOST_EXACT else "Kernel"
        self.method = f"{how} SHAP values against {n:,} background rows"
        drawn = (
            2**self.num_features
            if self.num_features <= MOST_EXACT
            else (budget or 2 * self.num_features + 2048)
        )
        self.rows_scored = n * drawn
        """Rows that are scored to explain one."""
        self._weight = np.full(n, 1 / n)
        self._base = self._raw(self._background).mean(0)
        if self.num_features > MOST_EXACT:
            coalitions(
                self.num_features, budget
            )  # drawn once, and refused here where the budget is too small

    @property
    def base(self) -> NDArray[np.float64]:
        """Mean raw score over the background, float64 [outputs]."""
        return self._base

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
        phi = np.zeros((len(rows), self.num_features, self.num_outputs))
        for i, row in enumerate(rows):
            game = MatrixGame(self._raw, row, self._background, self._weight)
            phi[i] = shapley_values(game, budget=self._budget).values
        return (phi[:, :, 0], float(self._base[0])) if self.num_outputs == 1 else (phi, self._base)

    def _raw(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.asarray(self._form.raw_scores(X), dtype=np.float64).reshape(len(X), -1)
