"""Tables that no metric can be computed from, and answers that some rows cannot give."""

from __future__ import annotations

import math

import pytest

from synml_dagster.errors import ConfigError, DataError, ModelError
from synml_dagster.evaluation import (
    METRICS,
    Evaluation,
    evaluate,
    format_metric,
    higher_is_better,
    metric_info,
    primary_metric,
)

BINARY = "__label double, probability double, w double"


def test_an_empty_table_is_refused(classic_spark):
    with pytest.raises(DataError, match="no rows to evaluate"):
        evaluate(classic_spark.createDataFrame([], BINARY), task="binary")


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ((2.0, 0.5, 1.0), "1 rows with a label that is not 0 or 1"),
        ((None, 0.5, 1.0), "a label that is not 0 or 1"),
        ((1.0, math.nan, 1.0), "a probability that is missing or outside 0..1"),
        ((1.0, 1.5, 1.0), "outside 0..1"),
        ((1.0, 0.5, -1.0), "a weight that is missing or negative"),
        ((1.0, 0.5, None), "a weight that is missing or negative"),
    ],
)
def test_faults_are_counted_and_named(classic_spark, row, fault):
    frame = classic_spark.createDataFrame([(0.0, 0.2, 1.0), row], BINARY)
    with pytest.raises(DataError, match=fault):
        evaluate(frame, task="binary", weight="w")


def test_one_class_alone_answers_what_it_can(classic_spark):
    found = evaluate(classic_spark.createDataFrame([(0.0, 0.2, 1.0), (0.0, 0.7, 1.0)], BINARY), task="binary")
    assert "auc" not in found.metrics
    assert found.metrics["accuracy"] == 0.5
    assert "need both classes" in found.notes[0]


def test_a_class_without_rows_is_left_out_of_the_mean(classic_spark):
    rows = [(0, [0.6, 0.3, 0.1]), (1, [0.2, 0.7, 0.1]), (0, [0.5, 0.4, 0.1])]
    frame = classic_spark.createDataFrame(rows, "__label int, probabilities array<float>")
    found = evaluate(frame, task="multiclass", classes=["a", "b", "c"])
    assert found.metrics["auc_macro"] == 1.0
    assert found.metrics["f1_macro"] == 1.0
    assert "leaves out c" in found.notes[0]


def test_probabilities_of_another_number_of_classes_are_refused(classic_spark):
    frame = classic_spark.createDataFrame([(0, [0.5, 0.5])], "__label int, probabilities array<float>")
    with pytest.raises(DataError, match="not 3 numbers"):
        evaluate(frame, task="multiclass", classes=["a", "b", "c"])


def test_labels_of_zero_have_no_relative_error(classic_spark):
    frame = classic_spark.createDataFrame([(0.0, 1.0), (2.0, 2.0)], "__label double, prediction double")
    found = evaluate(frame, task="regression")
    assert "mape" not in found.metrics
    assert "1 labels are 0" in found.notes[0]


def test_equal_labels_have_no_r2(classic_spark):
    frame = classic_spark.createDataFrame([(2.0, 1.0), (2.0, 2.0)], "__label double, prediction double")
    found = evaluate(frame, task="regression")
    assert "r2" not in found.metrics
    assert found.metrics["mape"] == 0.25


def test_unknown_names_come_with_the_nearest(classic_spark):
    frame = classic_spark.createDataFrame([(1.0, 0.5, 1.0)], BINARY)
    with pytest.raises(ConfigError, match="Did you mean 'binary'"):
        evaluate(frame, task="binray")
    with pytest.raises(ConfigError, match="Did you mean 'probability'"):
        evaluate(frame, task="binary", probability="probabilty")
    with pytest.raises(ConfigError, match="name the column of the query ids"):
        evaluate(frame, task="ranking")
    with pytest.raises(ConfigError, match="Did you mean 'logloss'"):
        metric_info("log_loss")


def test_a_directory_without_an_evaluation_is_refused(tmp_path):
    with pytest.raises(ModelError, match="holds no evaluation"):
        Evaluation.load(tmp_path)
    (tmp_path / "metrics.json").write_text("{}")
    with pytest.raises(ModelError, match="not an evaluation"):
        Evaluation.load(tmp_path)


def test_every_task_is_judged_by_a_metric_that_it_reports():
    for task, metrics in METRICS.items():
        assert primary_metric(task) in metrics
    assert higher_is_better("auc")
    assert not higher_is_better("rmse")


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("auc", 0.92345678, "0.9235"),
        ("accuracy", 0.9, "90.0%"),
        ("rmse", 48213.7, "48,214"),
        ("rmse", 1234567.0, "1,234,567"),
        ("rmse", 0.000012, "1.2e-05"),
        ("rmse", float("nan"), "–"),
    ],
)
def test_numbers_are_written_for_readers(metric, value, text):
    assert format_metric(metric, value) == text
