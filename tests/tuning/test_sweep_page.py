"""What the page of a sweep says beside the leaderboard: what can mislead it, pictures of its parameters, and how long it goes on."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from synml_dagster.assets.guardrails import ALERT, DONE, PASSED, guardrails
from synml_dagster.assets.leaderboard import as_yaml, drawn, sweep_metadata
from synml_dagster.assets.sweep import Pace
from synml_dagster.features import fit_plan
from synml_dagster.learners import TrainSpec, learner_of
from synml_dagster.tuning import SweepResult, SweepSpec, TrialRecord
from synml_dagster.tuning.choice import families_of, train_spec
from synml_dagster.tuning.folds import FoldPlan


@pytest.fixture
def awkward(classic_spark):
    """A table with a rare class, a leak, missing numbers and a column of 300 names."""
    rng = np.random.default_rng(0)
    y = np.where(rng.random(900) < 0.04, "bad", "good")
    table = {
        "city": [f"city {i % 300}" for i in range(900)],
        "told": np.where(y == "bad", 3.0, 1.0),
        "gap": [None if i % 7 == 0 else float(v) for i, v in enumerate(rng.normal(size=900))],
        "y": y,
    }
    return fit_plan(classic_spark.createDataFrame(pa.table(table).to_pandas()), name="p", label="y")


def test_guardrails_say_what_was_found_and_done(awkward):
    looked_at = guardrails(awkward, 720, FoldPlan(5, 2, "5 folds, twice"), "logloss")
    found = {what: (state, said) for what, state, said in looked_at}
    assert found["balance of classes"][0] == DONE
    assert "'bad'" in found["balance of classes"][1]
    assert found["names with many values"][0] == DONE
    assert "'city'" in found["names with many values"][1]
    assert found["missing values"][0] == DONE
    assert found["leaks of the label"][0] == ALERT
    assert "'told'" in found["leaks of the label"][1]
    assert found["number of rows"][0] == ALERT
    assert found["choice of validation"][1].startswith("trials are measured on 5 folds, twice")
    assert "folds have each class alike" in found["balance of classes"][1]


def test_guardrails_say_of_rare_classes_what_is_so(awkward):
    by_time = FoldPlan(5, 1, "5 folds by times", "time")
    _, state, said = guardrails(awkward, 720, by_time, "logloss")[0]
    assert (state, "alike" in said, "log loss" in said) == (DONE, False, True)
    _, state, said = guardrails(awkward, 720, by_time, "auc")[0]
    assert (state, "log loss" in said, "compared by auc" in said) == (ALERT, False, True)


def result():
    trials = [
        TrialRecord(
            number=i,
            params={
                "learning_rate": 0.01 * (i + 1),
                "num_leaves": 4 + i,
                "extra_trees": i % 2 == 0,
                "fixed": 1,
            }
            | ({} if i else {"features.scale": "quantile"}),
            value=0.3 + 0.01 * (i - 5) ** 2,
            learner="lightgbm",
            seconds=1,
        )
        for i in range(12)
    ]
    return SweepResult(
        metric="logloss",
        direction="minimize",
        learner="lightgbm",
        trials=trials,
        best_value=0.3,
        best_trial=5,
    )


def test_the_page_has_pictures_of_the_parameters_and_the_guardrails():
    pictures = drawn(result())
    assert {"logloss by each parameter of lightgbm", "parameters of lightgbm together"} <= set(pictures)
    assert all(picture.startswith(b"\x89PNG") for picture in pictures.values())
    told = sweep_metadata(result(), {"lightgbm": TrainSpec()}, pictures, [("rows", PASSED, "enough | said")])
    assert "enough" in told["guardrails"].value
    few = result().model_copy(update={"trials": result().trials[:2]})
    assert "parameters of lightgbm together" not in drawn(few)


def test_each_line_of_the_leaderboard_trains_with_what_its_trial_had(awkward):
    names = ["lightgbm", "xgboost", "extra_trees", "random_forest", "linear", "mlp"]
    train = TrainSpec(rounds=50, params={"max_depth": 4})
    for family in families_of(names, SweepSpec(learners=names), train, "binary"):
        spec, learner = train_spec(family.name, train), learner_of(family.name)
        for candidate in family.portfolio:
            trial = TrialRecord(number=0, params=dict(candidate.params), value=1.0, learner=family.name)
            again = TrainSpec(**json.loads(as_yaml(trial, spec))["train"])
            assert learner.params(awkward, again, {}) == learner.params(awkward, spec, candidate.params)


def test_what_is_left_is_told_by_the_pace_so_far_and_by_the_minutes():
    clock = iter([0.0, 10.0, 20.0, 400.0, 590.0])
    pace = Pace(trials=50, minutes=10, now=lambda: next(clock))
    assert pace.left(0) == ", about 8 min to go"
    assert pace.left(1) == ", about 8 min to go"
    assert pace.left(2) == ", about 3 min to go"  # no longer than the minutes
    assert pace.left(48) == ", about 10 s to go"
    assert Pace(trials=3, minutes=1).left(2) == ""
