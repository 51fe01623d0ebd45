"""Networks of weighted sums and kinks: models whose features act together, with no closed form of what each adds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synml_dagster.learners.additive import AdditiveForm
from synml_dagster.learners.link import Link

_ROWS = 8192


@dataclass(frozen=True, eq=False)
class NetworkForm:
    """Raw score = the last of some layers, each the weighted sums of what the one before left above 0.

    Numbers are first brought into `low` to `high`, so that one far from all training rows does not carry the answer away. A
    missing or infinite number keeps its own term of the first layer.
    """

    low: NDArray[np.float32]
    """[features]"""
    high: NDArray[np.float32]
    """[features]"""
    first: AdditiveForm
    """From features to the first layer's sums: one output a unit; its link says nothing."""
    weights: tuple[NDArray[np.float64], ...]
    """By further layer, [units before, units]."""
    biases: tuple[NDArray[np.float64], ...]
    """By further layer, [units]."""
    link: Link
    classifies: bool
    background: NDArray[np.float32]
    """[rows, features] training rows that stand for what is not known of a row, when it is explained."""

    @property
    def num_features(self) -> int:
        """How many columns a row has."""
        return len(self.low)

    @property
    def num_outputs(self) -> int:
        """How many raw scores a row has."""
        return len(self.biases[-1]) if self.biases else self.first.num_outputs

    def raw_scores(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the raw scores, float64 `[rows, outputs]`, of float32 `X` `[rows, features]`."""
        found = np.empty((len(X), self.num_outputs))
        for start in range(0, len(X), _ROWS):
            part = X[start : start + _ROWS]
            bounded = np.where(np.isfinite(part), np.clip(part, self.low, self.high), np.float32(np.nan))
            sums = self.first.raw_scores(bounded)
            for weight, bias in zip(self.weights, self.biases, strict=True):
                sums = np.maximum(sums, 0) @ weight + bias
            found[start : start + _ROWS] = sums
        return found
