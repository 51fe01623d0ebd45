"""The XGBoost learner: what it is given, what it keeps, and what it refuses."""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xgboost as xgb

from synml_dagster import MLPipeline
from synml_dagster.errors import ConfigError, SetupError
from synml_dagster.features import SPLIT, FeatureSpec, assemble, fit_plan
from synml_dagster.learners import ParameterRange, TrainSpec, learner_of
from synml_dagster.learners.one_process import rows as reading
from synml_dagster.tables import publish_table
from synml_dagster.testing.tables import awkward_table

XGBOOST = learner_of("xgboost")


def spec(**train):
    return TrainSpec(learner="xgboost", **{"rounds": 10, **train})


def prepared(spark, folder, table, partitions=None, **more):
    raw = spark.createDataFrame(table)
    plan = fit_plan(raw, name="x", label="label", **more)
    features = assemble(raw, plan)
    if partitions:
        features = features.repartition(partitions)
    made = publish_table(features, str(folder), partition_by=[SPLIT])
    return plan, [made.files(**{SPLIT: s}) for s in ("train", "validation", "test")]


def features_of(spark, files, plan):
    return files.dataframe(spark).toPandas()[plan.feature_names].to_numpy(np.float32)


@pytest.fixture(scope="module")
def binary(classic_spark, tmp_path_factory):
    folder = tmp_path_factory.mktemp("xgboost") / "t"
    return prepared(
        classic_spark,
        folder,
        awkward_table("binary"),
        features=FeatureSpec(exclude=["query"]),
        weight="weight",
    )


@pytest.fixture(scope="module")
def ranking(classic_spark, tmp_path_factory):
    folder = tmp_path_factory.mktemp("xgboost") / "t"
    return prepared(classic_spark, folder, awkward_table("ranking"), task="ranking", group="query")


def test_the_saved_text_is_xgboosts_and_holds_the_rounds_that_were_kept(classic_spark, binary, tmp_path):
    plan, (train, validation, test) = binary
    model = XGBOOST.fit(
        classic_spark, plan, spec(rounds=200, early_stopping=5), {"learning_rate": 1.0}, train, validation
    )
    losses = model.history["validation"]["binary_logloss"]
    assert model.best_iteration == model.iterations == int(np.argmin(losses)) + 1 < len(losses)
    model.save(tmp_path / "m")
    booster = xgb.Booster(model_file=str(tmp_path / "m" / "xgboost.json"))
    assert booster.num_boosted_rounds() == model.iterations
    X = features_of(classic_spark, test, plan)
    kinds = ["c" if name in plan.categorical_features else "q" for name in plan.feature_names]
    theirs = booster.predict(xgb.DMatrix(X, feature_types=kinds, enable_categorical=True))
    np.testing.assert_allclose(model.predict(X), theirs, atol=1e-6)
    assert "c" in kinds


def test_a_model_does_not_depend_on_how_its_rows_are_stored(classic_spark, binary, tmp_path):
    plan, _ = binary
    _, (train, validation, _) = prepared(
        classic_spark,
        tmp_path / "other",
        awkward_table("binary"),
        3,
        features=FeatureSpec(exclude=["query"]),
        weight="weight",
    )
    chosen = {"subsample": 0.5, "colsample_bynode": 0.5}
    one, other = (
        XGBOOST.fit(classic_spark, plan, spec(), chosen, *parts)
        for parts in (binary[1][:2], (train, validation))
    )
    assert one.text == other.text


def test_weights_count(classic_spark, binary):
    plan, (train, validation, test) = binary
    X = features_of(classic_spark, test, plan)
    light, heavy = (
        XGBOOST.fit(classic_spark, plan, spec(params={"scale_pos_weight": w}), {}, train, validation)
        .predict(X)
        .mean()
        for w in (0.1, 10)
    )
    assert light < heavy - 0.2


def test_progress_is_told_with_the_metrics_names(classic_spark, binary):
    plan, (train, validation, _) = binary
    told = []
    XGBOOST.fit(classic_spark, plan, spec(), {}, train, validation, on_progress=told.append)
    assert (told[-1].round, told[-1].rounds) == (10, 10)
    assert set(told[-1].metrics["validation"]) == {"binary_logloss", "auc"}


def test_a_capped_sample_is_said_and_a_ranking_keeps_its_queries_whole(classic_spark, ranking):
    plan, (train, validation, _) = ranking
    whole = reading.read_rows(classic_spark, train, plan.feature_names)
    part = reading.read_rows(classic_spark, train, plan.feature_names, most_rows=150)
    sizes, kept = np.bincount(whole.group), np.bincount(part.group)
    assert set(sizes) == {12}
    assert set(kept) == {12}
    assert 50 < len(part.y) < 250
    model = XGBOOST.fit(classic_spark, plan, spec(params={"max_rows": 150}), {}, train, validation)
    assert any(
        f"trained on {len(part.y)} of {len(whole.y)} rows, whole queries" in note
        for note in model.facts["notes"]
    )


def test_rows_that_do_not_fit_are_refused_before_they_are_read(classic_spark, binary, monkeypatch):
    plan, (train, validation, _) = binary
    monkeypatch.setattr(reading, "available_bytes", lambda: 10_000)
    with pytest.raises(SetupError, match=r"Set train.params.max_rows to"):
        XGBOOST.fit(classic_spark, plan, spec(), {}, train, validation)


def test_a_label_far_from_zero_keeps_its_differences(classic_spark, tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=400)
    frame = pd.DataFrame({"x": x, "label": 1e9 + x})
    plan, (train, validation, test) = prepared(classic_spark, tmp_path / "t", frame)
    model = XGBOOST.fit(classic_spark, plan, spec(rounds=60), {}, train, validation)
    assert model.label_offset == pytest.approx(1e9, abs=10)
    assert model.validation_score("rmse")[1] < 0.4
    scored = model.transform(test, keep=plan.feature_names, spark=classic_spark).toPandas()
    assert np.abs(scored["prediction"] - 1e9 - scored["x"]).mean() < 0.3


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"ranks": 2}, "trained in one process"),
        ({"params": {"max_dept": 3}}, "Did you mean 'max_depth'"),
        ({"params": {"n_estimators": 3}}, "n_estimators is said by train.rounds"),
        ({"params": {"eta": 0.1, "learning_rate": 0.2}}, "'eta' and 'learning_rate' are two names"),
        ({"params": {"eta": 0}}, "params.eta is a number above 0 up to 1 but got 0"),
        ({"params": {"max_depth": 2.5}}, "params.max_depth is a whole number from 0 to 64"),
        ({"params": {"booster": "gblinear"}}, "params.booster is one of 'gbtree', 'dart'"),
        ({"params": {"multi_strategy": "multi_output_tree"}}, "no ONNX graph"),
        ({"params": {"monotone_constraints": "(1,-1)"}}, "mapping from feature"),
    ],
)
def test_what_it_does_not_take_is_refused_with_the_description(train, message):
    with pytest.raises(ValueError, match=message):
        TrainSpec(learner="xgboost", **train)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"params": {"objective": "reg:squarederror"}}, "does not go with task 'binary'.*binary:logistic"),
        ({"params": {"booster": "dart"}}, "set train.early_stopping: 0"),
        ({"params": {"rate_drop": 0.5}}, "read with booster 'dart' alone"),
        ({"params": {"eval_metric": "ndcg"}}, "is no metric of task binary"),
    ],
)
def test_what_does_not_go_with_the_task_is_refused_before_training(binary, train, message):
    with pytest.raises(ConfigError, match=message):
        XGBOOST.params(binary[0], spec(**train), {})


def test_the_metric_that_stops_is_a_proper_score_under_one_name(binary):
    plan, _ = binary
    assert XGBOOST.metric(plan, spec()) == ("binary_logloss", False)
    assert XGBOOST.metric(plan, spec(params={"eval_metric": "auc"})) == ("binary_logloss", False)
    assert XGBOOST.metric(plan, spec(params={"eval_metric": ["error"]})) == ("binary_error", False)
    assert XGBOOST.metric(SimpleNamespace(task="ranking"), spec()) == ("ndcg", True)


def test_constraints_are_said_by_feature(classic_spark, binary):
    plan, (train, validation, test) = binary
    params = {"monotone_constraints": {"age": 1}, "interaction_constraints": [["age", "amount"], ["member"]]}
    model = XGBOOST.fit(classic_spark, plan, spec(params=params), {}, train, validation)
    X = np.repeat(features_of(classic_spark, test, plan)[:1], 60, axis=0)
    X[:, plan.feature_names.index("age")] = np.arange(20, 80)
    assert (np.diff(model.predict(X)) >= 0).all()
    with pytest.raises(ConfigError, match=r"no feature 'agee'.*Did you mean 'age'"):
        XGBOOST.fit(
            classic_spark, plan, spec(params={"monotone_constraints": {"agee": 1}}), {}, train, validation
        )


def test_a_range_may_be_of_any_parameter_and_of_its_alias():
    found = XGBOOST.checked_space(
        {"eta": ParameterRange(low=0.1, high=0.5), "gamma": ParameterRange(low=0.0, high=2.0)}
    )
    assert list(found) == ["learning_rate", "gamma"]
    with pytest.raises(
        ConfigError, match=r"sweep.space: params.subsample is a number above 0 up to 1 but got 2"
    ):
        XGBOOST.checked_space({"subsample": ParameterRange(low=0.5, high=2.0)})


def test_a_missing_package_is_said_with_the_description(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "synml_dagster.learners.xgboost.learner.find_spec",
        lambda name: None if name == "xgboost" else find(name),
    )
    with pytest.raises(SetupError, match=r"synml-dagster\[xgboost\]"):
        MLPipeline(name="p", source="a.csv", label="y", train={"learner": "xgboost"})
