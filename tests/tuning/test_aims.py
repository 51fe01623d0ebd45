"""Quality against size and time to score: the front, the limits that a winner holds, and what does not go together."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from synml_dagster.errors import TrainingError
from synml_dagster.learners import ParameterRange
from synml_dagster.learners.one_process.rows import Rows
from synml_dagster.tuning import (
    Candidate,
    Family,
    SweepResult,
    SweepSpec,
    TrialOutcome,
    TrialRecord,
    run_sweep,
)
from synml_dagster.tuning.aims import Aims
from synml_dagster.tuning.ensemble import with_ensemble
from synml_dagster.tuning.guard import keep_default_within_noise
from synml_dagster.tuning.losses import Measure
from synml_dagster.tuning.trial import packed, packed_labels

LEAVES = Family("f", {"leaves": ParameterRange(low=2, high=200)}, [Candidate("default", {"leaves": 150})])


def costly(question):
    """More leaves are better, larger and slower."""
    leaves = question.params["leaves"]
    return TrialOutcome(1 / leaves, kilobytes=10.0 * leaves, milliseconds=0.01 * leaves)


def sweep(path, trials=20, sampler="tpe", **aims):
    return run_sweep(
        costly, families=[LEAVES], storage=path / "s.db", key=aims, metric="logloss", maximize=False,
        trials=trials, minutes=2, sampler=sampler, aims=Aims(**aims),
    )  # fmt: skip


def test_the_winner_is_the_best_of_those_that_hold_the_limits(tmp_path):
    found = sweep(tmp_path, most_kilobytes=500.0)
    assert found.best_params["leaves"] == max(t.params["leaves"] for t in found.trials if t.kilobytes <= 500)
    assert found.leaderboard()[0].kilobytes > 500  # the default, which is better and too large
    inside = [t for t in found.trials[5:] if t.kilobytes <= 500]
    assert len(inside) > len(found.trials[5:]) / 2  # the sampler has learned where the limit is
    kept = keep_default_within_noise(found, "f", Measure.of("binary"), tmp_path)
    assert kept.best_trial == found.best_trial
    assert "defaults of f are over the limits, 500 kB" in kept.notes[-1]


def test_where_no_trial_holds_the_limits_the_nearest_is_named(tmp_path):
    with pytest.raises(
        TrainingError, match=r"none of 3 trials holds the limits, 1 kB and 0.5 ms.*the nearest, \d+ \(f\)"
    ):
        sweep(tmp_path, 3, most_kilobytes=1.0, most_milliseconds=0.5)


@pytest.mark.parametrize("sampler", ["tpe", "nsgaii"])
def test_a_search_against_costs_finds_a_front(tmp_path, sampler):
    asked = {"sampler": sampler, "against": ("kilobytes",)}
    found = sweep(tmp_path, 25, **asked)
    assert found.best_params["leaves"] == max(t.params["leaves"] for t in found.trials)
    shown = found.front()
    assert len(shown) > 10  # each number of leaves is the best of its size
    assert [t.value for t in shown] == sorted(t.value for t in shown)
    assert {t.params["leaves"] < 100 for t in shown} == {True, False}
    assert found.importance.keys() <= {"leaves"}
    again = sweep(tmp_path, 30, **asked)
    assert again.resumed == 25
    assert len(again.trials) == 30


def record(number, value, kilobytes, milliseconds=1.0, **more):
    return TrialRecord(
        number=number,
        params={},
        value=value,
        kilobytes=kilobytes,
        milliseconds=milliseconds,
        learner="f",
        **more,
    )


def test_the_front_has_what_none_beats():
    trials = [
        record(0, 0.5, 10),
        record(1, 0.4, 20),
        record(2, 0.45, 30),
        record(3, 0.4, 20),
        record(4, 0.3, None),
    ]
    for against, direction, best in (
        (["kilobytes"], "minimize", [1, 3, 0]),
        (["kilobytes"], "maximize", [0]),
        ([], "minimize", [4]),
    ):
        found = SweepResult(metric="logloss", direction=direction, trials=trials, against=against).front()
        assert [t.number for t in found] == best


def test_what_was_not_measured_holds_no_limit():
    assert Aims(most_milliseconds=1.0).excess(TrialOutcome(0.1)) == {"milliseconds": 1.0}
    assert Aims(against=("kilobytes",)).costs(TrialOutcome(0.1)) == [float("inf")]
    assert Aims(most_kilobytes=100.0).excess(TrialOutcome(0.1, kilobytes=150.0)) == {"kilobytes": 0.5}


def test_an_ensemble_holds_the_limits_as_a_whole(tmp_path):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 3000).astype(float)
    rows = Rows(np.empty((3000, 0), np.float32), y, np.ones(3000), 3000)
    (tmp_path / "labels.npz").write_bytes(packed_labels(rows))
    measure, trials = Measure.of("binary"), []
    for i in range(4):  # each errs elsewhere
        answers = np.clip(0.5 + 0.25 * (2 * y - 1) + rng.normal(0, 0.2, 3000), 0.02, 0.98)
        (tmp_path / f"{i}.npz").write_bytes(packed(answers=answers))
        trials.append(record(i, measure.value(*measure.losses(answers, rows)), 100.0))
    from synml_dagster.tuning import SweepResult

    best = min(trials, key=lambda t: t.value)
    result = SweepResult(
        metric="logloss", direction="minimize", trials=trials, learner="f", best_trial=best.number
    )
    assert len(with_ensemble(result, measure, tmp_path, 4).ensemble) == 4
    small = result.model_copy(update={"most_kilobytes": 250.0})
    assert len(with_ensemble(small, measure, tmp_path, 4).ensemble) == 2


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"against": ["kilobytes"], "pruning": True}, "pruning does not go with against"),
        ({"against": ["kilobytes"], "sampler": "cmaes"}, "searches for one objective|not installed"),
        ({"against": ["bytes"]}, "'kilobytes' or 'milliseconds'"),
        ({"against": ["kilobytes", "kilobytes", "milliseconds"]}, "'kilobytes' is named twice"),
        ({"most_kilobytes": 0}, "greater than 0"),
    ],
)
def test_aims_that_do_not_go_together_are_refused(wrong, says):
    with pytest.raises((ValidationError, RuntimeError), match=says):
        SweepSpec(**wrong)


def test_nothing_is_stopped_half_way_where_quality_is_not_all():
    assert SweepSpec().prunes
    assert not SweepSpec(against=["milliseconds"]).prunes
    assert SweepSpec(most_kilobytes=5).prunes


def test_a_model_on_all_rows_that_is_larger_than_the_limit_is_refused():
    from synml_dagster.assets.model import _within
    from synml_dagster.learners.linear import LinearModel
    from synml_dagster.tuning import SweepResult

    model = LinearModel(text="x" * 3000, features=["a"])
    result = SweepResult(metric="logloss", direction="minimize", rows=200, most_kilobytes=2.0)
    with pytest.raises(
        TrainingError, match=r"the model takes 3 kB and sweep.most_kilobytes is 2.*which saw 200"
    ):
        _within(result, model, None, None, None)
    assert _within(result.model_copy(update={"most_kilobytes": 3.0}), model, None, None, None) == []
