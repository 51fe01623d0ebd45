"""What differs beyond float32's digits is kept apart: in columns, in labels, in the graph and in its gate."""

from __future__ import annotations

import lightgbm as lgb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from synml_dagster.errors import ConfigError
from synml_dagster.explain import explain_columns
from synml_dagster.export import check_parity, export_pipeline
from synml_dagster.features import assemble, fit_plan
from synml_dagster.features.fitting.precision import label_offset, shift_for
from synml_dagster.learners import TrainSpec, learner_of
from synml_dagster.learners.lightgbm import LightGBM
from synml_dagster.onnx import OnnxModel, Scorer
from synml_dagster.plots.style import number_between

EPOCH = 1_700_000_000


@pytest.fixture(scope="module")
def moments(classic_spark):
    """2,000 rows: seconds of twenty minutes long after 1970, a small number, and a target as far from zero."""
    rng = np.random.default_rng(0)
    seconds, x = rng.integers(0, 1200, 2000), rng.normal(size=2000)
    due = EPOCH + np.round(20 * x + 10 * (seconds // 100 % 2) + rng.normal(0, 1, 2000))
    return classic_spark.createDataFrame(pa.table({"t": EPOCH + seconds, "x": x, "due": due})).cache()


def test_a_column_is_shifted_only_where_float32_would_lose_values():
    assert shift_for(np.arange(1000.0)) is None
    assert shift_for(np.array([0.1, 0.2, 0.30001])) is None
    shift = shift_for(EPOCH + np.arange(1000.0))
    assert shift is not None
    assert len(np.unique((EPOCH + np.arange(1000.0) - shift.center).astype(np.float32))) == 1000


def test_epoch_seconds_keep_their_values_in_spark_and_in_the_graph(classic_spark, moments):
    plan = fit_plan(moments, name="p", label="due", task="regression")
    features = assemble(moments, plan).toPandas()
    assert features["t"].nunique() == moments.select("t").distinct().count()
    assert any("column 't'" in note and "is taken off its values" in note for note in plan.notes)
    assert any("label 'due'" in note for note in plan.notes)
    assert label_offset(plan) == pytest.approx(EPOCH, abs=30)


def test_a_target_far_from_zero_is_learnt_as_the_same_target_near_zero(classic_spark, moments):
    plan = fit_plan(moments, name="p", label="due", task="regression")
    rows = assemble(moments, plan)
    params = {"objective": "regression", "verbosity": -1, "min_data_in_leaf": 5}
    model = LightGBM(params, rounds=50, label_offset=label_offset(plan)).fit(
        rows, label="__label", features=plan.feature_names
    )
    frame = rows.toPandas()
    X, y = frame[plan.feature_names].to_numpy(np.float32), frame["__label"].to_numpy()
    centred = lgb.train(params, lgb.Dataset(X, y - label_offset(plan)), 50).predict(X)

    def r2(values):
        return 1 - ((y - values) ** 2).mean() / y.var()

    assert r2(model.predict(X)) == pytest.approx(r2(centred + label_offset(plan)), abs=0.01)
    assert r2(model.predict(X)) > 0.97
    onnx = OnnxModel(export_pipeline(plan, model))
    shap = explain_columns(rows, model).toPandas()
    np.testing.assert_allclose(
        shap["shap_base"] + [sum(v) for v in shap["shap"]], model.predict(X), rtol=0, atol=1e-3
    )
    with pytest.raises(ConfigError, match="init_model was trained on labels less"):
        LightGBM(params).fit(rows, label="__label", features=plan.feature_names, init_model=model)
    scored = Scorer(onnx).score(moments.toPandas()).column("prediction").to_numpy()
    assert r2(scored) > 0.97
    report = check_parity(classic_spark, plan, model, onnx, moments, rows=500)
    assert report.passed, report.worst


def test_the_gate_sees_a_difference_in_a_target_of_a_billionth(classic_spark):
    x = np.linspace(-1, 1, 400)
    table = classic_spark.createDataFrame(pd.DataFrame({"x": x, "y": x * 1e-9}))
    plan = fit_plan(table, name="p", label="y", task="regression")
    rows = assemble(table, plan)

    def fitted(rounds):
        return LightGBM({"objective": "regression", "verbosity": -1}, rounds=rounds).fit(
            rows, label="__label", features=plan.feature_names
        )

    whole, other = fitted(20), fitted(1)
    assert check_parity(classic_spark, plan, whole, OnnxModel(export_pipeline(plan, whole)), table).passed
    assert not check_parity(classic_spark, plan, whole, OnnxModel(export_pipeline(plan, other)), table).passed


@pytest.mark.parametrize("objective", ["poisson", "binary", "mape"])
def test_an_objective_of_the_labels_themselves_takes_no_offset(objective):
    with pytest.raises(ConfigError, match="label_offset goes with the objectives regression"):
        LightGBM({"objective": objective}, label_offset=5.0)


def test_a_small_target_in_a_narrow_range_is_shifted_too(classic_spark):
    x = np.linspace(-1, 1, 400)
    table = classic_spark.createDataFrame(pd.DataFrame({"x": x, "y": 1.5 + x * 1e-9}))
    plan = fit_plan(table, name="p", label="y", task="regression")
    left = 1.5 + x * 1e-9 - label_offset(plan)
    assert np.abs(left).max() < 4e-9
    assert len(np.unique(left.astype(np.float32))) == len(np.unique(1.5 + x * 1e-9))


def test_an_ordinary_target_is_left_as_it_is(classic_spark):
    y = np.random.default_rng(0).normal(2000, 10, 400)
    table = classic_spark.createDataFrame(pd.DataFrame({"x": y.round(), "y": y}))
    plan = fit_plan(table, name="p", label="y", task="regression")
    assert label_offset(plan) == 0
    assert plan.notes == []


def test_an_objective_of_the_labels_themselves_is_warned_of(moments):
    plan = fit_plan(moments, name="p", label="due", task="regression")
    assert learner_of("lightgbm").warnings(plan, TrainSpec()) == []
    (said,) = learner_of("lightgbm").warnings(plan, TrainSpec(params={"objective": "poisson"}))
    assert "label 'due' goes from 16999" in said
    assert "objective 'poisson' cannot be trained on differences" in said


def test_times_of_one_hour_keep_their_seconds_in_spark_and_in_the_graph(classic_spark):
    rng = np.random.default_rng(0)
    at = pd.to_datetime(EPOCH + rng.permutation(3000), unit="s")
    table = classic_spark.createDataFrame(pd.DataFrame({"at": at, "y": rng.choice(["a", "b"], 3000)}))
    plan = fit_plan(table, name="p", label="y")
    rows = assemble(table, plan)
    assert rows.toPandas()["at__days"].nunique() == 3000
    model = LightGBM({"objective": "binary"}, rounds=3).fit(
        rows, label="__label", features=plan.feature_names
    )
    report = check_parity(
        classic_spark, plan, model, OnnxModel(export_pipeline(plan, model)), table, rows=300
    )
    assert report.passed, report.worst


def test_numbers_of_a_narrow_axis_are_told_apart():
    assert number_between(EPOCH + 120, EPOCH, EPOCH + 1200) == "1,700,000,120"
    assert number_between(1.00012, 1.0, 1.001) == "1.00012"
    assert number_between(48_000, 0, 96_000) == "48k"


def test_values_that_no_shift_keeps_apart_are_warned_of(classic_spark):
    near, far = np.random.default_rng(0).normal(size=(2, 200))
    rows = {"mixed": np.concatenate([near, EPOCH + np.round(far * 100)]), "y": ["a", "b"] * 200}
    plan = fit_plan(classic_spark.createDataFrame(pa.table(rows)), name="p", label="y")
    assert any("column 'mixed' holds numbers too near each other" in w for w in plan.warnings)
