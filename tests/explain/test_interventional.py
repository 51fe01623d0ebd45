"""SHAP values against background rows: by their definition, whatever the splits look like, and as shap has them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from synml_dagster.errors import ConfigError, DataError
from synml_dagster.explain import TreeExplainer
from synml_dagster.learners.lightgbm.model_text import parse_trees
from synml_dagster.learners.raw_scores import scorer_of
from synml_dagster.learners.trees import Tree, TreeEnsemble
from synml_dagster.testing import ExplainerContract
from tests.explain.games import against_rows
from tests.explain.test_interactions import small
from tests.explain.test_tree_shap import table, train


class TestAgainstRows(ExplainerContract):
    """Categories, zeros as missing, NaN, forests and classes, by tables and by the background's patterns."""

    @pytest.fixture(
        params=[
            ({"objective": "regression"}, 10),
            ({"objective": "regression"}, 0),
            ({"objective": "regression", "zero_as_missing": True}, 10),
            ({"objective": "regression", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6}, 10),
            ({"objective": "multiclass", "num_class": 3}, 10),
            ({"objective": "multiclass", "num_class": 3}, 2),
        ],
        ids=["regression", "deep", "zero_as_missing", "forest", "multiclass", "deep multiclass"],
    )
    def case(self, request):
        params, limit = request.param
        booster, X = small(params)
        trees = parse_trees(booster.model_to_string())
        # LightGBM's raw score of a forest is the sum of what it predicts the mean of.
        scale = trees.iterations if trees.average_output else 1
        self.background = X[300:330]

        def raw_scores(rows):
            return booster.predict(rows, raw_score=True) / scale

        return TreeExplainer(trees, background=self.background, largest_table=limit), raw_scores, X[:60]

    def value_of(self, case, row, known):
        return against_rows(case[1], self.background, row, known)


@pytest.mark.parametrize("leaves", [31, 127])
def test_they_are_those_of_shap(leaves):
    shap = pytest.importorskip("shap")
    X, y = table()
    params = {"objective": "binary", "num_leaves": leaves, "min_data_in_leaf": 3}
    booster = train(params, X, y > 1, categorical=())
    background = X[1_000:1_100]
    explainer = TreeExplainer(booster.model_to_string(), background=background)
    phi, base = explainer.values(X[:80])
    theirs = shap.TreeExplainer(booster, background.astype(np.float64), feature_perturbation="interventional")
    np.testing.assert_allclose(phi, theirs.shap_values(X[:80].astype(np.float64)), atol=1e-6)
    assert base == pytest.approx(theirs.expected_value, abs=1e-6)
    assert base == pytest.approx(booster.predict(background, raw_score=True).mean(), abs=1e-9)
    assert "100 background rows" in explainer.method


def test_each_class_has_those_of_its_own_trees():
    X, y = table()
    booster = train({"objective": "multiclass", "num_class": 3}, X, np.digitize(y, [0, 2]))
    trees = parse_trees(booster.model_to_string())
    phi, base = TreeExplainer(trees, background=X[:50]).values(X[50:80])
    for k in range(3):
        alone = replace(trees, trees=trees.trees[k::3], trees_per_iteration=1)
        own, own_base = TreeExplainer(alone, background=X[:50]).values(X[50:80])
        np.testing.assert_allclose(phi[:, :, k], own, atol=1e-12)
        assert base[k] == pytest.approx(own_base)


def test_the_longest_path_that_there_may_be_keeps_all_its_bits():
    features = 63
    rng = np.random.default_rng(0)
    nodes = np.arange(features, dtype=np.int32)
    tree = Tree(
        num_leaves=features + 1,
        split_feature=nodes,
        threshold=np.full(features, -1.5),
        decision_type=np.zeros(features, np.uint8),
        left_child=~nodes,
        right_child=np.append(nodes[1:], ~features).astype(np.int32),
        split_gain=np.ones(features),
        internal_count=np.arange(features + 1, 1, -1),
        leaf_value=rng.normal(size=features + 1),
        leaf_count=np.ones(features + 1, np.int64),
        cat_boundaries=np.zeros(1, np.int32),
        cat_threshold=np.zeros(0, np.uint32),
        shrinkage=1.0,
        is_linear=False,
    )
    names = tuple(f"x{i}" for i in range(features))
    trees = TreeEnsemble("regression", {}, 1, 1, names, (), False, (tree,))
    X = rng.normal(size=(60, features)).astype(np.float32)
    raw = scorer_of(trees).raw_scores(X)[:, 0]
    assert len(np.unique(raw)) > 20
    phi, base = TreeExplainer(trees, background=X[:20]).values(X)
    np.testing.assert_allclose(phi.sum(1) + base, raw, atol=1e-9)
    both = TreeExplainer(trees).interaction_values(X)
    np.testing.assert_allclose(both.sum((1, 2)) + TreeExplainer(trees).base, raw, atol=1e-9)


def test_one_background_row_that_is_the_row_itself_explains_nothing():
    X, y = table()
    explainer = TreeExplainer(train({"objective": "regression"}, X, y).model_to_string(), background=X[7:8])
    phi, _ = explainer.values(X[7:8])
    np.testing.assert_array_equal(phi, 0)


def test_a_background_that_does_not_fit_is_refused():
    X, y = table()
    text = train({"objective": "regression"}, X, y).model_to_string()
    with pytest.raises(ConfigError, match=r"2,000 rows and may have 1,000"):
        TreeExplainer(text, background=X[:2_000])
    with pytest.raises(DataError, match="no rows"):
        TreeExplainer(text, background=X[:0])
    with pytest.raises(DataError, match="12 features"):
        TreeExplainer(text, background=X[:5, :3])
