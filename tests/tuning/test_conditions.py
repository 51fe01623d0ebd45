"""Ranges that are searched only beside some values of others, and families that `all` leaves out."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from synml_dagster.errors import ConfigError
from synml_dagster.learners import ParameterRange, TrainSpec, learner_names
from synml_dagster.tuning import Candidate, Family, SweepSpec, TrialOutcome, run_sweep
from synml_dagster.tuning.choice import check_learners, families_of, family_names
from synml_dagster.tuning.feature_choice import wanted_choices

DART = {
    "drop_rate": {"low": 0.05, "high": 0.5, "when": {"boosting": ["dart"]}},
    "boosting": {"choices": ["gbdt", "dart"]},
}


def family(space, **train):
    return families_of(["lightgbm"], SweepSpec(space=space), TrainSpec(**train), "binary")[0]


def test_a_condition_is_asked_before_what_it_decides_and_trials_have_what_applies_alone(tmp_path):
    given = family(DART)
    assert list(given.space) == ["boosting", "drop_rate"]
    sweep = {"storage": tmp_path / "s.db", "key": {}, "metric": "m", "maximize": False, "minutes": 5}

    def train(question):
        return TrialOutcome(question.params.get("drop_rate", 0.3))

    found = run_sweep(train, families=[given], trials=14, **sweep)
    searched = [t.params for t in found.trials if t.origin == "search"]
    assert {p["boosting"] for p in searched} == {"gbdt", "dart"}
    assert all(("drop_rate" in p) == (p["boosting"] == "dart") for p in searched)
    wider = DART | {"drop_rate": DART["drop_rate"] | {"high": 0.9}}
    again = run_sweep(train, families=[family(wider)], trials=14, **sweep)
    assert again.resumed == len([t for t in found.trials if t.origin == "search"])


def test_a_candidate_keeps_a_value_whose_range_is_not_searched_beside_its_others(tmp_path):
    leaves = ParameterRange(low=4, high=99, when={"max_depth": [8]})
    space = {"max_depth": ParameterRange(choices=[4, 8]), "num_leaves": leaves}
    champion = Candidate("champion 3", {"num_leaves": 63, "max_depth": 4})
    found = run_sweep(
        lambda q: TrialOutcome(float(q.params.get("num_leaves", 0))),
        families=[Family("f", space, (Candidate("default", {}), champion))],
        trials=3,
        storage=tmp_path / "s.db",
        key={},
        metric="m",
        maximize=False,
        minutes=5,
    )
    assert found.trials[1].params == {"num_leaves": 63, "max_depth": 4}


def test_a_sweep_that_is_killed_while_it_takes_trials_along_takes_them_along_when_it_goes_on(
    tmp_path, monkeypatch
):
    from synml_dagster.tuning.ledger import ledger

    def wide(high):
        return [Family("f", {"x": ParameterRange(low=0.0, high=high)})]

    sweep = {"storage": tmp_path / "s.db", "key": {}, "metric": "m", "maximize": False, "minutes": 5}
    run_sweep(lambda q: TrialOutcome(q.params["x"]), families=wide(1.0), trials=3, **sweep)
    whole = ledger.take_along

    def killed(*given):
        whole(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(ledger, "take_along", killed)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(lambda q: TrialOutcome(q.params["x"]), families=wide(2.0), trials=3, **sweep)
    monkeypatch.undo()
    again = run_sweep(lambda q: TrialOutcome(q.params["x"]), families=wide(2.0), trials=3, **sweep)
    assert again.resumed == 3


def test_what_train_fixes_decides_conditions_beforehand():
    fixed = family(DART, params={"boosting": "dart"}, early_stopping=0).space
    assert fixed == {"drop_rate": ParameterRange(low=0.05, high=0.5)}
    assert not family(DART, params={"boosting": "gbdt"}).space


@pytest.mark.parametrize(
    ("space", "says"),
    [
        ({"drop_rate": {"low": 0, "high": 1, "when": {"boosting": ["dart"]}}}, "neither searched nor fixed"),
        (DART | {"boosting": {"choices": ["gbdt", "goss"]}}, "never 'dart'"),
        (
            {
                "num_leaves": {"low": 2, "high": 9, "when": {"max_depth": [3]}},
                "max_depth": {"low": 2, "high": 9, "when": {"num_leaves": [3]}},
            },
            "round in a circle",
        ),
        ({"drop_rate": {"low": 0, "high": 1, "when": {"boostng": ["dart"]}}}, "boostng"),
    ],
)
def test_conditions_that_can_never_hold_are_refused(space, says):
    with pytest.raises(ConfigError, match=says):
        check_learners(SweepSpec(space=space), TrainSpec())


def test_a_condition_names_a_parameter_and_values():
    for when in ({}, {"boosting": []}):
        with pytest.raises(ValidationError, match="at least one"):
            ParameterRange(low=1, high=2, when=when)


def test_all_leaves_out_whom_without_names():
    spec = SweepSpec(learners="all", without=["mlp", "lightgbm"])
    names = family_names(spec, TrainSpec(), "regression")
    assert "linear" in names
    assert not {"mlp", "lightgbm"} & set(names)
    with pytest.raises(ConfigError, match="leaves no learner"):
        family_names(
            SweepSpec(learners="all", without=[*names, "mlp", "lightgbm"]), TrainSpec(), "regression"
        )
    with pytest.raises((ValidationError, ConfigError), match="Did you mean 'linear'"):
        SweepSpec(learners="all", without=["linaer"])
    with pytest.raises(ValidationError, match="goes with learners: all"):
        SweepSpec(learners=["linear"], without=["mlp"])


def test_nothing_is_said_of_a_learner_that_is_left_out():
    with pytest.raises(ConfigError, match=r"sweep\.without leaves out"):
        check_learners(SweepSpec(learners="all", without=["lightgbm"]), TrainSpec(params={"num_leaves": 9}))
    with pytest.raises(ValidationError, match="which without leaves out"):
        SweepSpec(learners="all", without=["mlp"], space={"mlp.alpha": {"low": 0, "high": 1}})
    left = [n for n in learner_names() if n not in ("lightgbm", "random_forest")]
    spec = SweepSpec(learners="all", without=left, features="auto")
    assert wanted_choices(spec, TrainSpec()) == wanted_choices(
        SweepSpec(learners=["lightgbm", "random_forest"], features="auto"), TrainSpec()
    )


def test_families_without_conditions_keep_the_name_of_their_study(tmp_path):
    import optuna

    sweep = {"storage": tmp_path / "s.db", "key": {}, "metric": "m", "maximize": False, "minutes": 5}
    space = {"x": ParameterRange(low=0.0, high=1.0)}
    run_sweep(lambda q: TrialOutcome(q.params["x"]), families=[Family("f", space)], trials=1, **sweep)
    names = optuna.study.get_all_study_names(f"sqlite:///{tmp_path}/s.db")
    assert [n.rpartition("/")[2] for n in names] == ["84b3b0b84a0ffb4d"]
