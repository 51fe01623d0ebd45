"""Two processes that promote, or search one study, at the same moment."""

import subprocess
import sys
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from synml_dagster.assets import champion as stage
from synml_dagster.checks import PromoteSpec
from synml_dagster.errors import SetupError
from synml_dagster.resources import MLflowResource, ModelVersion

SWEEP = """
import sys
from synml_dagster.tuning import TrialOutcome, run_sweep
from synml_dagster.learners.space import ParameterRange
import optuna
print("ready", flush=True)
sys.stdin.readline()
result = run_sweep(lambda p: TrialOutcome(p["x"]), space={"x": ParameterRange(low=0.0, high=1.0)}, storage=sys.argv[1],
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
    assert all(8 <= int(count) <= 9 for count, _ in said)  # one may have been under way elsewhere
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


class Registry(MLflowResource):
    """A registry in which another run promotes its version between the comparison and the promotion."""

    seen: list[str]
    moved: list[str]

    @contextmanager
    def run(self, context):
        yield SimpleNamespace(register=lambda name, *_, **__: ModelVersion(name, "9", "file:/nowhere"))

    def champion(self, name):
        number = self.seen.pop(0) if len(self.seen) > 1 else self.seen[0]
        return ModelVersion(name, number, "file:/nowhere") if number != "none" else None

    def promote(self, name, version):
        self.moved.append(version.version)

    def set_alias(self, name, alias, version): ...

    def rolled_back_from(self, name, holder):
        return None

    def download(self, version):
        return "nowhere"


def measured(auc):
    return SimpleNamespace(metrics={"auc": auc}, baseline={"auc": 0.5}, rows=100)


@pytest.mark.parametrize(
    ("seen", "replaces", "reason", "now"),
    [
        (["1"], None, "the champion's 0.7 on the same rows", "9"),
        (["1", "2"], None, "version 2 became champion while this one was compared with version 1", "2"),
        (["none", "2"], None, "version 2 became champion while this one was compared with no version", "2"),
        (["1", "2"], True, "promote.replace asks for it", "9"),
    ],
)
def test_a_champion_that_came_meanwhile_is_not_replaced_unseen(
    tmp_path, monkeypatch, seen, replaces, reason, now
):
    monkeypatch.setattr(stage, "write_bundle", lambda *_: None)
    monkeypatch.setattr(stage, "_compared", lambda *_: (measured(0.7), None))
    monkeypatch.setattr(stage, "_may_have_learnt_them", lambda *_: "")
    rule = PromoteSpec(metric="auc", replace=replaces)
    registry = Registry(data_dir=str(tmp_path), seen=seen, moved=[])
    made = stage.build_champion("p", rule).op.compute_fn.decorated_fn(
        SimpleNamespace(log=SimpleNamespace(warning=print, info=print), add_output_metadata=print),
        SimpleNamespace(session=None),
        registry,
        None,
        SimpleNamespace(task="binary"),
        None,
        measured(0.8),
        None,
    )
    assert reason in made.reason
    assert made.champion_version == now
    assert registry.moved == (["9"] if now == "9" else [])
