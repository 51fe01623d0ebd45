"""Models that add up one term per feature: the linear ones, with a value of its own for missing and for each category."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synml_dagster.learners.link import Link


@dataclass(frozen=True, eq=False)
class AdditiveForm:
    """Raw score = intercept + the sum over features of a term that depends on that feature alone.

    The term of a number is `slope * x`. The term of a category is its entry in the table, and 0 for a code that is not
    there. A missing value, and an infinite one, has a term of its own.
    """

    intercept: NDArray[np.float64]
    """[outputs]"""
    slope: NDArray[np.float64]
    """[features, outputs]; 0 for categorical features."""
    missing: NDArray[np.float64]
    """[features, outputs] the term of a missing value."""
    category_feature: NDArray[np.int64]
    """[entries] which feature an entry of the table is of."""
    category_code: NDArray[np.float32]
    """[entries] the value that it stands for."""
    category_term: NDArray[np.float64]
    """[entries, outputs]"""
    mean_term: NDArray[np.float64]
    """[features, outputs] mean of each term over the training rows: what explanations measure from."""
    link: Link
    classifies: bool

    @property
    def num_features(self) -> int:
        """How many columns a row has."""
        return len(self.slope)

    @property
    def num_outputs(self) -> int:
        """How many raw scores a row has."""
        return len(self.intercept)

    def terms(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return each feature's term, float64 `[rows, features, outputs]`, of float32 `X` `[rows, features]`."""
        numbers, gone = _numbers(X)
        found = numbers[:, :, None] * self.slope + gone[:, :, None] * self.missing
        for feature, rows, entries in self._categories(X):
            found[rows, feature] += self.category_term[entries]
        return found

    def raw_scores(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the raw scores, float64 `[rows, outputs]`, of float32 `X` `[rows, features]`."""
        numbers, gone = _numbers(X)
        found = numbers @ self.slope + gone.astype(np.float64) @ self.missing + self.intercept
        for _, rows, entries in self._categories(X):
            found[rows] += self.category_term[entries]
        return found

    def _categories(self, X: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.intp], NDArray[np.intp]]]:
        """Yield each categorical feature, the rows whose code the table has, and the codes' entries."""
        for feature in np.unique(self.category_feature):
            own = np.flatnonzero(self.category_feature == feature)
            own = own[np.argsort(self.category_code[own], kind="stable")]
            codes = self.category_code[own]
            place = np.minimum(np.searchsorted(codes, X[:, feature]), len(codes) - 1)
            rows = np.flatnonzero(codes[place] == X[:, feature])
            yield int(feature), rows, own[place[rows]]


def _numbers(X: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    gone = ~np.isfinite(X)
    return np.where(gone, np.float32(0), X).astype(np.float64), gone
