"""Two processes that promote, or search one study, at the same moment."""

import subprocess
import sys
import threading

import pytest

from synml_dagster.errors import SetupError
from synml_dagster.resources import MLflowResource

SWEEP = """
import sys
from synml_dagster.tuning import Family, TrialOutcome, run_sweep
from synml_dagster.learners.space import ParameterRange
import optuna
print("ready", flush=True)
sys.stdin.readline()
result = run_sweep(lambda q: TrialOutcome(q.params["x"]), families=[Family("f", {"x": ParameterRange(low=0.0, high=1.0)})], storage=sys.argv[1],
    key={}, metric="m", maximize=False, trials=8, minutes=1)
print(len(result.trials), {t.state for t in result.trials}, flush=True)
"""


def test_sweeps_that_begin_at_the_same_moment_share_one_new_study(tmp_path):
    command = [sys.executable, "-c", SWEEP, str(tmp_path / "s.db")]
    sweeps = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for sweep in sweeps:
        assert sweep.stdout.readline() == "ready\n"
    for sweep in sweeps:
        sweep.stdin.write("go\n")
        sweep.stdin.flush()
    said = [sweep.communicate(timeout=120)[0].split(maxsplit=1) for sweep in sweeps]
    assert all(sweep.returncode == 0 for sweep in sweeps)
    assert [int(count) for count, _ in said] == [8, 8]
    assert {states.strip() for _, states in said} == {"{'complete'}"}


def test_one_process_at_a_time_decides_about_a_model(tmp_path):
    mlflow, order, inside = MLflowResource(data_dir=str(tmp_path)), [], threading.Event()

    def other():
        inside.wait(10)
        with mlflow.deciding("p"):
            order.append("other")

    thread = threading.Thread(target=other)
    thread.start()
    with mlflow.deciding("p"):
        inside.set()
        with mlflow.deciding("another model"):
            order.append("first")
        with (
            pytest.raises(SetupError, match="another process has been promoting a version of 'p'"),
            mlflow.deciding("p", seconds=0.1),
        ):
            pass
        order.append("first")
    thread.join(10)
    assert order == ["first", "first", "other"]
