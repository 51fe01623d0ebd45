"""The multilayer perceptron: its gradients, what it learns and keeps, and how far numbers carry it."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse

from synml_dagster.errors import DataError, ModelError, TrainingError
from synml_dagster.explain.base import explainer_for
from synml_dagster.export import model_to_onnx
from synml_dagster.learners import TrainSpec, learner_of
from synml_dagster.learners.mlp import training
from synml_dagster.learners.mlp.backpropagation import Network, _answers, _gradients
from synml_dagster.learners.mlp.text import read_network, write_network
from synml_dagster.learners.one_process.rows import Rows
from synml_dagster.onnx import OnnxModel, Scorer

MLP = learner_of("mlp")


def rows_of(task, n=1200, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3)).astype(np.float32)
    X[:, 2] = rng.integers(0, 6, n)
    X[rng.random(n) < 0.1, 1] = np.nan
    score = np.abs(X[:, 0]) * 3 + np.nan_to_num(X[:, 1], nan=-2) + (X[:, 2] == 2)  # no line goes through |x|
    y = score if task == "regression" else score > 2.5 if task == "binary" else np.digitize(score, [1.5, 3.5])
    return Rows(X, np.asarray(y, np.float64), rng.uniform(0.5, 2, n), n)


def fitted(task, known=None, held=None, rounds=40, early_stopping=10, **params):
    known, held = known or rows_of(task), held or rows_of(task, 400, 1)
    classes = {"binary": ["no", "yes"], "multiclass": ["a", "b", "c"]}.get(task, [])
    plan = SimpleNamespace(
        task=task,
        feature_names=["a", "b", "c"],
        categorical_features=["c"],
        label=SimpleNamespace(classes=classes, column="y"),
    )
    spec = TrainSpec(
        learner="mlp",
        rounds=rounds,
        early_stopping=early_stopping,
        params={"width": 32, "learning_rate": 0.01, "dropout": 0.0, **params},
    )
    return MLP.fit_rows(plan, spec, {}, known, held), held


@pytest.mark.parametrize("kind", ["regression", "binary", "multiclass"])
@pytest.mark.parametrize("store", [np.asarray, sparse.csr_matrix])
def test_gradients_are_those_of_the_loss(kind, store):
    rng = np.random.default_rng(0)
    outputs = 3 if kind == "multiclass" else 1
    network = Network.drawn([4, 6, 5, outputs], np.zeros(outputs), rng)
    network.weights = [w.astype(np.float64) for w in network.weights]
    network.biases = [b.astype(np.float64) + 0.1 for b in network.biases]
    X, weight = rng.normal(size=(30, 4)), rng.uniform(0.5, 2, 30)
    index = rng.integers(0, 3, 30)
    targets = np.eye(3)[index] if kind == "multiclass" else (index > 0).astype(float)[:, None]

    def loss():
        answers = _answers(network.raw_scores(X), kind)
        if kind == "regression":
            each = ((answers - targets) ** 2).sum(1) / 2
        else:
            other = (1 - targets) * np.log(1 - answers) if kind == "binary" else 0
            each = -(targets * np.log(answers) + other).sum(1)
        return float((each * weight).mean())

    found = _gradients(network, store(X), targets, weight, kind, 0.0, rng)
    for place, values in enumerate(
        v for pair in zip(network.weights, network.biases, strict=True) for v in pair
    ):
        for at in [tuple(rng.integers(0, s) for s in values.shape) for _ in range(4)]:
            before = values[at]
            values[at] = before + 1e-6
            up = loss()
            values[at] = before - 1e-6
            down = loss()
            values[at] = before
            assert found[place][at] == pytest.approx((up - down) / 2e-6, rel=1e-4, abs=1e-7)


def test_dropout_leaves_the_mean_as_it_is():
    rng = np.random.default_rng(0)
    network = Network.drawn([3, 500, 1], np.zeros(1), rng)
    X, targets = np.ones((1, 3), np.float32), np.full((1, 1), 5, np.float32)
    one = np.ones(1, np.float32)
    exact = _gradients(network, X, targets, one, "regression", 0.0, rng)[-1]
    drawn = [_gradients(network, X, targets, one, "regression", 0.4, rng)[-1] for _ in range(300)]
    assert np.std(drawn) > 0
    assert np.mean(drawn) == pytest.approx(float(exact[0]), rel=0.02)


@pytest.mark.parametrize("task", ["regression", "binary", "multiclass"])
def test_it_learns_what_no_line_can(task):
    model, held = fitted(task)
    value = model.validation_score()[1]
    assert value < {"regression": 0.5, "binary": 0.2, "multiclass": 0.35}[task]
    assert value == min(model.history["validation"][next(iter(model.history["validation"]))])
    assert model.iterations == model.best_iteration
    assert next(iter(model.importance())) in ("a", "b")
    answers = model.predict(held.X)
    assert training.loss(answers, held, task) == pytest.approx(value, rel=1e-3)


def test_without_early_stopping_the_last_epoch_is_kept():
    model, held = fitted("regression", rounds=7, early_stopping=0)
    losses = model.history["validation"]["rmse"]
    assert len(losses) == model.iterations == 7
    assert model.best_iteration is None
    assert training.loss(model.predict(held.X), held, "regression") == pytest.approx(losses[-1], rel=1e-3)


def test_weights_count():
    known = rows_of("binary")
    heavy = Rows(known.X, known.y, np.where(known.y == 1, 20.0, 1.0), known.of)
    plain, held = fitted("binary", rounds=10)
    moved, _ = fitted("binary", known=heavy, rounds=10)
    assert moved.predict(held.X).mean() > plain.predict(held.X).mean() + 0.05


def test_a_number_far_away_carries_the_answer_no_further_than_ten_spreads():
    model, held = fitted("regression")
    X = np.repeat(held.X[:1], 5, axis=0)
    X[:, 0] = [12, 1e6, 3e38, np.inf, np.nan]
    far = model.predict(X)
    assert far[:3] == pytest.approx(far[0], rel=1e-12)
    assert far[3] == pytest.approx(far[4], rel=1e-12)  # the last bit is that of the order in which BLAS adds
    assert np.abs(far).max() < 100


@pytest.mark.parametrize("task", ["regression", "multiclass"])
def test_the_graph_is_the_network(task):
    model, held = fitted(task, rounds=3, layers=3)
    again = read_network(write_network(model.form))
    X = np.concatenate(
        [held.X, held.X * np.float32(1e30), held.X[:5] * np.nan, np.full((1, 3), np.inf, np.float32)]
    )
    np.testing.assert_array_equal(again.raw_scores(X), model.form.raw_scores(X))
    graph = Scorer(OnnxModel(model_to_onnx(model)), outputs=["raw_score"])
    found = np.array(graph.score({"features": X}).column(0).to_pylist(), np.float64).reshape(len(X), -1)
    np.testing.assert_allclose(found, model.form.raw_scores(X), rtol=1e-6, atol=1e-6)


def test_many_categories_are_kept_sparse_and_answer_alike():
    rng = np.random.default_rng(0)
    known = rows_of("regression")
    known.X[:, 2] = rng.integers(0, 300, len(known.y))
    effect = rng.normal(size=300) * 3
    known = Rows(known.X, effect[known.X[:, 2].astype(int)], known.weight, known.of)
    model, _ = fitted("regression", known=known, held=known, rounds=25)
    assert model.facts["columns"] > 250
    assert training.loss(model.predict(known.X), known, "regression") < 0.5
    unseen = known.X[:1].copy()
    unseen[0, 2] = 999
    assert np.isfinite(model.predict(unseen)).all()


def test_a_training_that_goes_astray_says_which_parameter(monkeypatch):
    def astray(network, *_, **__):
        network.weights[0][:] = np.nan

    monkeypatch.setattr(training, "epoch", astray)
    with pytest.raises(TrainingError, match=r"Lower train.params.learning_rate, which is 0.01"):
        fitted("regression")


def test_rows_of_one_class_are_refused():
    known = rows_of("binary")
    with pytest.raises(DataError, match="have one class"):
        fitted("binary", known=Rows(known.X, np.ones(len(known.y)), known.weight, known.of))


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"ranks": 2}, "trained in one process"),
        ({"params": {"epochs": 5}}, "epochs is said by train.rounds"),
        ({"params": {"hidden_layer_sizes": [3]}}, "said by layers and width"),
        ({"params": {"widht": 5}}, "Did you mean 'width'"),
        ({"params": {"dropout": 1}}, "params.dropout is a number from 0 to 0.95"),
    ],
)
def test_what_it_does_not_take_is_refused(train, message):
    with pytest.raises(ValueError, match=message):
        TrainSpec(learner="mlp", **train)


def test_a_damaged_text_is_refused():
    text = fitted("regression", rounds=1)[0].text
    for change in (
        {"format": 2},
        {"low": "AAAA"},
        {"first": "{}"},
        {"layers": [{"units": 3, "weight": "", "bias": ""}]},
    ):
        with pytest.raises(ModelError):
            read_network(json.dumps(json.loads(text) | change))


def test_explanations_are_against_training_rows_and_add_up():
    model, held = fitted("regression", rounds=5)
    explainer = explainer_for(model.form)
    phi, base = explainer.values(held.X[:20])
    assert "SHAP values against" in explainer.method
    np.testing.assert_allclose(phi.sum(1) + base, model.predict(held.X[:20]), rtol=1e-6, atol=1e-6)
