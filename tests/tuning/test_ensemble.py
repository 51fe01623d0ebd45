"""Trials that answer together: who is chosen, whether it is better, and one graph, one text and one model of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import log_loss

from synml_dagster.errors import ConfigError, ModelError
from synml_dagster.explain.base import explainer_for
from synml_dagster.export import check_parity, export_pipeline
from synml_dagster.features import LABEL, SPLIT, assemble, fit_plan
from synml_dagster.learners import TrainedModel, TrainSpec, learner_names, learner_of
from synml_dagster.learners.ensemble import EnsembleModel, Member, combined
from synml_dagster.learners.one_process.rows import Rows, background, read_rows
from synml_dagster.onnx import OnnxModel
from synml_dagster.tables import publish_table
from synml_dagster.tuning import SweepResult, SweepSpec, TrialRecord
from synml_dagster.tuning.ensemble import greedy, with_ensemble
from synml_dagster.tuning.losses import Measure, paired_gain
from synml_dagster.tuning.trial import packed, packed_labels

BINARY = Measure.of("binary")
NOTHING = np.zeros((0, 3), np.float32)


def rows_of(y):
    return Rows(np.empty((len(y), 0), np.float32), np.asarray(y, float), np.ones(len(y)), len(y))


def trials(tmp_path, answers, y, measure=BINARY):
    rows = rows_of(y)
    (tmp_path / "labels.npz").write_bytes(packed_labels(rows))
    records = []
    for i, given in enumerate(answers):
        (tmp_path / f"{i}.npz").write_bytes(packed(answers=given))
        value = measure.value(*measure.losses(given, rows))
        records.append(TrialRecord(number=i, params={"i": i}, value=value, learner="linear"))
    best = min(records, key=lambda t: t.value)
    return SweepResult(
        metric="logloss", direction="minimize", trials=records, best_trial=best.number, learner="linear"
    )


def complementary(n=3000):
    """Three answers that err independently, one that is a copy of the first and one that is wrong."""
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, n)
    score = np.where(y == 1, 0.7, -0.7)
    each = [1 / (1 + np.exp(-(score + rng.normal(0, 1.0, n)))) for _ in range(3)]
    return y, [*each, each[0].copy(), np.clip(1 - each[1], 0.01, 0.99)]


def test_answers_that_err_elsewhere_are_chosen_and_the_wrong_one_is_not(tmp_path):
    y, answers = complementary()
    found = with_ensemble(trials(tmp_path, answers, y), BINARY, tmp_path, 8)
    chosen = {m.trial: m.weight for m in found.ensemble}
    assert sum(chosen.values()) == pytest.approx(1)
    assert 4 not in chosen
    assert min(chosen.get(1, 0), chosen.get(2, 0)) > 0.2
    mixed = sum(w * answers[t] for t, w in chosen.items())
    told = found.ensemble_value  # by weights that have not seen the rows
    assert log_loss(y, mixed) < told < log_loss(y, mixed) + 2e-3
    assert told < min(log_loss(y, a) for a in answers) - 0.01
    assert "an ensemble of" in found.notes[-1]


def test_members_make_features_as_their_trials_did(tmp_path):
    y, answers = complementary()
    swept = trials(tmp_path, answers, y)
    made = [
        {"features.scale": "quantile"},
        {"features.encoding": "target"},
        {"features.scale": "as described"},
    ]
    for trial, params in zip(swept.trials, made, strict=False):
        trial.params = params
    found = with_ensemble(swept, BINARY, tmp_path, 8)
    assert {m.trial for m in found.ensemble} >= {1, 2}
    assert all(m.params == swept.trials[m.trial].params for m in found.ensemble)


def test_an_ensemble_that_only_luck_makes_better_is_not_taken(tmp_path):
    """One trial answers the true probability, so that no mixture is better; on the rows that weights are found on, one seems to be."""
    seemed = 0
    for seed in range(16):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(200, 5))
        score = x @ [1, -1, 0.5, 0.5, 0]
        right = 1 / (1 + np.exp(-score))
        y = (rng.random(200) < right).astype(float)
        askew = [1 / (1 + np.exp(-(score + x @ rng.normal(0, 0.35, 5)))) for _ in range(11)]
        answers, rows = [right, *askew], rows_of(y)
        weights = greedy(answers, rows, BINARY, 8)
        mixed = sum(w * a for w, a in zip(weights, answers, strict=True))
        best = min(answers, key=lambda a: log_loss(y, a))
        (one, weight), (two, _) = BINARY.losses(best, rows), BINARY.losses(mixed, rows)
        gain, error = paired_gain(one, two, weight)
        seemed += gain > error
        assert with_ensemble(trials(tmp_path, answers, y), BINARY, tmp_path, 8).ensemble == [], seed
    assert seemed >= 3


def test_no_more_members_than_asked_for():
    y, answers = complementary()
    assert (greedy(answers, rows_of(y), BINARY, most=2) > 0).sum() == 2


def test_what_is_no_better_is_left_alone_and_said(tmp_path):
    rng = np.random.default_rng(4)
    y = rng.integers(0, 2, 500)
    sure = np.where(y == 1, 0.95, 0.05)
    found = with_ensemble(trials(tmp_path, [sure, np.full(500, 0.5)], y), BINARY, tmp_path, 8)
    assert found.ensemble == []
    assert "no ensemble" in found.notes[-1]
    alone = trials(tmp_path / ".", [sure], y)
    assert "fewer than two trials" in with_ensemble(alone, BINARY, tmp_path, 8).notes[-1]
    ranking = Measure.of("ranking")
    assert "no common unit" in with_ensemble(alone, ranking, tmp_path, 8).notes[-1]


def test_an_ensemble_of_one_and_training_one_by_name_are_refused():
    with pytest.raises(ValueError, match="two members at least"):
        SweepSpec(ensemble=1)
    assert "ensemble" not in learner_names()
    with pytest.raises(ValueError, match="no learner to train"):
        TrainSpec(learner="ensemble")
    with pytest.raises(ValueError, match="put together and not trained"):
        SweepSpec(learners=["ensemble", "linear"])


@pytest.fixture(scope="module", params=["binary", "multiclass", "regression"])
def mixed(request, classic_spark, tmp_path_factory):
    """A LightGBM, a linear model, a forest and a network of one small table with gaps and categories, and their ensemble."""
    rng = np.random.default_rng(7)
    n, task = 900, request.param
    x = rng.normal(size=n).round(2)
    gap = np.where(rng.random(n) < 0.1, None, rng.normal(size=n).round(2))
    colour = rng.choice(["red", "green", "blue", None], n)
    score = x + (colour == "red") * 1.5 + rng.normal(0, 0.3, n)
    y = {
        "binary": np.where(score > 0.4, "yes", "no"),
        "multiclass": np.digitize(score, [-0.5, 1.0]).astype(str),
        "regression": score * 10 + 1e9,
    }[task]
    raw = classic_spark.createDataFrame(
        pa.table({"x": x, "gap": pa.array(gap, pa.float64()), "colour": pa.array(colour), "y": y})
    )
    plan = fit_plan(raw, name="t", label="y", task=task)
    place = str(tmp_path_factory.mktemp("ensemble") / "features")
    table = publish_table(assemble(raw, plan), place, partition_by=[SPLIT])
    train, held = (
        read_rows(classic_spark, table.files(**{SPLIT: s}), plan.feature_names)
        for s in ("train", "validation")
    )
    models = []
    for name in ("lightgbm", "linear", "extra_trees", "mlp"):
        family = learner_of(name)
        keys = {k: v for k, v in {"rounds": 20, "early_stopping": 5}.items() if k not in family.no_such_keys}
        spec = TrainSpec(learner=name, **keys)
        models.append(family.fit_rows(plan, spec, dict(family.start()), train, held))
    members = [Member(m, w) for m, w in zip(models, (4, 1, 2, 3), strict=True)]
    return (
        plan,
        raw,
        table,
        held,
        models,
        combined(members, {"validation": {"loss": [0.5]}}, background(train.X)),
    )


def test_an_ensemble_answers_the_weighted_mean_of_its_members(mixed, classic_spark, tmp_path):
    plan, _, table, held, models, ensemble = mixed
    want = sum(w * m.predict(held.X) for m, w in zip(models, (0.4, 0.1, 0.2, 0.3), strict=True))
    np.testing.assert_allclose(ensemble.predict(held.X), want, rtol=1e-12, atol=1e-6)
    ensemble.save(tmp_path)
    again = TrainedModel.load(tmp_path)
    assert isinstance(again, EnsembleModel)
    np.testing.assert_array_equal(again.predict(held.X), ensemble.predict(held.X))
    assert repr(again).startswith("EnsembleModel(lightgbm 0.40, linear 0.10")
    assert again.packages == ("lightgbm", "scikit-learn")
    assert sum(again.importance().values()) == pytest.approx(1)
    scored = again.transform(
        table.files(**{SPLIT: "validation"}), keep=[*plan.feature_names, LABEL], spark=classic_spark
    ).toPandas()
    X = scored[plan.feature_names].to_numpy(np.float32)
    column = "prediction" if plan.task == "regression" else "probability"
    np.testing.assert_allclose(np.stack(scored[column]), ensemble.predict(X), rtol=1e-12, atol=1e-9)


def test_an_ensemble_is_one_graph_that_agrees_on_awkward_rows(mixed, classic_spark):
    plan, raw, _, _, _, ensemble = mixed
    onnx = OnnxModel(export_pipeline(plan, ensemble))
    assert sum(n.op_type == "TreeEnsembleRegressor" for n in onnx.proto.graph.node) == 2
    report = check_parity(classic_spark, plan, ensemble, onnx, raw, rows=300)
    assert report.passed, report.worst
    assert report.max_difference < 1e-6


def test_members_have_to_go_together(mixed):
    _, _, _, _, models, ensemble = mixed
    with pytest.raises(ConfigError, match="one member at least"):
        combined([], {}, NOTHING)
    other = models[1]
    moved = replace(other, features=list(reversed(other.features)))
    with pytest.raises(ConfigError, match="same features"):
        combined([Member(models[0], 1), Member(moved, 1)], {}, NOTHING)
    with pytest.raises(ConfigError, match="none of its features"):
        combined([Member(models[0], 1)], {}, NOTHING, models[0].features[1:])
    with pytest.raises(ConfigError, match="above 0"):
        combined([Member(models[0], 0)], {}, NOTHING)
    with pytest.raises(ModelError, match="damaged"):
        learner_of("ensemble").form(ensemble.text[:50])


def test_an_ensemble_is_explained_to_the_last_digit_of_its_answer(mixed):
    plan, _, _, held, _, ensemble = mixed
    explainer = explainer_for(ensemble.form)
    phi, base = explainer.values(held.X[:5])
    np.testing.assert_allclose(phi.sum(1) + base, ensemble.predict(held.X[:5]), rtol=1e-9, atol=1e-7)
    unit = {"regression": "the unit of the prediction"}.get(plan.task, "probability")
    assert ensemble.form.link.unit == unit
    assert explainer.method.startswith("Exact SHAP values against 30 background rows")
