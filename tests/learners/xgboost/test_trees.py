"""XGBoost's JSON read as neutral trees, against XGBoost's own predictions and explanations."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xgboost as xgb

from synml_dagster.errors import ModelError
from synml_dagster.explain.base import explainer_for
from synml_dagster.export import model_to_onnx
from synml_dagster.learners.tree_models.scores import TreeScorer
from synml_dagster.learners.xgboost.model_json import parse_model
from synml_dagster.onnx import OnnxModel, Scorer

KINDS = ["q", "q", "c", "q"]
OPTIONS = {"enable_categorical": True, "feature_types": KINDS}
CASES = {
    "binary": ({"objective": "binary:logistic"}, "binary"),
    "unbalanced": ({"objective": "binary:logistic", "scale_pos_weight": 7.0, "base_score": 0.1}, "binary"),
    "multiclass": ({"objective": "multi:softprob", "num_class": 3}, "classes"),
    "regression": ({"objective": "reg:squarederror", "max_depth": 7}, "number"),
    "absolute": ({"objective": "reg:absoluteerror"}, "number"),
    "poisson": ({"objective": "count:poisson"}, "count"),
    "tweedie": ({"objective": "reg:tweedie"}, "count"),
    "share": ({"objective": "reg:logistic"}, "binary"),
    "dart": ({"objective": "reg:squarederror", "booster": "dart", "rate_drop": 0.4}, "number"),
    "forests": (
        {"objective": "multi:softprob", "num_class": 3, "num_parallel_tree": 3, "subsample": 0.5},
        "classes",
    ),
    "best_leaf_first": (
        {"objective": "binary:logistic", "grow_policy": "lossguide", "max_leaves": 12, "max_depth": 0},
        "binary",
    ),
    "pruned": ({"objective": "binary:logistic", "gamma": 3.0, "tree_method": "exact"}, "binary"),
    "one_category_a_split": ({"objective": "binary:logistic", "max_cat_to_onehot": 100}, "binary"),
}


def rows(kind, n=700):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(n, 4)).astype(np.float32)
    X[:, 2] = rng.integers(0, 90, n)
    X[:, 3] = np.where(rng.random(n) < 0.5, 0.0, X[:, 3])
    for column, share in ((0, 0.2), (2, 0.1), (3, 0.05)):
        X[rng.random(n) < share, column] = np.nan
    filled = np.nan_to_num(X, nan=-1)
    score = (
        filled[:, 0]
        + 2 * (filled[:, 2] % 3 == 1)
        + (filled[:, 3] > 0)
        + np.isnan(X[:, 2])
        + rng.normal(0, 0.3, n)
    )
    y = {
        "binary": score > 1,
        "classes": np.digitize(score, [0, 1.5]),
        "number": 100 * score,
        "count": rng.poisson(np.exp(score / 2)),
    }[kind]
    return X, np.asarray(y, np.float64)


def awkward(X, form):
    """Rows with each numeric feature exactly at its thresholds and a step to each side, and with odd codes."""
    made = [X]
    for feature in (0, 1, 3):
        near = np.unique(
            [
                t
                for tree in form.trees
                for t in tree.threshold[(tree.split_feature == feature) & ~tree.is_categorical]
            ]
        )
        near = near.astype(np.float32)
        values = [near, np.nextafter(near, np.float32(np.inf)), np.nextafter(near, np.float32(-np.inf))]
        values = np.concatenate(
            [*values, np.array([np.nan, 0.0, -0.0, 1e-38, -1e-38, 3e38, -3e38], np.float32)]
        )
        block = np.repeat(X[:1], len(values), axis=0)
        block[:, feature] = values
        made.append(block)
    codes = np.array([*range(95), 500, 5000, np.nan], np.float32)
    block = np.repeat(X[:1], len(codes), axis=0)
    block[:, 2] = codes
    return np.concatenate([*made, block])


@pytest.fixture(scope="module", params=list(CASES))
def trained(request):
    params, kind = CASES[request.param]
    X, y = rows(kind)
    options = OPTIONS
    if params.get("tree_method") == "exact":  # which takes no categories
        options = {}
    booster = xgb.train(
        {"max_depth": 4, "nthread": 1, "max_cat_to_onehot": 4, **params}, xgb.DMatrix(X, y, **options), 25
    )
    form = parse_model(booster.save_raw("json").decode())
    X = awkward(X, form)
    return booster, form, X, xgb.DMatrix(X, **options)


def test_neutral_trees_answer_as_xgboost_does(trained):
    booster, form, X, data = trained
    raw = booster.predict(data, output_margin=True).reshape(len(X), -1)
    size = max(1.0, np.abs(raw).max())
    np.testing.assert_allclose(TreeScorer(form).raw_scores(X), raw, rtol=0, atol=1e-6 * size)
    answers = booster.predict(data).reshape(len(X), -1)
    found = form.link.apply(TreeScorer(form).raw_scores(X))
    # XGBoost sums float32: its last digits are those of the largest sum.
    np.testing.assert_allclose(found, answers, rtol=2e-6, atol=1e-6 * max(1.0, np.abs(answers).max()))


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("trees", ["onnxruntime", "tables"])
def test_the_graph_answers_as_xgboost_does(trained, whole, trees):
    booster, form, X, data = trained
    graph = Scorer(OnnxModel(model_to_onnx(form, whole_categories=whole)), outputs=["raw_score"], trees=trees)
    found = np.array(graph.score({"features": X}).column(0).to_pylist(), dtype=np.float64).reshape(len(X), -1)
    raw = booster.predict(data, output_margin=True).reshape(len(X), -1)
    np.testing.assert_allclose(found, raw, rtol=0, atol=1e-6 * max(1.0, np.abs(raw).max()))


def test_explanations_are_xgboosts_own(trained):
    booster, form, X, data = trained
    theirs = booster.predict(data, pred_contribs=True).reshape(len(X), -1, X.shape[1] + 1)
    phi, base = explainer_for(form).values(X)
    phi = phi.reshape(len(X), X.shape[1], -1).transpose(0, 2, 1)
    size = max(1.0, np.abs(theirs).max())
    np.testing.assert_allclose(phi, theirs[:, :, :-1], rtol=0, atol=2e-5 * size)
    np.testing.assert_allclose(
        np.broadcast_to(base, theirs[:, :, -1].shape), theirs[:, :, -1], rtol=0, atol=2e-5 * size
    )


def saved(kind="binary", **params):
    X, y = rows(kind, 200)
    params = {"objective": "binary:logistic", "max_depth": 2, "nthread": 1, **params}
    return json.loads(xgb.train(params, xgb.DMatrix(X, y, **OPTIONS), 3).save_raw("json"))


def test_base_scores_are_read_as_old_and_new_versions_write_them():
    raw = saved(base_score=0.25)
    new = TreeScorer(parse_model(json.dumps(raw))).raw_scores(rows("binary")[0])
    raw["learner"]["learner_model_param"]["base_score"] = "2.5E-1"
    np.testing.assert_array_equal(TreeScorer(parse_model(json.dumps(raw))).raw_scores(rows("binary")[0]), new)


def damaged(change):
    raw = saved()
    change(raw["learner"]["gradient_booster"])
    return json.dumps(raw)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tree", "damaged"),
        ("{}", "damaged"),
        (damaged(lambda b: b["model"].pop("trees")), "damaged"),
        (damaged(lambda b: b["model"]["tree_info"].pop()), "damaged"),
        (damaged(lambda b: b["model"]["trees"][0]["left_children"].__setitem__(0, 0)), "do not form a tree"),
        (damaged(lambda b: b["model"]["trees"][0]["split_indices"].__setitem__(0, 9)), "not there"),
        (damaged(lambda b: b.update(name="gblinear")), "has no trees"),
    ],
)
def test_what_is_no_model_of_trees_is_refused(text, message):
    with pytest.raises(ModelError, match=message):
        parse_model(text)
