from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from pydantic import ValidationError

from synml_dagster.errors import ConfigError, TrainingError
from synml_dagster.learners import ParameterRange
from synml_dagster.tuning import Candidate, Family, SweepResult, SweepSpec, TrialOutcome, run_sweep

SPACE = {"x": ParameterRange(low=-10.0, high=10.0), "n": ParameterRange(low=1, high=50, log=True)}


def bowl(params):
    return TrialOutcome(value=(params["x"] - 3) ** 2 + 0.01 * params["n"], rounds=7)


def one(space, start=None):
    return [Family("bowl", space, [Candidate("default", start)] if start else [])]


def sweep(train, path, trials, **more):
    given = {
        "families": one(SPACE, more.pop("start", None)),
        "storage": path,
        "key": {"rows": 1},
        "metric": "l2",
        "maximize": False,
        "trials": trials,
        "minutes": 5,
    }
    return run_sweep(lambda question: train(question.params), **(given | more))


def test_the_sampler_finds_the_bottom_of_a_bowl(tmp_path):
    found = sweep(bowl, tmp_path / "s.db", 30)
    assert found.best_value < 2
    assert len(found.trials) == 30
    assert set(found.importance) == {"x", "n"}
    assert found.importance["x"] > found.importance["n"]


def test_the_first_trial_is_the_given_start_so_no_sweep_ends_below_it(tmp_path):
    found = sweep(bowl, tmp_path / "s.db", 3, start={"x": 3.0, "n": 1})
    assert found.trials[0].params == {"x": 3.0, "n": 1}
    assert found.best_trial == 0


def test_the_same_seed_gives_the_same_trials(tmp_path):
    first, second = (sweep(bowl, tmp_path / f"{i}.db", 8, seed=4) for i in range(2))
    assert [t.params for t in first.trials] == [t.params for t in second.trials]


def test_a_sweep_that_stopped_goes_on_and_asks_only_what_is_missing(tmp_path):
    sweep(bowl, tmp_path / "s.db", 4)
    asked = []
    found = sweep(lambda p: asked.append(p) or bowl(p), tmp_path / "s.db", 6)
    assert len(asked) == 2
    assert found.resumed == 4
    assert len(found.trials) == 6


def test_other_rows_start_another_study(tmp_path):
    sweep(bowl, tmp_path / "s.db", 4)
    assert sweep(bowl, tmp_path / "s.db", 4, key={"rows": 2}).resumed == 0


def test_a_sweep_whose_process_was_killed_goes_on(tmp_path):
    script = textwrap.dedent(
        """
        import sys, time
        from tests.tuning.test_sweep import sweep, bowl
        def train(params):
            if train.calls == 2:
                print("in the third trial", flush=True)
                time.sleep(60)
            train.calls += 1
            return bowl(params)
        train.calls = 0
        sweep(train, sys.argv[1], 5)
        """
    )
    storage = str(tmp_path / "s.db")
    process = subprocess.Popen([sys.executable, "-c", script, storage], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().strip() == "in the third trial"
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    found = sweep(bowl, storage, 5)
    assert found.resumed == 2
    assert sum(t.state == "complete" for t in found.trials) == 5
    assert [t.reason for t in found.trials if t.state == "fail"] == ["killed"]


def test_no_trial_starts_after_the_minutes_are_over(tmp_path):
    def slow(params):
        time.sleep(0.3)
        return bowl(params)

    assert len(sweep(slow, tmp_path / "s.db", 50, minutes=0.01).trials) < 5


def test_trials_that_keep_failing_end_the_sweep_with_the_reason(tmp_path):
    def broken(params):
        raise ValueError("no such objective")

    with pytest.raises(TrainingError, match=r"3 trials in a row failed.*no such objective"):
        sweep(broken, tmp_path / "s.db", 10)


def test_an_empty_space_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="nothing to search"):
        sweep(bowl, tmp_path / "s.db", 3, families=one({}))


def test_the_result_survives_the_disk(tmp_path):
    found = sweep(bowl, tmp_path / "s.db", 5)
    found.save(tmp_path)
    assert SweepResult.load(tmp_path) == found
    assert [v for _, v in found.best_so_far()] == sorted((v for _, v in found.best_so_far()), reverse=True)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"low": 2, "high": 1}, "above high"),
        ({"low": 0.0, "high": 1.0, "log": True}, "log range needs a low above 0"),
        ({"choices": []}, "cannot be empty"),
        ({"low": 1}, "needs low and high"),
        ({"low": 1, "high": 2, "choices": [1]}, "either choices"),
    ],
)
def test_a_range_that_makes_no_sense_is_refused(wrong, says):
    with pytest.raises(ValidationError, match=says):
        ParameterRange(**wrong)


def test_unknown_keys_of_the_sweep_are_refused():
    with pytest.raises(ValidationError, match="trails"):
        SweepSpec(trails=3)
