"""What answers rows by a model's neutral form: trees laid out for it, any other form by itself."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from synml_dagster.learners.trees import TreeEnsemble


class RawScores(Protocol):
    """Raw scores of rows."""

    @property
    def num_features(self) -> int:
        """How many columns a row has."""
        ...

    @property
    def num_outputs(self) -> int:
        """How many raw scores a row has."""
        ...

    def raw_scores(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the raw scores, float64 `[rows, outputs]`, of float32 `X` `[rows, features]`."""
        ...


def scorer_of(form: TreeEnsemble | RawScores) -> RawScores:
    """Return what scores rows by a form; keep it where more rows come, since trees are laid out anew each time.

    Raises
    ------
    ModelError
        Leaves hold linear models.
    """
    if not isinstance(form, TreeEnsemble):
        return form
    from synml_dagster.learners.tree_models.scores import TreeScorer

    return TreeScorer(form)
