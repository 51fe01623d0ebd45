"""Features as models of weighted sums want them: standardised numbers, flags of what is missing, a column for each category."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synml_dagster.learners.additive import AdditiveForm
from synml_dagster.learners.link import Link

_DENSE_UP_TO = 200
"""Columns of a design that is kept dense."""


@dataclass(frozen=True)
class Design:
    """What is taken from the training rows: how features become columns, and back from coefficients to terms.

    A column of a number is `(x - mean) / spread`, 0 where it is missing; one that is the same in all rows has none. A
    feature with missing values has a flag, and a categorical one a flag for each of its codes.
    """

    numeric: NDArray[np.int64]
    """Which features have a column of numbers."""
    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    flagged: NDArray[np.int64]
    """Which features have a flag of what is missing."""
    category_feature: NDArray[np.int64]
    category_code: NDArray[np.float32]
    features: int

    @classmethod
    def of(cls, X: NDArray[np.float32], weight: NDArray[np.float64], categorical: Collection[int]) -> Design:
        """Take it from rows `X` `[n, features]`."""
        numeric, mean, spread, flagged = [], [], [], []
        feature, code = [], []
        for i in range(X.shape[1]):
            there = np.isfinite(X[:, i])
            if not there.all() and there.any():
                flagged.append(i)
            values, share = X[there, i].astype(np.float64), weight[there]
            if i in categorical:
                codes = np.unique(X[there, i])
                feature += [i] * len(codes)
                code += codes.tolist()
            elif share.sum() > 0:
                middle = float(np.average(values, weights=share))
                size = float(np.sqrt(np.average((values - middle) ** 2, weights=share)))
                # By itself and not by its spread: that of one value is seldom 0 where rows weigh fractions.
                several = np.ptp(values[share > 0]) > 0
                if several and size > 0 and np.isfinite(size):
                    numeric.append(i)
                    mean.append(middle)
                    spread.append(size)
        return cls(
            np.array(numeric, np.int64),
            np.array(mean, np.float64),
            np.array(spread, np.float64),
            np.array(flagged, np.int64),
            np.array(feature, np.int64),
            np.array(code, np.float32),
            X.shape[1],
        )

    def columns(self, X: NDArray[np.float32]) -> Any:
        """Return the design of rows: a float64 matrix, sparse where it has many columns."""
        numbers = X[:, self.numeric].astype(np.float64)
        numbers = np.where(np.isfinite(numbers), (numbers - self.mean) / self.spread, 0.0)
        flags = ~np.isfinite(X[:, self.flagged])
        width = len(self.numeric) + len(self.flagged) + len(self.category_code)
        if width <= _DENSE_UP_TO:
            same = X[:, self.category_feature] == self.category_code
            return np.hstack([numbers, flags, same]).astype(np.float64)
        from scipy import sparse

        parts = [sparse.csr_matrix(numbers), sparse.csr_matrix(flags.astype(np.float64))]
        for i in np.unique(self.category_feature):
            codes = self.category_code[self.category_feature == i]
            place = np.minimum(np.searchsorted(codes, X[:, i]), len(codes) - 1)
            hit = np.flatnonzero(codes[place] == X[:, i])
            ones = (np.ones(len(hit)), (hit, place[hit]))
            parts.append(sparse.csr_matrix(ones, shape=(len(X), len(codes))))
        return sparse.hstack(parts, format="csr")

    def terms(
        self,
        intercept: NDArray[np.float64],
        coefficients: NDArray[np.float64],
        link: Link,
        classifies: bool,
    ) -> AdditiveForm:
        """Return what `coefficients` `[outputs, columns]` make of features, with no mean terms."""
        outputs, a, b = len(intercept), len(self.numeric), len(self.numeric) + len(self.flagged)
        slope, missing = np.zeros((self.features, outputs)), np.zeros((self.features, outputs))
        slope[self.numeric] = (coefficients[:, :a] / self.spread).T
        # A missing number counts as the mean one, and its flag says what is different about it.
        missing[self.numeric] = slope[self.numeric] * self.mean[:, None]
        missing[self.flagged] += coefficients[:, a:b].T
        return AdditiveForm(
            intercept=intercept - (slope[self.numeric] * self.mean[:, None]).sum(0),
            slope=slope,
            missing=missing,
            category_feature=self.category_feature,
            category_code=self.category_code,
            category_term=np.ascontiguousarray(coefficients[:, b:].T),
            mean_term=np.zeros_like(slope),
            link=link,
            classifies=classifies,
        )

    def form(
        self,
        intercept: NDArray[np.float64],
        coefficients: NDArray[np.float64],
        X: NDArray[np.float32],
        weight: NDArray[np.float64],
        link: Link,
        classifies: bool,
    ) -> tuple[AdditiveForm, NDArray[np.float64]]:
        """Return the terms of `coefficients` `[outputs, columns]`, and how far each feature's spreads over the rows."""
        bare = self.terms(intercept, coefficients, link, classifies)
        mean, square = np.zeros_like(bare.slope), np.zeros_like(bare.slope)
        share = weight / weight.sum()
        step = max(1, 10_000_000 // max(1, self.features * len(intercept)))
        for start in range(0, len(X), step):
            terms = bare.terms(X[start : start + step])
            mean += np.einsum("n,nfk->fk", share[start : start + step], terms)
        for start in range(0, len(X), step):
            terms = bare.terms(X[start : start + step]) - mean
            square += np.einsum("n,nfk->fk", share[start : start + step], terms**2)
        form = AdditiveForm(**{**bare.__dict__, "mean_term": mean})
        return form, np.sqrt(square).sum(1)
