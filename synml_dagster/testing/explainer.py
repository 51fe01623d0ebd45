"""What an explainer has to hold, whatever it explains."""

from __future__ import annotations

from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from synml_dagster.errors import DataError
from synml_dagster.explain import Explainer


class ExplainerContract:
    """Inherit from it and give it an explainer, the raw scores that it explains, and rows.

    Subclasses define the fixture `case`: (explainer, raw_scores, rows), where `raw_scores(X)` is float64 `[n, outputs]`
    of float32 `X` `[n, features]`; and may define `value_of(case, X, known)`, the game whose Shapley values it finds.
    """

    @pytest.fixture
    def case(self) -> Any:
        """Return the explainer, its model's raw scores and rows to explain."""
        raise NotImplementedError

    def test_values_add_up(self, case: Any) -> None:
        """Base and values are the raw score, of every row."""
        explainer, raw_scores, X = case
        phi, base = _values(explainer, X)
        expected = raw_scores(X).reshape(len(X), -1)
        size = max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(phi.sum(1) + base, expected, rtol=0, atol=1e-6 * size)

    def test_rows_are_explained_one_by_one(self, case: Any) -> None:
        """A row's values do not depend on the rows beside it, on their order or on threads."""
        explainer, _, X = case
        whole, _ = _values(explainer, X)
        order = np.random.default_rng(0).permutation(len(X))
        np.testing.assert_array_equal(_values(explainer, X[order])[0], whole[order])
        np.testing.assert_array_equal(_values(explainer, X[:1])[0], whole[:1])
        threaded, _ = explainer.values(X, threads=2)
        np.testing.assert_array_equal(threaded.reshape(whole.shape), whole)

    def test_no_rows_are_no_values(self, case: Any) -> None:
        """An empty table is explained by an empty one."""
        explainer, _, X = case
        assert len(explainer.values(X[:0])[0]) == 0

    def test_rows_of_another_width_are_refused(self, case: Any) -> None:
        """A column too few is an error that says how many there are."""
        explainer, _, X = case
        with pytest.raises(DataError, match=str(explainer.num_features)):
            explainer.values(X[:, :-1])

    def test_it_says_what_it_is(self, case: Any) -> None:
        """In words for a report, what a row costs, and as many bases as outputs."""
        explainer, _, _ = case
        assert explainer.method
        assert explainer.rows_scored >= 0
        assert explainer.base.shape == (explainer.num_outputs,)

    def test_values_are_those_of_the_game(self, case: Any) -> None:
        """The Shapley values by their definition, over all orders of up to eight features."""
        explainer, _, X = case
        n = explainer.num_features
        if type(self).value_of is ExplainerContract.value_of or n > 8:
            pytest.skip("the game is not given, or has too many players")
        phi, _ = _values(explainer, X[:5])
        for row in range(len(X[:5])):
            for i in range(n):
                others = [j for j in range(n) if j != i]
                found = np.zeros(explainer.num_outputs)
                for size in range(n):
                    weight = factorial(size) * factorial(n - size - 1) / factorial(n)
                    for known in combinations(others, size):
                        with_it = self.value_of(case, X[row], (*known, i))
                        found = found + weight * (with_it - self.value_of(case, X[row], known))
                np.testing.assert_allclose(phi[row, i], found, rtol=0, atol=1e-8)

    def value_of(self, case: Any, row: NDArray[np.float32], known: tuple[int, ...]) -> NDArray[np.float64]:
        """Return the expected raw score, float64 `[outputs]`, where only the features in `known` are known."""
        raise NotImplementedError


def _values(explainer: Explainer, X: NDArray[np.float32]) -> tuple[NDArray[np.float64], Any]:
    phi, base = explainer.values(X)
    return phi.reshape(len(X), explainer.num_features, explainer.num_outputs), base
