"""What a model has to be so that it can be explained where it is neither trees nor a sum of terms."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from synml_dagster.learners.link import Link


@runtime_checkable
class ScoredForm(Protocol):
    """A form that says no more of itself than its raw scores, and carries rows to compare with.

    A family whose models are such (a neural network) writes a sample of its training rows into the model's text.
    """

    @property
    def num_features(self) -> int:
        """How many columns a row has."""
        ...

    @property
    def num_outputs(self) -> int:
        """How many raw scores a row has."""
        ...

    @property
    def link(self) -> Link | None:
        """How raw scores become answers."""
        ...

    @property
    def background(self) -> NDArray[np.float32]:
        """float32 [rows, features]: up to some hundred training rows, which stand for what is not known of a row."""
        ...

    def raw_scores(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the raw scores, float64 [rows, outputs], of float32 rows [rows, features]."""
        ...
