"""Trials that are stopped half-way: when, by whom, and what is left of them."""

from __future__ import annotations

import numpy as np
import pytest

from synml_dagster.errors import ConfigError
from synml_dagster.features import FeaturePlan, fit_plan
from synml_dagster.learners import ParameterRange, TrainSpec, learner_of
from synml_dagster.learners.judging import StoppedError
from synml_dagster.learners.one_process.rows import Rows
from synml_dagster.tuning import Candidate, Family, SweepSpec, TrialOutcome, run_sweep
from synml_dagster.tuning.pruners import PRUNERS, check_pruner, rule_of
from synml_dagster.tuning.rungs import RUNGS, RungJudge

GOOD = tuple(1.0 / (i + 1) for i in range(len(RUNGS)))


def told(judge, values, rate=0.5):
    """Return the round after which it said stop, None where it never did."""
    return next((i for i, value in enumerate(values, 1) if judge(i * rate, value)), None)


def judge(others, *, maximize=False, pruner="median", pruned=None):
    return RungJudge(maximize, rule_of(pruner, others, pruned or [False] * len(others), maximize))


def test_a_trial_behind_the_median_of_four_is_stopped_at_its_next_rung():
    worse, better = [2.0] * 200, [0.001] * 200
    assert told(judge([GOOD] * 3), worse) is None
    assert told(judge([GOOD] * 4), worse) == 1
    assert told(judge([GOOD] * 4), better) is None
    assert told(RungJudge(maximize=False), worse) is None


def test_it_is_compared_at_equal_progress_and_not_at_equal_rounds():
    slow = [1 / (1 + 0.02 * i) for i in range(1, 2000)]  # as good for its progress as the others for theirs
    fast = tuple(1 / (1 + rung) for rung in RUNGS)
    assert told(judge([fast] * 4), slow, rate=0.02) is None


def test_a_trial_that_stopped_early_keeps_its_last_value_and_more_may_be_better():
    short = (0.6, 0.7)
    behind = judge([short] * 4, maximize=True)
    assert told(behind, [0.65] * 400, rate=0.125) == 8  # progress 1.0, the second rung
    assert told(judge([short] * 4, maximize=True), [0.75] * 400, rate=0.125) is None
    kept = judge([], maximize=True)
    told(kept, [0.5, 0.8, 0.7, 0.9])
    assert kept.curve == (0.5, 0.8, 0.9)


LEVELS = [(1.0 + i,) * len(RUNGS) for i in range(8)]


@pytest.mark.parametrize("maximize", [False, True])
def test_the_percentile_keeps_the_best_quarter_and_counts_none_that_was_stopped(maximize):
    sign = -1.0 if maximize else 1.0
    others = [tuple(sign * v for v in level) for level in LEVELS]
    asked = {"pruner": "percentile", "maximize": maximize}
    assert told(judge(others, **asked), [sign * 4.0] * 9) == 1
    assert told(judge(others, **asked), [sign * 2.0] * 9) is None
    stopped = [True] * 4 + [False] * 4  # of 5, 6, 7 and 8 the best quarter ends between 5 and 6
    assert told(judge(others, pruned=stopped, **asked), [sign * 5.5] * 9) is None
    assert told(judge(others, pruned=stopped, **asked), [sign * 6.0] * 9) == 1


def test_successive_halving_stops_at_the_rungs_of_its_budget():
    # The budget of its rungs is 1, 4, 16 ...: progress 0.5, 2 and 8. Of nine trials two go on, of the two one.
    assert told(judge(LEVELS, pruner="successive_halving"), [2.5] * 40) == 1
    assert told(judge(LEVELS, pruner="successive_halving"), [0.5] * 40) is None
    late = [0.5] * 3 + [1.5] * 40  # the best so far is what is compared, so that a bad end changes nothing
    assert told(judge(LEVELS, pruner="successive_halving"), late) is None


@pytest.mark.parametrize("pruner", PRUNERS)
def test_the_best_of_all_goes_on_and_the_first_has_nobody_to_stand_behind(pruner):
    better = [1.0 / (i + 2) for i in range(600)]
    assert told(judge([GOOD, *LEVELS], pruner=pruner), better) is None
    assert told(judge([], pruner=pruner), better) is None


def test_a_pruner_that_there_is_none_of_is_refused():
    with pytest.raises(ConfigError, match=r"no 'medain'.*Did you mean 'median'"):
        check_pruner("medain")
    with pytest.raises(ValueError, match="and none is; leave it out"):
        SweepSpec(pruning=False, pruner="hyperband")


@pytest.fixture(scope="module")
def plan(classic_spark) -> FeaturePlan:
    rng = np.random.default_rng(0)
    names = ["a", "b", "c", "d"]
    rows = [(*map(float, row), "yes" if row[0] > 0 else "no") for row in rng.normal(size=(80, 4))]
    table = classic_spark.createDataFrame(rows, ", ".join(f"{n} double" for n in names) + ", y string")
    return fit_plan(table, name="p", label="y")


def rows_of(n=600):
    rng = np.random.default_rng(0)
    X = np.asfortranarray(rng.normal(size=(n, 4)).astype(np.float32))
    y = (X[:, 0] + rng.normal(0, 0.5, n) > 0).astype(float)
    return Rows(X, y, np.ones(n), n)


@pytest.mark.parametrize("name", ["lightgbm", "xgboost"])
def test_boosted_trees_stop_where_the_judge_says_so(plan, name):
    family, asked = learner_of(name), []

    def judge(progress, value):
        asked.append((progress, value))
        return len(asked) == 7

    spec = TrainSpec(learner=name, rounds=200, early_stopping=0, params={"learning_rate": 0.2})
    with pytest.raises(StoppedError) as stopped:
        family.fit_rows(plan, spec, {}, rows_of(), rows_of(), judge=judge)
    assert (stopped.value.rounds, stopped.value.value) == (7, asked[-1][1])
    assert [p for p, _ in asked] == pytest.approx([0.2 * i for i in range(1, 8)])
    assert asked[0][1] > asked[-1][1] > 0


@pytest.mark.parametrize(
    ("params", "computed"),
    [
        ({}, ["binary_logloss"]),  # what decides nothing and nobody has asked for takes time alone
        ({"first_metric_only": False}, ["binary_logloss", "auc"]),
        ({"metric": "auc"}, ["binary_logloss", "auc"]),
        ({"metric": ["binary_error", "auc"]}, ["binary_error", "auc"]),
    ],
)
def test_the_metric_that_decides_is_computed_and_is_what_trials_are_judged_by(plan, params, computed):
    family, asked = learner_of("lightgbm"), []

    def judge(_, value):
        asked.append(value)
        return False

    spec = TrainSpec(rounds=30, early_stopping=5, params=params)
    metric, _ = family.metric(plan, spec)
    model = family.fit_rows(plan, spec, {}, rows_of(), rows_of(300), judge=judge)
    assert list(model.history["validation"]) == computed
    assert asked == model.history["validation"][metric]
    assert model.validation_score(metric)[0] == metric


def test_a_stopped_trial_is_spent_and_never_the_best(tmp_path):
    def train(question):
        if question.origin == "search" and len(question.curves) >= 3:
            assert question.pruned == (False,) * 3 + (True,) * (question.order - 3)
            rule = "hyperband" if question.order == 5 else "median"
            return TrialOutcome(0.0, rounds=5, pruned=True, curve=(9.0,), pruner=rule)
        return TrialOutcome(1.0 + question.order, rounds=50, curve=GOOD)

    space = {"x": ParameterRange(low=0.0, high=1.0)}
    seen = []
    found = run_sweep(
        train,
        families=[Family("f", space, [Candidate("default", {"x": 0.5})])],
        storage=tmp_path / "s.db",
        key={},
        metric="m",
        maximize=False,
        trials=6,
        minutes=5,
        on_trial=lambda trial, best: seen.append((trial.state, best.number)),
    )
    assert [t.state for t in found.trials] == ["complete"] * 3 + ["pruned"] * 3
    assert found.trials[-2].reason == "worse than the median after 5 rounds"
    assert found.trials[-1].reason == "stopped by hyperband after 5 rounds"
    assert found.best_trial == 0
    assert seen[-1] == ("pruned", 0)
