"""Where a sweep could say other than what happened: numbers, candidates, failures, metrics that are none, and late stops."""

from __future__ import annotations

import math
import os
import queue
import subprocess
import sys
import threading
import time

import numpy as np
import optuna
import pytest
from pydantic import ValidationError

from synml_dagster.errors import ConfigError, TrainingError
from synml_dagster.learners import ParameterRange, TrainSpec
from synml_dagster.processes import this_process
from synml_dagster.tuning import (
    Candidate,
    Family,
    SweepResult,
    SweepSpec,
    TrialOutcome,
    TrialRecord,
    run_sweep,
)
from synml_dagster.tuning.choice import check_learners, families_of
from synml_dagster.tuning.folds import FoldPlan
from synml_dagster.tuning.guard import keep_default_within_noise
from synml_dagster.tuning.ledger import Ledger
from synml_dagster.tuning.losses import Measure


def family(low=0.0, high=10.0, start=5.0, name="f"):
    return Family(name, {"x": ParameterRange(low=low, high=high)}, [Candidate("default", {"x": start})])


def near(question):
    return TrialOutcome(abs(question.params["x"] - 3))


def sweep(path, trials, families=None, train=near, **more):
    given = {"key": {}, "metric": "m", "maximize": False, "minutes": 5} | more
    return run_sweep(train, families=families or [family()], storage=path / "s.db", trials=trials, **given)


def test_no_number_is_given_to_two_trials_whose_answers_are_kept_in_one_folder(tmp_path):
    wide = sweep(tmp_path, 8)
    narrow = sweep(tmp_path, 8, [family(high=9.0)])
    assert wide.trials[-1].params["x"] > 9  # the last number is not taken along
    params = {t.number: t.params for t in wide.trials}
    assert [t for t in narrow.trials if params.get(t.number, t.params) != t.params] == []


def test_a_family_that_was_left_out_for_a_while_keeps_its_numbers(tmp_path):
    other = family(name="g")
    sweep(tmp_path, 2, [family(), other])
    sweep(tmp_path, 4, [family()])
    found = sweep(tmp_path, 6, [family(), other])
    numbers = [t.number for t in found.trials]
    assert len(set(numbers)) == len(numbers) == 6


def test_the_defaults_are_tried_as_they_are_even_where_ranges_leave_them_out(tmp_path):
    space = {"num_leaves": {"low": 40, "high": 127}, "boosting": {"choices": ["goss", "dart"]}}
    families = families_of(["lightgbm"], SweepSpec(space=space), TrainSpec(), "binary")
    tried = []

    def train(question):
        tried.append(dict(question.params))
        return TrialOutcome(float(len(tried)))

    found = sweep(tmp_path, 3, families, train)
    assert tried[0]["num_leaves"] == 31
    assert "boosting" not in tried[0]
    assert (found.trials[0].origin, found.trials[0].params) == ("default", tried[0])
    assert found.best_params == tried[0]
    assert all(p["num_leaves"] >= 40 and p["boosting"] in ("goss", "dart") for p in tried[1:])
    assert sweep(tmp_path, 3, families, train).resumed == 3


def test_defaults_outside_all_ranges_are_tried_again_after_a_kill(tmp_path):
    families = [family(low=6.0)]
    ledger = Ledger(tmp_path / "s.db", families, {}, maximize=False, seed=0)
    asked = ledger.ask_candidate(0, "f", families[0].portfolio[0])
    again = Ledger(tmp_path / "s.db", families, {}, maximize=False, seed=0).waiting()
    assert (again.order, again.params, again.origin) == (asked.order, {"x": 5.0}, "default")


def test_a_sweep_whose_trials_all_failed_tries_them_again(tmp_path):
    def broken(question):
        raise ValueError("no memory")

    with pytest.raises(TrainingError, match="no memory"):
        sweep(tmp_path, 3, train=broken)
    found = sweep(tmp_path, 3)
    assert [t.origin for t in found.trials if t.value is not None] == ["default", "search", "search"]
    assert len([t for t in found.trials if t.state == "fail"]) == 3
    assert sweep(tmp_path, 3).resumed == 3


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_metric_that_is_no_number_is_a_failed_trial_with_its_reason(tmp_path, value):
    told = []

    def train(question):
        return TrialOutcome(value) if question.order == 0 else near(question)

    found = sweep(tmp_path, 3, train=train, on_trial=lambda trial, best: told.append((trial.state, best)))
    assert told[0] == ("fail", None)
    assert found.trials[0].reason.startswith(f"the metric is {value}")
    assert np.isfinite(found.best_value)


def test_whole_numbers_after_fractions_keep_the_whole_ones(tmp_path):
    assert not ParameterRange(low=0, high=10).holds(4.5)
    assert ParameterRange(low=0, high=10).holds(4.0)
    sweep(tmp_path, 4)
    assert sweep(tmp_path, 4, [family(low=0, high=10)]).resumed == 1


def test_a_trial_that_starts_its_job_after_it_was_cancelled_is_cancelled_again(tmp_path):
    jobs: dict[int, threading.Event] = {}
    left: queue.SimpleQueue[str] = queue.SimpleQueue()
    once = threading.Event()

    def train(question):
        if question.order == 0:
            return near(question)
        once.wait(30)  # has not come to its job when the time is over
        time.sleep(0.1)
        jobs[question.order] = threading.Event()
        left.put("stopped" if jobs[question.order].wait(8) else "went on")
        raise RuntimeError("cancelled")

    def cancel(question):
        if question.order in jobs:
            jobs[question.order].set()
        once.set()

    sweep(tmp_path, 2, train=train, minutes=3 / 60, cancel=cancel)
    assert left.get(timeout=10) == "stopped"


def test_a_process_that_has_the_number_of_a_killed_one_is_not_taken_for_it(tmp_path):
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    ledger = Ledger(tmp_path / "s.db", [family()], {}, maximize=False, seed=0)
    ledger.ask_candidate(0, "f", Candidate("default", {"x": 5.0}))
    database = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 's.db'}")
    (study,) = database.get_all_studies()
    (trial,) = database.get_all_trials(study._study_id)
    killed = this_process().replace(f":{os.getpid()}:", f":{other.pid}:")
    database.set_trial_user_attr(trial._trial_id, "owner", killed)
    assert other.poll() is None
    found = sweep(tmp_path, 2)
    other.communicate(timeout=30)
    assert [(t.number, t.origin) for t in found.trials if t.value is not None] == [
        (0, "default"),
        (1, "search"),
    ]


def test_ranges_of_a_learner_that_there_is_none_of_are_refused_with_all(tmp_path):
    with pytest.raises(ValidationError, match="Did you mean 'lightgbm'"):
        SweepSpec(learners="all", space={"lightgbn.num_leaves": {"low": 4, "high": 9}})


def test_an_ensemble_does_not_go_with_a_metric_that_it_is_not_put_together_by():
    train = TrainSpec(params={"metric": "auc"})
    with pytest.raises(ConfigError, match=r"sweep\.ensemble does not go with train\.params\.metric"):
        check_learners(SweepSpec(ensemble=4), train)
    check_learners(SweepSpec(ensemble=4, learners=["lightgbm", "linear"]), train)
    check_learners(SweepSpec(), train)


def result_of(folds, best_folds, **more):
    trials = [
        TrialRecord(
            number=i,
            params={"i": i},
            value=float(np.mean(f or [0.5 - 0.1 * i])),
            folds=f,
            learner=n,
            origin=o,
        )
        for i, (f, n, o) in enumerate([(folds, "f", "default"), (best_folds, "g", "search")])
    ]
    given = {
        "metric": "logloss",
        "direction": "minimize",
        "learner": "g",
        "best_trial": 1,
        "best_value": trials[1].value,
        "importance": {"alpha": 1.0},
    }
    return SweepResult(trials=trials, **(given | more))


def test_ten_folds_are_corrected_as_ten(tmp_path):
    gains = np.array([1.0, 0.2] * 5)
    default = [0.5] * 10
    best = [0.5 - 0.1 * g + 0.1 * 0.4 for g in gains]  # mean gain 0.02
    spread = (0.1 * gains).std(ddof=1)
    five, ten = (spread * (1 / 10 + 1 / (k - 1)) ** 0.5 for k in (5, 10))
    assert ten < 0.02 < five
    result = result_of(default, best)
    of_ten, of_five = (FoldPlan(k, 1, "").ratio for k in (10, 5))
    assert keep_default_within_noise(result, "f", Measure.of("binary"), tmp_path, of_ten).best_trial == 1
    kept = keep_default_within_noise(result, "f", Measure.of("binary"), tmp_path, of_five)
    assert kept.best_trial == 0
    assert kept.importance == {}  # it was of the other family's parameters


def test_folds_by_time_hold_out_more_for_each_row_that_is_trained_on():
    assert FoldPlan(2, 1, "", "time").ratio == 0.75  # one part after one, and one after two
    assert FoldPlan(0, 1, "").ratio is None


def test_what_could_not_be_asked_of_the_best_trial_is_said(tmp_path):
    measure = Measure.of("binary")
    lost = keep_default_within_noise(result_of([], [], best_trial=1), "f", measure, tmp_path)
    assert lost.best_trial == 1
    assert "not on this host" in lost.notes[0]
    other = keep_default_within_noise(result_of([], [], metric="auc"), "f", measure, tmp_path)
    assert "single rows have no auc" in other.notes[0]
    none = keep_default_within_noise(result_of([], []), "h", measure, tmp_path)
    assert "no trial of the defaults of h has a value" in none.notes[0]
