"""What explains a model, and which explainer is for which form of model."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synml_dagster.errors import ModelError
from synml_dagster.learners import AdditiveForm, Form, TreeEnsemble

NOT_EXACT = "There are exact SHAP values of trees and of linear models; of a network's features, which act together, there are none."
"""What is said of a model that has no exact explainer."""


class Explainer(Protocol):
    """Values that add up, for every row, from a base to the model's raw score.

    Attributes
    ----------
    method
        In words for people, such as "Exact tree SHAP values".
    num_features, num_outputs
        How many columns a row has, and how many raw scores.
    """

    method: str
    num_features: int
    num_outputs: int

    @property
    def base(self) -> NDArray[np.float64]:
        """What values add up from, float64 [outputs]: the mean raw score of the training rows."""
        ...

    def values(
        self, X: ArrayLike, *, threads: int = 1
    ) -> tuple[NDArray[np.float64], float | NDArray[np.float64]]:
        """Return the values of float32 rows [n, F], [n, F] or [n, F, k] for k > 1 outputs, and their base."""
        ...


def is_explained_exactly(form: Form) -> bool:
    """Return whether there is an exact explainer of a model's form: there is of trees and of additive models."""
    return isinstance(form, AdditiveForm | TreeEnsemble)


def explainer_for(form: Form) -> Explainer:
    """Return the exact explainer of a model's form.

    Raises
    ------
    ModelError
        The model cannot be explained exactly: linear leaves, or a form without an exact explainer.
    """
    if isinstance(form, AdditiveForm):
        from synml_dagster.explain.additive import AdditiveExplainer

        return AdditiveExplainer(form)
    if isinstance(form, TreeEnsemble):
        from synml_dagster.explain.tree_shap.explainer import TreeExplainer

        return TreeExplainer(form)
    raise ModelError(NOT_EXACT)
