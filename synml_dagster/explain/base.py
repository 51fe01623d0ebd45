"""What explains a model, and which explainer is for which form of model."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synml_dagster.learners import AdditiveForm, Form, ScoredForm, TreeEnsemble


class Explainer(Protocol):
    """Values that add up, for every row, from a base to the model's raw score.

    Attributes
    ----------
    method
        In words for people, such as "Exact tree SHAP values".
    num_features, num_outputs
        How many columns a row has, and how many raw scores.
    rows_scored
        How many rows the model scores to explain one; 0 where the values have a closed form.
    """

    method: str
    num_features: int
    num_outputs: int
    rows_scored: int

    @property
    def base(self) -> NDArray[np.float64]:
        """What values add up from, float64 [outputs]: the mean raw score of the training rows."""
        ...

    def values(
        self, X: ArrayLike, *, threads: int = 1
    ) -> tuple[NDArray[np.float64], float | NDArray[np.float64]]:
        """Return the values of float32 rows [n, F], [n, F] or [n, F, k] for k > 1 outputs, and their base."""
        ...


def is_explained_exactly(form: Form | ScoredForm) -> bool:
    """Return whether a form's explanations cost next to nothing: those of trees and of sums of terms."""
    return isinstance(form, AdditiveForm | TreeEnsemble)


def explainer_for(form: Form | ScoredForm) -> Explainer:
    """Return the explainer of a model's form: exact for trees and sums of terms, Kernel SHAP for any other.

    Raises
    ------
    ModelError
        The model cannot be explained (linear leaves, a background of another width).
    """
    if isinstance(form, AdditiveForm):
        from synml_dagster.explain.additive import AdditiveExplainer

        return AdditiveExplainer(form)
    if not isinstance(form, TreeEnsemble):
        from synml_dagster.explain.kernel import KernelExplainer

        return KernelExplainer(form)
    from synml_dagster.explain.tree_shap.explainer import TreeExplainer

    return TreeExplainer(form)
