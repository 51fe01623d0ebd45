"""Bad input ends a run with one sentence that names the column, the key or the file."""

from __future__ import annotations

import pandas as pd
import pytest

from tests.pipeline.whole import QUICK, run_whole

GOOD = pd.DataFrame(
    {
        "age": list(range(20, 80)),
        "city": ["Rome", "Oslo", "Bern"] * 20,
        "hired": ["2024-01-05", "2023-11-30"] * 30,
        "left": ["yes", "no", "no", "yes", "no", "yes"] * 10,
    }
)


@pytest.fixture(autouse=True)
def _embedded(monkeypatch, tmp_path, classic_spark):
    monkeypatch.setenv("SYNML_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SPARK_MASTER", "local[2]")


def failures_of(frame, tmp_path, **more):
    path = tmp_path / "table.csv"
    if frame is not None:
        frame.to_csv(path, index=False)
    told = run_whole({"name": "bad", "source": str(path), "label": "left"} | QUICK | more)
    assert not told["success"]
    assert len(told["failures"]) == 1, told["failures"]
    return told["failures"][0]


def constant(frame):
    return frame.assign(left="yes")


def without_label_values(frame):
    return frame.assign(left=None)


def one_row_class(frame):
    return frame.assign(left=["maybe", *frame["left"][1:]])


def no_features(frame):
    return frame[["left"]].assign(same=1)


def test_a_misspelt_name_is_said_before_any_row_is_kept(tmp_path):
    assert "Did you mean 'left'" in failures_of(GOOD, tmp_path, label="lefd")
    assert not list((tmp_path / "data").rglob("*.parquet"))


@pytest.mark.parametrize(
    ("change", "more", "says"),
    [
        (constant, {}, r"'left'.*(one|same|constant)"),
        (without_label_values, {}, r"'left'.*(null|missing)"),
        (one_row_class, {}, r"'maybe'"),
        (lambda f: f, {"features": {"numeric": ["agee"]}}, r"'agee'.*Did you mean 'age'"),
        (lambda f: f, {"features": {"numeric": ["hired"]}}, r"'hired'.*dates where numbers are declared"),
        (no_features, {}, r"(?i)no .*(feature|column)"),
        (lambda f: f[:0], {}, r"empty"),
        (
            lambda f: f,
            {"label": "age", "evaluate": {"costs": {"false_positive": 1, "false_negative": 2}}},
            r"evaluate\.costs is about a yes or a no, and 'age' makes the task regression",
        ),
        (lambda f: f, {"task": "regression"}, r"'left'.*regression|regression.*'left'"),
    ],
    ids=[
        "label constant",
        "label all null",
        "class with one row",
        "column not there",
        "dates as numbers",
        "no usable feature",
        "empty table",
        "costs of a number",
        "task does not fit",
    ],
)
def test_a_table_that_cannot_be_learned_from_is_one_sentence(change, more, says, tmp_path):
    import re

    failure = failures_of(change(GOOD), tmp_path, **more)
    assert re.search(says, failure, re.DOTALL), failure
    assert failure.count("\n") <= 2, failure


def test_a_source_that_is_not_there_is_one_sentence(tmp_path):
    assert "there is no" in failures_of(None, tmp_path)


def test_java_that_is_missing_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert "holds no bin/java" in failures_of(GOOD, tmp_path)


def test_rows_without_a_label_are_dropped_with_a_count(tmp_path):
    frame = GOOD.copy()
    frame.loc[:4, "left"] = None
    path = tmp_path / "table.csv"
    frame.to_csv(path, index=False)
    # Chance has made the label, so no model is better than its baseline.
    asked = {"promote": {"below_baseline": True}}
    told = run_whole({"name": "nulls", "source": str(path), "label": "left"} | asked | QUICK)
    assert told["success"], told["failures"]
    assert told["metadata"]["feature_plan"]["rows without a label"] == 5
    assert told["metadata"]["features"]["dagster/row_count"] == len(frame) - 5
    assert told["metadata"]["predictions"]["dagster/row_count"] == len(frame)


@pytest.mark.slow
def test_a_champion_that_no_rule_let_through_is_said_by_the_scoring(tmp_path):
    failure = failures_of(GOOD, tmp_path, promote={"metric": "auc", "minimum": 1.1})
    assert "has no champion to score with" in failure
    assert "must be at least 1.1" in failure
