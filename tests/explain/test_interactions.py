"""Interaction values: by their definition on small models, and as shap and XGBoost have them on larger ones."""

from __future__ import annotations

from dataclasses import replace

import lightgbm as lgb
import numpy as np
import pytest

from synml_dagster.errors import ConfigError, DataError
from synml_dagster.explain import TreeExplainer
from synml_dagster.learners.lightgbm.model_text import parse_trees
from tests.explain.games import path_dependent, shapley_interactions
from tests.explain.test_tree_shap import F, table, train


@pytest.fixture(params=[10, 0], ids=["by tables", "by quadrature"])
def largest(request):
    return request.param


def small(params, rows=400, features=5):
    """A category, zeros, missing values and numbers that act together."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(rows, features)).astype(np.float32)
    X[:, 0] = rng.integers(0, 8, rows)
    X[:, 1] = np.round(X[:, 1])
    X[rng.random(X.shape) < 0.1] = np.nan
    filled = np.nan_to_num(X)
    y = (filled[:, 0] % 2) * filled[:, 1] + filled[:, 2] * filled[:, 3] + filled[:, 4]
    if "num_class" in params:
        y = np.digitize(y, [0, 1])
    base = {"verbose": -1, "num_threads": 1, "min_data_in_leaf": 5, "num_leaves": 15}
    data = lgb.Dataset(X, y, categorical_feature=[0])
    return lgb.train({**base, **params}, data, 4), X


@pytest.mark.parametrize(
    "params",
    [
        {"objective": "regression"},
        {"objective": "regression", "zero_as_missing": True},
        {"objective": "regression", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6},
        {"objective": "multiclass", "num_class": 3},
    ],
    ids=["regression", "zero_as_missing", "forest", "multiclass"],
)
def test_they_are_those_of_the_definition(params, largest):
    booster, X = small(params)
    trees = parse_trees(booster.model_to_string())
    explainer = TreeExplainer(trees, largest_table=largest)
    found = explainer.interaction_values(X[:4]).reshape(4, 5, 5, -1)
    for row in range(4):
        wanted = shapley_interactions(lambda known, x=X[row]: path_dependent(trees, x, known), 5)
        np.testing.assert_allclose(found[row], wanted, atol=1e-10)


def test_they_are_those_of_shap(largest):
    shap = pytest.importorskip("shap")
    X, y = table()
    booster = train({"objective": "binary"}, X, y > 1, categorical=())
    theirs = shap.TreeExplainer(booster).shap_interaction_values(X[:80])
    explainer = TreeExplainer(booster.model_to_string(), largest_table=largest)
    found = explainer.interaction_values(X[:80])
    np.testing.assert_allclose(found, np.asarray(theirs), atol=1e-9)
    np.testing.assert_array_equal(found, found.transpose(0, 2, 1))
    np.testing.assert_allclose(found.sum(2), explainer.values(X[:80])[0], atol=1e-12)


def test_they_are_those_of_xgboost():
    xgb = pytest.importorskip("xgboost")
    from synml_dagster.learners import learner_of

    X, y = table(rows=1_000)
    data = xgb.DMatrix(X, np.digitize(y, [0, 2]))
    params = {"objective": "multi:softprob", "num_class": 3, "max_depth": 4, "nthread": 1}
    booster = xgb.train(params, data, 4)
    form = learner_of("xgboost").form(booster.save_raw("json").decode())
    found = TreeExplainer(form).interaction_values(X[:50])
    theirs = booster.predict(xgb.DMatrix(X[:50]), pred_interactions=True)[:, :, :-1, :-1]
    np.testing.assert_allclose(found, theirs.transpose(0, 2, 3, 1), atol=2e-6)  # XGBoost's are float32


def test_each_class_has_those_of_its_own_trees():
    X, y = table()
    booster = train({"objective": "multiclass", "num_class": 3}, X, np.digitize(y, [0, 2]))
    trees = parse_trees(booster.model_to_string())
    found = TreeExplainer(trees).interaction_values(X[:30])
    for k in range(3):
        alone = replace(trees, trees=trees.trees[k::3], trees_per_iteration=1)
        np.testing.assert_allclose(
            found[:, :, :, k], TreeExplainer(alone).interaction_values(X[:30]), atol=1e-12
        )


def test_deep_leaves_agree_with_tables():
    X, y = table()
    booster = train({"objective": "regression", "num_leaves": 127, "min_data_in_leaf": 2}, X, y)
    explainer = TreeExplainer(booster.model_to_string())
    assert (np.diff(explainer._forest.slot_start) > 6).any()
    tabled = explainer.interaction_values(X[:40])
    computed = TreeExplainer(booster.model_to_string(), largest_table=3).interaction_values(X[:40])
    np.testing.assert_allclose(tabled, computed, atol=1e-10)


def test_blocks_of_a_raw_columns_parts_are_added_up():
    X, y = table()
    explainer = TreeExplainer(train({"objective": "regression"}, X, y).model_to_string())
    group = np.array([0, 0, 0, 1, 2, 2, 3, 4, 5, 6, 6, 7])
    member = np.zeros((F, 8))
    member[np.arange(F), group] = 1
    whole = explainer.interaction_values(X[:50])
    found = explainer.interaction_values(X[:50], groups=group)
    np.testing.assert_allclose(found, np.einsum("nij,ia,jb->nab", whole, member, member), atol=1e-10)


def test_threads_and_chunks_change_nothing():
    X, y = table(rows=3_000)
    text = train({"objective": "regression"}, X, y).model_to_string()
    explainer = TreeExplainer(text)
    found = TreeExplainer(text, chunk_rows=300).interaction_values(X[:1_000], threads=2)
    np.testing.assert_array_equal(found[290:310], explainer.interaction_values(X[290:310]))
    assert explainer.interaction_values(X[:0]).shape == (0, F, F)


def test_what_cannot_be_answered_is_refused():
    X, y = table()
    text = train({"objective": "regression"}, X, y).model_to_string()
    explainer = TreeExplainer(text)
    with pytest.raises(DataError, match="12 features"):
        explainer.interaction_values(X[:, :5])
    with pytest.raises(ConfigError, match="whole number from 0"):
        explainer.interaction_values(X[:5], groups=[0, 1])
    with pytest.raises(ConfigError, match="without a background"):
        TreeExplainer(text, background=X[:5]).interaction_values(X[:5])
    with pytest.raises(ConfigError, match="fewer rows"):
        explainer.interaction_values(np.broadcast_to(X[:1], (20_000_000, F)))


def test_a_features_partner_is_told_by_interaction_values():
    from synml_dagster.explain import Explanations
    from synml_dagster.explain.interactions import interaction_partners, strongest_partner

    rng = np.random.default_rng(0)
    X = rng.normal(size=(2_000, 4)).astype(np.float32)
    y = X[:, 0] * X[:, 1] + 2 * X[:, 2] + 0.3 * X[:, 3]
    booster = train({"objective": "regression", "num_leaves": 7, "max_depth": 3}, X, y, 60, categorical=())
    explainer = TreeExplainer(booster.model_to_string())
    phi, base = explainer.values(X)
    names = ["a", "b", "c", "d"]
    found = interaction_partners(explainer, names, X, phi[:, :, None].astype(np.float32))
    assert (found["a"], found["b"], found["c"]) == (["b"], ["a"], [None])
    told = Explanations(
        "regression",
        names,
        ["0"],
        np.array([base]),
        X,
        phi[:, :, None].astype(np.float32),
        partners=found,
    )
    assert strongest_partner(told, 0) == 1
    assert strongest_partner(told, 2) is None
