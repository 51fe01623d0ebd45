"""Both exact explainers hold the contract, and the closed form is the game's by its definition."""

import lightgbm as lgb
import numpy as np
import pytest

from synml_dagster.explain.base import explainer_for
from synml_dagster.learners import AdditiveForm, Link
from synml_dagster.learners.lightgbm.model_text import parse_trees
from synml_dagster.testing import ExplainerContract


class TestTrees(ExplainerContract):
    @pytest.fixture(params=["regression", "multiclass"])
    def case(self, request):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(400, 6)).astype(np.float32)
        X[rng.random(X.shape) < 0.1] = np.nan
        y = np.nan_to_num(X[:, 0]) + (X[:, 1] > 0)
        params = {"objective": request.param, "verbosity": -1, "num_leaves": 15, "min_data_in_leaf": 5}
        if request.param == "multiclass":
            params["num_class"], y = 3, np.digitize(y, [0, 1])
        booster = lgb.train(params, lgb.Dataset(X, y), 8)
        explainer = explainer_for(parse_trees(booster.model_to_string()))
        return explainer, lambda rows: booster.predict(rows, raw_score=True), X[:60]


class TestAdditive(ExplainerContract):
    @pytest.fixture
    def case(self):
        rng = np.random.default_rng(1)
        form = AdditiveForm(
            intercept=np.array([0.5, -1.0]),
            slope=np.array([[1.0, 2.0], [-0.5, 0.1], [0.0, 0.0]]),
            missing=rng.normal(size=(3, 2)),
            category_feature=np.array([2, 2]),
            category_code=np.array([0, 3], np.float32),
            category_term=np.array([[1.0, -1.0], [2.0, 0.5]]),
            mean_term=rng.normal(size=(3, 2)),
            link=Link("softmax"),
            classifies=True,
        )
        X = np.column_stack([rng.normal(size=(50, 2)), rng.integers(0, 5, 50)]).astype(np.float32)
        X[::7, 0], X[::5, 2] = np.nan, np.nan
        return explainer_for(form), form.raw_scores, X

    def value_of(self, case, row, known):
        explainer, _, _ = case
        form = explainer._form
        terms = form.terms(row[None])[0]
        return form.intercept + sum(
            terms[i] if i in known else form.mean_term[i] for i in range(form.num_features)
        )
