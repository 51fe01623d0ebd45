"""Several families in one sweep: what is tried first, who gets how much, and what survives a change of mind."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time

import pytest
from pydantic import ValidationError

from synml_dagster.errors import ConfigError, SetupError
from synml_dagster.learners import ParameterRange, TrainSpec, learner_of
from synml_dagster.spark.session import job_tag, stop_tagged
from synml_dagster.tuning import Candidate, Family, SweepSpec, TrialOutcome, run_sweep
from synml_dagster.tuning.choice import check_learners, families_of, family_names, train_spec
from synml_dagster.tuning.shares import Standing, alive, next_family

X = {"x": ParameterRange(low=-10.0, high=10.0)}
TREES = Family("trees", X, [Candidate("default", {"x": 0.0}), Candidate("tuned", {"x": 2.0})])
LINES = Family("lines", X, [Candidate("default", {"x": -5.0})], boosted=False)


def near(question):
    penalty = {"trees": 0.0, "lines": 0.5, "far": 900.0}[question.family]
    return TrialOutcome((question.params["x"] - 3) ** 2 + penalty, rounds=4, folds=(1.0, 2.0))


def sweep(path, trials, families=(TREES, LINES), train=near, **more):
    given = {"key": {"rows": 1}, "metric": "m", "maximize": False, "minutes": 5} | more
    return run_sweep(train, families=families, storage=path / "s.db", trials=trials, **given)


def asked(result):
    return [(t.learner, t.origin, t.params) for t in result.trials if t.reason != "killed"]


def test_the_first_default_comes_first_and_each_family_is_heard_before_any_is_heard_again(tmp_path):
    found = sweep(tmp_path, 4)
    assert [(t.learner, t.origin) for t in found.trials] == [
        ("trees", "default"),
        ("lines", "default"),
        ("trees", "tuned"),
        ("trees", "search"),
    ]
    assert found.learner == "trees"
    assert found.trials[0].folds == [1.0, 2.0]
    assert found.trials[0].spread == pytest.approx(0.5)


def test_boosted_trees_get_most_of_the_search_and_a_family_far_behind_gets_none(tmp_path):
    far = Family("far", X, [Candidate("default", {"x": 0.0})], boosted=False)
    found = sweep(tmp_path, 19, (TREES, LINES, far))
    searched = [t.learner for t in found.trials if t.origin == "search"]
    assert searched.count("far") == 0
    assert searched.count("trees") >= 0.6 * len(searched)
    assert len(searched) == 15


def test_the_next_trial_goes_where_most_is_missing():
    standings = {"trees": Standing(1.0, 0.1, 4), "lines": Standing(1.05, 0.1, 0)}
    assert next_family([TREES, LINES], standings, maximize=False).name == "lines"
    standings["lines"] = Standing(1.05, 0.1, 3)
    assert next_family([TREES, LINES], standings, maximize=False).name == "trees"
    assert [f.name for f in alive([TREES, LINES], {"trees": Standing(0.9, 0, 1)}, True)] == ["trees"]


@pytest.mark.parametrize("parallel", [1, 2])
def test_the_same_seed_asks_the_same_however_long_trials_take(tmp_path, parallel):
    def slow(seconds):
        waits = itertools.cycle(seconds)

        def train(question):
            time.sleep(next(waits))
            return near(question)

        return train

    runs = []
    for i, seconds in enumerate(([0.0, 0.05], [0.05, 0.0, 0.02])):
        (tmp_path / str(i)).mkdir()
        runs.append(sweep(tmp_path / str(i), 12, train=slow(seconds), parallel=parallel))
    assert asked(runs[0]) == asked(runs[1])
    assert len({t.params["x"] for t in runs[0].trials}) == 12


def test_a_sweep_that_was_killed_and_resumed_asks_what_an_unbroken_one_asks(tmp_path):
    script = (
        "import os, sys, pathlib\n"
        "from tests.tuning.test_families import near, sweep\n"
        "calls = []\n"
        "def train(question):\n"
        "    calls.append(question)\n"
        "    if len(calls) == int(sys.argv[2]): os.kill(os.getpid(), 9)\n"
        "    return near(question)\n"
        "sweep(pathlib.Path(sys.argv[1]), 14, train=train)\n"
    )
    for name in ("killed", "whole"):
        (tmp_path / name).mkdir()
    for call in (1, 3, 6):
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "killed"), str(call)], check=False
        )
        assert done.returncode == -9
    resumed, whole = sweep(tmp_path / "killed", 14), sweep(tmp_path / "whole", 14)
    assert asked(resumed) == asked(whole)
    assert [t.number for t in resumed.trials if t.reason != "killed"] == list(range(14))
    assert {t.state for t in resumed.trials} == {"complete", "fail"}
    assert (resumed.best_value, resumed.best_params) == (whole.best_value, whole.best_params)


def test_more_trials_another_family_and_a_wider_range_keep_what_still_fits(tmp_path):
    sweep(tmp_path, 5, [TREES])
    assert sweep(tmp_path, 8, [TREES]).resumed == 5
    found = sweep(tmp_path, 10)
    assert found.resumed == 8
    assert [t.learner for t in found.trials].count("lines") >= 1
    narrow = {"x": ParameterRange(low=-1.0, high=10.0)}
    kept = sum(t.params["x"] >= -1 for t in found.trials if t.learner == "trees")
    again = sweep(tmp_path, 10, [Family("trees", narrow, TREES.portfolio)])
    assert again.resumed == kept


def test_the_same_parameters_are_not_trained_twice(tmp_path):
    trained = []

    def train(question):
        trained.append(question.params["x"])
        return TrialOutcome(float(question.params["x"]))

    found = sweep(tmp_path, 9, [Family("f", {"x": ParameterRange(low=1, high=3)})], train)
    assert sorted(set(trained)) == sorted(trained)
    assert len(found.trials) == 9


def test_a_failed_trial_keeps_its_reason_and_does_not_end_the_sweep(tmp_path):
    def train(question):
        if question.order in (1, 2, 3, 4):
            raise ValueError(f"no leaf for {question.order}")
        return near(question)

    found = sweep(tmp_path, 8, train=train)
    assert [t.reason for t in found.trials if t.state == "fail"] == [f"no leaf for {i}" for i in range(1, 5)]
    assert len(found.trials) == 8


def test_a_budget_stops_what_runs_and_nothing_else_of_the_session(tmp_path, classic_spark):
    def sleep(batches):
        for batch in batches:
            time.sleep(60)
            yield batch

    def train(question):
        if question.order == 0:
            return near(question)
        with job_tag(classic_spark, f"budget-{question.order}"):
            classic_spark.range(0, 1, 1, 1).mapInArrow(sleep, "id long").toArrow()
        return near(question)

    began = time.monotonic()
    found = sweep(
        tmp_path,
        5,
        train=train,
        minutes=0.05,
        cancel=lambda q: stop_tagged(classic_spark, f"budget-{q.order}"),
    )
    assert time.monotonic() - began < 20
    assert [(t.number, t.state, t.reason) for t in found.trials] == [
        (0, "complete", ""),
        (1, "fail", "budget"),
    ]
    assert classic_spark.range(5).count() == 5
    assert sweep(tmp_path, 2).resumed == 1


def test_each_family_is_trained_by_its_own_keys():
    train = TrainSpec(params={"num_leaves": 7}, rounds=70, seed=3)
    assert train_spec("lightgbm", train) is train
    linear = train_spec("linear", train)
    assert (linear.learner, linear.params, linear.seed) == ("linear", {}, 3)
    families = families_of(
        ["lightgbm", "linear"], SweepSpec(learners=["lightgbm", "linear"]), train, "binary"
    )
    assert "num_leaves" not in families[0].space
    assert all("num_leaves" not in c.params for f in families for c in f.portfolio)
    assert [f.portfolio[0].name for f in families] == ["default", "default"]
    assert not families[1].boosted


def test_all_takes_what_learns_the_task():
    spec = SweepSpec(learners="all")
    assert family_names(spec, TrainSpec(), "ranking")[0] == "lightgbm"
    assert "linear" not in family_names(spec, TrainSpec(), "ranking")
    assert {"lightgbm", "linear"} <= set(family_names(spec, TrainSpec(), "binary"))
    assert family_names(spec, TrainSpec(learner="linear"), "binary")[0] == "linear"


def test_ranges_of_several_learners_say_whose_they_are():
    space = {"lightgbm.num_leaves": {"low": 4, "high": 9}}
    spec = SweepSpec(learners=["lightgbm", "linear"], space=space)
    families = {f.name: f for f in families_of(["lightgbm", "linear"], spec, TrainSpec(), "binary")}
    assert list(families["lightgbm"].space) == ["num_leaves"]
    assert set(families["linear"].space) == set(learner_of("linear").space())


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"learners": ["lightgbn"]}, "Did you mean 'lightgbm'"),
        ({"learners": []}, "name at least one learner"),
        ({"learners": ["linear", "linear"]}, "named twice"),
        ({"sampler": "tpee"}, "Did you mean 'tpe'"),
        ({"folds": 1}, "one fold holds out all rows"),
        ({"storage": "studies.db"}, "no address of a database"),
        ({"learners": "all", "space": {"num_leaves": {"low": 1, "high": 2}}}, "whose is 'num_leaves'"),
        (
            {"learners": ["linear", "lightgbm"], "space": {"mlp.x": {"low": 1, "high": 2}}},
            "not among learners",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_as_it_is_read(wrong, says):
    with pytest.raises((ValidationError, ConfigError), match=says):
        SweepSpec(**wrong)


def test_parameters_of_a_learner_that_is_not_searched_are_refused():
    with pytest.raises(ConfigError, match="does not name"):
        check_learners(SweepSpec(learners=["linear"]), TrainSpec(params={"num_leaves": 9}))


def test_a_database_that_cannot_be_reached_is_said_without_its_password(tmp_path):
    where = "mysql+nosuchdriver://me:hush@127.0.0.1:1/db"
    with pytest.raises(SetupError, match=r"sweep\.storage") as told:
        run_sweep(
            near, families=[TREES], storage=where, key={}, metric="m", maximize=False, trials=1, minutes=1
        )
    assert "hush" not in str(told.value)
