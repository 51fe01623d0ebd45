"""Parameters by any of their names, labels by what they hold, and columns and classes that cannot be meant as they are."""

from __future__ import annotations

import pyarrow as pa
import pytest

from synml_dagster.assets.artifacts import check_classes
from synml_dagster.errors import ConfigError, DataError
from synml_dagster.features import FeatureSpec, SplitSpec, assemble, fit_plan
from synml_dagster.learners import TrainSpec, learner_of
from synml_dagster.tables import publish_table
from synml_dagster.tuning import SweepSpec
from synml_dagster.tuning.choice import families_of


@pytest.fixture(scope="module")
def frame(classic_spark):
    rows = {"x": [float(i) for i in range(60)], "y": ["yes", "no"] * 30}
    return classic_spark.createDataFrame(pa.table(rows))


def test_a_parameter_by_an_alias_replaces_the_one_that_the_task_gives(frame):
    plan = fit_plan(frame, name="p", label="y")
    train = TrainSpec(params={"metrics": "auc", "loss": "binary", "subsample_freq": 5})
    assert learner_of("lightgbm").metric(plan, train) == ("auc", True)
    params = learner_of("lightgbm").params(plan, train, {"bagging_fraction": 0.5})
    assert params["objective"] == "binary"
    assert params["metric"] == ["binary_logloss", "auc"]
    assert params["bagging_freq"] == 5


@pytest.mark.parametrize("objective", ["cross_entropy", "l2", "softmax", "lambdarank"])
def test_an_objective_of_another_task_is_refused_before_anything_trains(frame, objective):
    plan = fit_plan(frame, name="p", label="y")
    with pytest.raises(ConfigError, match="does not go with task 'binary' of label 'y'"):
        learner_of("lightgbm").params(plan, TrainSpec(params={"objective": objective}), {})


def test_dart_is_told_to_train_without_early_stopping(frame):
    plan = fit_plan(frame, name="p", label="y")
    with pytest.raises(ConfigError, match=r"train\.early_stopping: 0"):
        learner_of("lightgbm").params(plan, TrainSpec(params={"boosting": "dart"}), {})
    learner_of("lightgbm").params(plan, TrainSpec(params={"boosting": "dart"}, early_stopping=0), {})


def searched(spec, train):
    return list(families_of(["lightgbm"], spec, train, "binary")[0].space)


def test_a_sweep_searches_by_main_names_and_not_what_is_fixed():
    spec = SweepSpec(space={"eta": {"low": 0.1, "high": 0.2}, "num_leaf": {"low": 4, "high": 9}})
    assert searched(spec, TrainSpec()) == ["learning_rate", "num_leaves"]
    assert searched(spec, TrainSpec(params={"shrinkage_rate": 0.1})) == ["num_leaves"]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("eta", "learning_rate"), "another name of LightGBM's 'learning_rate'"),
        (("n_estimators",), "said by train.rounds"),
        (("lerning_rate",), "no parameter 'lerning_rate'"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused_before_a_trial(names, said):
    space = SweepSpec(space={n: {"low": 1, "high": 9} for n in names})
    with pytest.raises(ConfigError, match=said):
        searched(space, TrainSpec())


def test_numbers_with_fractions_that_a_file_holds_as_text_are_no_classes(classic_spark):
    rows = {"x": [float(i) for i in range(60)], "y": [f"{i % 40}.{i % 7}" for i in range(60)]}
    frame = classic_spark.createDataFrame(pa.table(rows))
    assert fit_plan(frame, name="p", label="y").task == "regression"


def test_classes_that_differ_in_case_alone_are_warned_of(classic_spark):
    rows = {"x": [float(i) for i in range(60)], "y": ["Yes", "yes", "No"] * 20}
    warnings = fit_plan(classic_spark.createDataFrame(pa.table(rows)), name="p", label="y").warnings
    assert any("differ in case or blanks alone" in w and "'Yes', 'yes'" in w for w in warnings)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["Berlin", "BERLIN", "Rome"], "'Berlin', 'BERLIN'"),
        (["caf\u00e9", "cafe\u0301", "tea"], "'caf\u00e9', 'cafe\\u0301'"),
        (["1", "1.0", "x"], "'1', '1.0'"),
        (["Y", "no", "TRUE", "0"], "'Y', 'TRUE'; 'no', '0'"),
        (["a\u200b", "a", "b"], "'a', 'a\\u200b'"),
    ],
)
def test_words_that_are_one_but_for_their_writing_are_said_of_labels_and_columns(classic_spark, words, said):
    values = words * (120 // len(words))
    table = {"x": [float(i % 7) for i in range(len(values))], "word": values, "y": values}
    frame = classic_spark.createDataFrame(pa.table(table))
    warnings = fit_plan(frame, name="p", label="y").warnings
    of = {kind: [w for w in warnings if w.startswith(kind)] for kind in ("label 'y'", "column 'word'")}
    shown = {frozenset(part.split(", ")) for part in said.split("; ")}
    for told in of.values():
        groups = told[0].split("of its own: ")[1].split(". Write")[0]
        assert {frozenset(part.split(", ")) for part in groups.split("; ")} == shown


def test_words_that_differ_are_not_said(classic_spark):
    words = ["1.1", "1.10", "01", "1", "yes", "no", "maybe"] * 20
    table = {"x": [float(i % 9) for i in range(140)], "word": words, "y": ["a", "b"] * 70}
    warnings = fit_plan(classic_spark.createDataFrame(pa.table(table)), name="p", label="y").warnings
    assert not [w for w in warnings if "in several ways" in w]


def test_a_column_without_a_name_is_refused_or_left_out(classic_spark):
    rows = {"": [float(i) for i in range(60)], "x": [1.5 * i for i in range(60)], "y": ["a", "b"] * 30}
    frame = classic_spark.createDataFrame(pa.table(rows))
    with pytest.raises(DataError, match="column without a name"):
        fit_plan(frame, name="p", label="y")
    assert fit_plan(frame, name="p", label="y", features=FeatureSpec(exclude=[""])).feature_names == ["x"]


def test_test_rows_of_one_class_are_refused_before_anything_trains(classic_spark, tmp_path):
    rows = {"at": list(range(60)), "x": [float(i % 7) for i in range(60)], "y": ["a", "b"] * 24 + ["a"] * 12}
    raw = classic_spark.createDataFrame(pa.table(rows))
    plan = fit_plan(raw, name="p", label="y", split=SplitSpec(by="time", column="at"))
    table = publish_table(assemble(raw, plan), str(tmp_path / "one"))
    with pytest.raises(DataError, match="none of the 24 rows of class 'b' is on the test side"):
        check_classes(classic_spark, plan, table)
    rows["y"][36:48] = ["a"] * 12
    rows["y"][59] = "b"
    raw = classic_spark.createDataFrame(pa.table(rows))
    plan = fit_plan(raw, name="p", label="y", split=SplitSpec(by="time", column="at"))
    table = publish_table(assemble(raw, plan), str(tmp_path / "two"))
    (said,) = check_classes(classic_spark, plan, table)
    assert "is on the validation side" in said


@pytest.mark.parametrize("kind", ["integer", "gaps", "text"])
def test_ids_that_stand_in_several_rows_are_said_and_unique_ones_are_left_out(classic_spark, kind):
    makes = {
        "integer": int,
        "gaps": lambda i: None if i % 50 == 7 else float(i),
        "text": lambda i: f"P{i:03}",
    }
    make = makes[kind]
    rows = {
        "patient_id": [make(i // 4 * 37) for i in range(240)],
        "visit_id": [make(i * 37) for i in range(240)],
        "ward_id": [make(i % 5) for i in range(240)],
        "x": [float(i % 11) for i in range(240)],
        "y": ["a", "b", "b"] * 80,
    }
    plan = fit_plan(classic_spark.createDataFrame(pa.table(rows)), name="p", label="y")
    assert {d.column: d.reason[:5] for d in plan.dropped} == {"visit_id": "an id"}
    said = [w for w in plan.warnings if "named like an id" in w]
    assert len(said) == 1
    assert "'patient_id'" in said[0]
    assert "split.column: patient_id" in said[0]
