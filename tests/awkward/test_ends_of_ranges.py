"""Where ranges end: grades, ties, weights, names and pictures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from synml_dagster.assets.artifacts import check_weights
from synml_dagster.errors import ConfigError, DataError
from synml_dagster.evaluation import evaluate
from synml_dagster.export.parity import _near_ties
from synml_dagster.features import SplitSpec, assemble, fit_plan
from synml_dagster.learners import TrainSpec, learner_of
from synml_dagster.learners.lightgbm import LightGBM
from synml_dagster.plots.style import guarded
from synml_dagster.tables import publish_table
from tests.pipeline.whole import QUICK, run_whole


def test_weights_that_are_all_zero_are_refused_at_once(classic_spark):
    rows = {"x": [1.0, 2.0, 3.0, 4.0] * 10, "y": ["a", "b"] * 20, "w": [0.0] * 40}
    with pytest.raises(DataError, match="weight 'w' is 0 in all labelled rows"):
        fit_plan(classic_spark.createDataFrame(pa.table(rows)), name="p", label="y", weight="w")


def test_grades_above_30_gain_what_they_are(classic_spark):
    rows = pd.DataFrame(
        {"g": [0, 0, 1, 1], "__label": [50.0, 10.0, 40.0, 0.0], "prediction": [0.1, 0.9, 0.8, 0.2]}
    )
    found = evaluate(classic_spark.createDataFrame(rows), task="ranking", group="g", linear_gain=True)
    # The first query puts grade 10 before grade 50: (10 + 50 / log2(3)) / (50 + 10 / log2(3)); the second is right.
    first = (10 + 50 / np.log2(3)) / (50 + 10 / np.log2(3))
    assert found.metrics["ndcg@10"] == pytest.approx((first + 1) / 2)
    assert "the gain of a grade is the grade itself" in found.notes[-1]


def test_gains_that_a_description_says_are_those_that_are_measured(classic_spark):
    rows = pd.DataFrame({"g": [0, 0, 0], "__label": [2.0, 1.0, 0.0], "prediction": [0.1, 0.9, 0.2]})
    frame = classic_spark.createDataFrame(rows)
    found = evaluate(frame, task="ranking", group="g", label_gain=[0, 1, 10])
    # Grade 1 comes first, grade 0 second and grade 2 third.
    assert found.metrics["ndcg@10"] == pytest.approx((1 + 10 / np.log2(4)) / (10 + 1 / np.log2(3)))
    assert "label_gain" in found.notes[-1]


def test_grades_without_a_gain_are_refused_before_anything_trains(classic_spark):
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"q": np.repeat(np.arange(40), 5), "x": rng.normal(size=200)})
    rows["clicks"] = rng.integers(0, 51, 200)
    rows.loc[0, "clicks"] = 50
    frame = classic_spark.createDataFrame(rows)
    plan = fit_plan(frame, name="p", label="clicks", group="q")
    assert learner_of("lightgbm").params(plan, TrainSpec(), {})["label_gain"] == list(range(51))
    with pytest.raises(
        ConfigError, match="gains for the grades 0 to 2, and label 'clicks' has grades up to 50"
    ):
        learner_of("lightgbm").params(plan, TrainSpec(params={"label_gain": [0, 1, 3]}), {})
    with pytest.raises(DataError, match="grades, whole numbers from 0 to 30, and got"):
        LightGBM({"objective": "lambdarank"}, rounds=1).fit(frame, label="clicks", features=["x"], group="q")


def test_a_side_without_weight_is_refused_before_anything_trains(classic_spark, tmp_path):
    rows = {"x": [1.0, 2.0, 3.0, 4.0] * 10, "y": [0.0, 1.0] * 20, "w": [0.0] * 40}
    frame = classic_spark.createDataFrame(pa.table(rows))
    with pytest.raises(DataError, match="weight is 0 in all training rows"):
        LightGBM({"objective": "binary"}, rounds=1).fit(frame, label="y", features=["x"], weight="w")
    by_time = {"at": list(range(40)), "y": ["a", "b"] * 20, "w": [1.0] * 30 + [0.0] * 10}
    raw = classic_spark.createDataFrame(pa.table(by_time))
    split = SplitSpec(by="time", column="at")
    plan = fit_plan(raw, name="p", label="y", weight="w", split=split)
    table = publish_table(assemble(raw, plan), str(tmp_path / "features"))
    with pytest.raises(DataError, match="weight 'w' is 0 in all rows of the test side"):
        check_weights(classic_spark, plan, table)


def test_either_of_two_equally_likely_classes_is_right():
    rows = np.array([[0.4, 0.4 + 1e-7, 0.2], [0.5, 0.4, 0.1]])
    assert _near_ties(rows, 1e-6).tolist() == [True, False]
    assert _near_ties(np.array([[0.5 + 1e-7], [0.6]]), 1e-6).tolist() == [True, False]


@pytest.mark.parametrize("form", ["png", "svg"])
def test_a_picture_that_cannot_be_drawn_is_one_that_says_why(form, caplog):
    @guarded
    def broken(values, form="png"):
        return values["there is $no such$ key"]

    assert len(broken({}, form)) > 500
    assert "could not be drawn: KeyError" in caplog.text


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("prediction", "raw"),
        ("scored_at", "raw"),
        ("probability", "feature_plan"),
        ("__label", "raw"),
    ],
)
def test_a_column_with_a_name_that_is_taken_is_refused_before_training(tmp_path, monkeypatch, name, where):
    monkeypatch.setenv("SYNML_DATA_DIR", str(tmp_path / "own"))
    monkeypatch.setenv("SPARK_MASTER", "local[2]")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({name: rng.normal(size=60).round(2), "y": ["a", "b"] * 30})
    frame.to_csv(tmp_path / "t.csv", index=False)
    told = run_whole({"name": "taken", "source": str(tmp_path / "t.csv"), "label": "y"} | QUICK)
    assert len(told["failures"]) == 1
    assert told["failures"][0].startswith(f"taken__{where}")
    assert repr(name) in told["failures"][0]
    assert "rename" in told["failures"][0]


def test_weights_that_are_text_are_refused_by_name(classic_spark):
    rows = {"x": [float(i) for i in range(60)], "w": ["1,5", "2"] * 30, "y": ["a", "b"] * 30}
    with pytest.raises(DataError, match="weight 'w' is of type string; weights are numbers"):
        fit_plan(classic_spark.createDataFrame(pa.table(rows)), name="p", label="y", weight="w")
