"""Forests against scikit-learn's own predictions, their size, and what they refuse."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from synml_dagster.errors import ConfigError, DataError, ModelError
from synml_dagster.explain.base import explainer_for
from synml_dagster.export import model_to_onnx
from synml_dagster.features import SPLIT, assemble, fit_plan
from synml_dagster.learners import TrainSpec, learner_of
from synml_dagster.learners.forests.size import forest_size
from synml_dagster.learners.forests.text import read_forest, write_forest
from synml_dagster.learners.forests.training import _nodes
from synml_dagster.learners.one_process.rows import Rows
from synml_dagster.learners.tree_models.scores import TreeScorer
from synml_dagster.onnx import OnnxModel, Scorer
from synml_dagster.tables import publish_table

SIZE = {"n_estimators": 100, "max_nodes": 400_000, "min_samples_leaf": 3, "max_depth": 32}


def rows(task, n=600):
    rng = np.random.default_rng(2)
    X = rng.normal(size=(n, 4)).astype(np.float32)
    X[:, 1] = np.round(X[:, 1])
    X[:, 2] = rng.integers(0, 20, n)
    for column in (0, 2):
        X[rng.random(n) < 0.2, column] = np.nan
    score = np.nan_to_num(X[:, 0], nan=2.0) + X[:, 1] + rng.normal(0, 0.3, n)
    y = (
        score > 0.5
        if task == "binary"
        else np.digitize(score, [0, 1.5])
        if task == "classes"
        else 1e3 + score
    )
    return X, np.asarray(y, np.float64), rng.uniform(0.5, 2, n)


def grown(kind, task, **more):
    import sklearn.ensemble

    X, y, weight = rows(task)
    name = f"{kind}{'Regressor' if task == 'number' else 'Classifier'}"
    forest = getattr(sklearn.ensemble, name)(12, random_state=0, **more).fit(X, y, sample_weight=weight)
    return forest, X


def text_of(forest, count):
    trees = [_nodes(one.tree_, forest, count) for one in forest.estimators_]
    return write_forest(trees, objective="x", features=4, classifies=hasattr(forest, "classes_"))


def awkward(forest, X):
    """Rows at thresholds of each feature and a step to each side; missing values where training rows had none, too."""
    made = [X]
    for feature in range(4):
        trees = [one.tree_ for one in forest.estimators_]
        near = np.unique(np.concatenate([t.threshold[t.feature == feature] for t in trees])).astype(
            np.float32
        )
        near = near[np.isfinite(near)][:100]  # an infinite one parts what is missing from all else
        values = [near, np.nextafter(near, np.float32(np.inf)), np.nextafter(near, np.float32(-np.inf))]
        values = np.concatenate(
            [*values, np.array([np.nan, 0.0, -0.0, 1e-38, -1e-38, 3e38, -3e38], np.float32)]
        )
        block = np.repeat(X[:1], len(values), axis=0)
        block[:, feature] = values
        made.append(block)
    return np.concatenate(made)


CASES = [
    ("RandomForest", "binary", {}),
    ("RandomForest", "classes", {"max_leaf_nodes": 20}),
    ("RandomForest", "number", {"criterion": "poisson"}),
    ("ExtraTrees", "binary", {"min_samples_leaf": 5}),
    ("ExtraTrees", "classes", {}),
    ("ExtraTrees", "number", {}),
]


@pytest.mark.parametrize(("kind", "task", "more"), CASES)
def test_neutral_trees_and_the_graph_answer_as_scikit_learn_does(kind, task, more):
    forest, X = grown(kind, task, **more)
    count = 3 if task == "classes" else 2 if task == "binary" else 1
    form = read_forest(text_of(forest, count))
    X = awkward(forest, X)
    theirs = forest.predict(X)[:, None] if task == "number" else forest.predict_proba(X)
    theirs = theirs[:, 1:] if task == "binary" else theirs
    size = max(1.0, np.abs(theirs).max())
    np.testing.assert_allclose(TreeScorer(form).raw_scores(X), theirs, rtol=0, atol=1e-12 * size)
    for trees in ("onnxruntime", "tables"):
        graph = Scorer(OnnxModel(model_to_onnx(form)), outputs=["raw_score"], trees=trees)
        found = np.array(graph.score({"features": X}).column(0).to_pylist(), np.float64).reshape(len(X), -1)
        np.testing.assert_allclose(found, theirs, rtol=0, atol=1e-6 * size)
    phi, base = explainer_for(form).values(X)
    np.testing.assert_allclose((phi.sum(1) + base).reshape(theirs.shape), theirs, rtol=0, atol=1e-9 * size)


def test_a_class_that_no_training_row_has_is_never_the_answer():
    forest, X = grown("RandomForest", "binary")  # of three classes, the first two
    answers = TreeScorer(read_forest(text_of(forest, 3))).raw_scores(X)
    np.testing.assert_allclose(answers[:, :2], forest.predict_proba(X), atol=1e-12)
    assert (answers[:, 2] == 0).all()


def test_a_probability_is_none_beyond_one_by_the_last_digit_of_a_sum():
    forest, X = grown("RandomForest", "binary", max_depth=2)
    trees = [_nodes(one.tree_, forest, 2) for one in forest.estimators_] * 4
    for tree in trees:
        tree["value"] = np.ones_like(tree["value"])
    trees = trees[:48]
    form = read_forest(write_forest(trees, objective="x", features=4, classifies=True))
    raw = TreeScorer(form).raw_scores(X)
    assert raw.max() > 1
    assert form.link.apply(raw).max() == 1
    graph = Scorer(OnnxModel(model_to_onnx(form)), outputs=["probability"])
    assert max(graph.score({"features": X}).column(0).to_pylist()) == 1


def test_importance_is_scikit_learns():
    forest, _ = grown("RandomForest", "number")
    total = np.zeros(4)
    for tree in read_forest(text_of(forest, 1)).trees:
        own = np.zeros(4)
        np.add.at(own, tree.split_feature, tree.split_gain)
        total += own / own.sum()
    np.testing.assert_allclose(total / total.sum(), forest.feature_importances_, atol=1e-9)


def test_a_forest_is_bounded_before_it_is_grown():
    free = forest_size(3_000, 1, SIZE)
    assert (free.leaves, free.nodes, free.unbounded) == (1000, 199_900, 199_900)
    bound = forest_size(1_000_000, 1, SIZE)
    assert bound.leaves == 2000
    assert bound.nodes <= 400_000 < bound.unbounded
    assert forest_size(1_000_000, 5, SIZE).leaves == 400  # a tree for each class
    assert forest_size(1_000_000, 1, SIZE | {"max_depth": 3}).leaves == 8
    with pytest.raises(ConfigError, match=r"Raise max_nodes, or lower max_leaf_nodes to 2,000"):
        forest_size(1_000_000, 1, SIZE | {"max_leaf_nodes": 5000})
    with pytest.raises(ConfigError, match=r"even with two leaves each"):
        forest_size(1000, 1, SIZE | {"max_nodes": 100})


@pytest.fixture(scope="module")
def numbers(classic_spark, tmp_path_factory):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(900, 3)), columns=["a", "b", "c"])
    frame["label"] = frame["a"] + frame["b"] ** 2
    raw = classic_spark.createDataFrame(frame)
    plan = fit_plan(raw, name="f", label="label")
    table = publish_table(assemble(raw, plan), str(tmp_path_factory.mktemp("f") / "t"), partition_by=[SPLIT])
    return plan, [table.files(**{SPLIT: s}) for s in ("train", "validation")]


def spec(learner="random_forest", **params):
    return TrainSpec(learner=learner, params={"n_estimators": 25, "n_jobs": 1, **params})


def test_signs_of_life_change_nothing(classic_spark, numbers):
    plan, parts = numbers
    learner, told = learner_of("random_forest"), []
    quiet = learner.fit(classic_spark, plan, spec(), {}, *parts)
    loud = learner.fit(classic_spark, plan, spec(), {}, *parts, on_progress=told.append)
    assert quiet.text == loud.text
    assert [(one.round, one.rounds) for one in told] == [(10, 25), (20, 25), (25, 25)]


@pytest.mark.parametrize("learner", ["random_forest", "extra_trees"])
def test_a_bound_that_was_met_and_rows_that_were_left_out_are_said(classic_spark, numbers, learner):
    plan, parts = numbers
    family = learner_of(learner)
    free = family.fit(classic_spark, plan, spec(learner), {}, *parts)
    assert free.facts["notes"] == []
    assert free.facts["nodes"] <= free.facts["nodes at most"]
    found = family.fit(classic_spark, plan, spec(learner, max_nodes=500, max_rows=400), {}, *parts)
    assert found.facts["nodes"] <= 500
    sampled, bound = found.facts["notes"]
    assert "a forest is trained in one process" in sampled
    assert "trees were kept to 10 leaves so that the forest has at most 500 nodes" in bound
    assert found.validation_score("rmse")[1] > free.validation_score("rmse")[1]


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"rounds": 10}, "params.n_estimators says how many"),
        ({"early_stopping": 10}, "early_stopping does not go with learner random_forest"),
        ({"params": {"n_estimator": 5}}, "Did you mean 'n_estimators'"),
        ({"params": {"max_depth": 64}}, "whole number from 1 to 63"),
        ({"params": {"max_features": "half"}}, "above 0 up to 1, or one of 'auto', 'sqrt', 'log2'"),
        ({"params": {"random_state": 1}}, "said by train.seed"),
    ],
)
def test_what_a_forest_does_not_take_is_refused(train, message):
    with pytest.raises(ValueError, match=message):
        TrainSpec(learner="random_forest", **train)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"criterion": "gini"}, "does not go with task 'regression'.*squared_error"),
        ({"class_weight": "balanced"}, "for classes"),
        ({"bootstrap": False, "max_samples": 0.5}, "bootstrap is off"),
    ],
)
def test_what_does_not_go_with_the_task_is_refused_before_training(numbers, params, message):
    with pytest.raises(ConfigError, match=message):
        learner_of("random_forest").params(numbers[0], spec(**params), {})


def test_the_share_that_a_sweep_chose_is_for_forests_that_draw_rows(numbers):
    forest = learner_of("random_forest")
    assert forest.params(numbers[0], spec(), {"max_samples": 0.5})["max_samples"] == 0.5
    assert "max_samples" not in forest.params(numbers[0], spec(bootstrap=False), {"max_samples": 0.5})


def test_rows_of_one_class_are_refused(numbers):
    one = numbers[0].model_copy(update={"task": "binary"})
    alike = Rows(np.zeros((5, 3), np.float32), np.ones(5), np.ones(5), 5)
    with pytest.raises(DataError, match="have one class"):
        learner_of("random_forest").fit_rows(one, spec(), {}, alike, alike)


def only_missing_goes_left(missing_left):
    """A tree whose first split is by a category and sends no code left."""
    tree = {
        "left": np.array([1, -1, 3, -1, -1]),
        "right": np.array([2, -1, 4, -1, -1]),
        "feature": np.array([0, 0, 1, 0, 0]),
        "threshold": np.array([0, 0, 0.5, 0, 0]),
        "missing_left": np.array([missing_left, False, True, False, False]),
        "cover": np.array([10.0, 4.0, 6.0, 2.0, 4.0]),
        "gain": np.zeros(5),
        "value": np.array([[0.0], [8.0], [0.0], [1.0], [2.0]]),
    }
    return write_forest(
        [tree], objective="x", features=2, classifies=False, link="identity", categories=[{0: []}]
    )


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("trees", ["onnxruntime", "tables"])
def test_a_split_by_category_may_send_missing_values_alone_to_the_left(whole, trees):
    form = read_forest(only_missing_goes_left(True))
    X = np.array([[np.nan, 0], [np.nan, 9], [0, 0], [3, 9], [77, np.nan], [-1, 1], [np.inf, 0]], np.float32)
    expected = [[8], [8], [1], [2], [1], [2], [1]]
    np.testing.assert_array_equal(TreeScorer(form).raw_scores(X), expected)
    graph = Scorer(OnnxModel(model_to_onnx(form, whole_categories=whole)), outputs=["raw_score"], trees=trees)
    found = np.array(graph.score({"features": X}).column(0).to_pylist()).reshape(-1, 1)
    np.testing.assert_array_equal(found, expected)
    phi, base = explainer_for(form).values(X)
    np.testing.assert_allclose(phi.sum(1) + base, np.ravel(expected), rtol=1e-12)
    with pytest.raises(ModelError, match="a split by no category"):
        read_forest(only_missing_goes_left(False))


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw.pop("nodes"),
        lambda raw: raw["nodes"].append(3),
        lambda raw: raw["arrays"].update(left=raw["arrays"]["right"]),
        lambda raw: raw["arrays"].update(left="AAAA"),
        lambda raw: raw.update(features=1),
    ],
)
def test_a_damaged_text_is_refused(damage):
    raw = json.loads(text_of(grown("RandomForest", "binary")[0], 2))
    damage(raw)
    with pytest.raises(ModelError, match="damaged"):
        read_forest(json.dumps(raw))
