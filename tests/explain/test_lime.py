"""LIME: linear games come out whole, the lasso chooses, and R² says how far to trust it."""

from __future__ import annotations

import numpy as np
import pytest

from synml_dagster.errors import ConfigError
from synml_dagster.explain import Background, explain_rows
from synml_dagster.explain.agnostic.games import FunctionGame
from synml_dagster.explain.agnostic.lime import lime_weights, table_width


def test_a_linear_game_gives_its_own_weights():
    value = np.array([[3.0, 0.0], [-1.0, 2.0], [0.5, 0.0]])
    found = lime_weights(FunctionGame(3, lambda m: m @ value + 1), samples=500)
    np.testing.assert_allclose(found.values, value, atol=1e-9)
    np.testing.assert_allclose(found.base, 1)
    np.testing.assert_allclose(found.r2, 1)


def test_the_lasso_takes_the_players_that_matter():
    value = np.zeros(30)
    value[[4, 11, 25]] = [5, -4, 3]
    noise = np.random.default_rng(0).normal(scale=0.05, size=30)
    found = lime_weights(FunctionGame(30, lambda m: m @ (value + noise)), samples=2000, features=3)
    assert set(np.flatnonzero(found.values[:, 0])) == {4, 11, 25}
    np.testing.assert_allclose(found.values[[4, 11, 25], 0], [5, -4, 3], atol=0.3)


def test_r2_is_low_where_a_sum_says_little():
    def parity(masks):
        return (masks.sum(1) % 2).astype(float)

    assert lime_weights(FunctionGame(8, parity), samples=2000).r2[0] < 0.2


def test_the_same_seed_gives_the_same_weights_and_widths_are_the_paper_s():
    game = FunctionGame(6, lambda m: np.sin(m @ np.arange(6.0)))
    a, b, c = (lime_weights(game, samples=200, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(a.values, b.values)
    assert not np.array_equal(a.values, c.values)
    assert table_width(16) == 3.0


def test_weights_solve_the_weighted_least_squares_by_scikit_learn():
    from sklearn.linear_model import LinearRegression

    seen = {}

    def worth(masks):
        seen["masks"] = masks
        seen["worth"] = np.tanh(masks @ np.array([1.0, 2.0, -1.0, 0.3]))
        return seen["worth"]

    found = lime_weights(FunctionGame(4, worth), samples=300)
    away = 4 - seen["masks"].sum(1)
    weight = np.sqrt(np.exp(-away / (0.75**2 * 4)))
    theirs = LinearRegression().fit(seen["masks"], seen["worth"], weight)
    np.testing.assert_allclose(found.values[:, 0], theirs.coef_, atol=1e-9)
    assert found.r2[0] == pytest.approx(theirs.score(seen["masks"], seen["worth"], weight))


def test_columns_and_texts_are_explained():
    rng = np.random.default_rng(0)
    rows, others = {"x": [2.0], "y": [1.0]}, {"x": rng.normal(size=50), "y": rng.normal(size=50)}

    def model(batch):
        return 3 * batch.column("x").to_numpy() - batch.column("y").to_numpy()

    found = explain_rows(model, rows, Background.of(others), method="lime", samples=4000)
    np.testing.assert_allclose(found.values[0][:, 0], [6, -1], atol=0.4)

    def words(batch):
        return np.array([1.0 * ("good" in t) for t in batch.column("t").to_pylist()])

    text = explain_rows(words, {"t": ["a good day"]}, text="t", method="lime", samples=200)
    np.testing.assert_allclose(text.values[0][:, 0], [0, 1, 0], atol=1e-9)
    assert text.method == "LIME's weights of tokens"


def test_numbers_out_of_their_range_are_refused():
    game = FunctionGame(5, lambda m: m.sum(1))
    with pytest.raises(ConfigError, match="more than 5 samples"):
        lime_weights(game, samples=5)
    with pytest.raises(ConfigError, match="at least 1"):
        lime_weights(game, features=0)
