"""A step is tried once more where what failed may pass by itself, and not where it would fail again."""

import dagster as dg
import pytest

from synml_dagster.assets.stage import clearly
from synml_dagster.automation import train_job
from synml_dagster.errors import ConfigError, DataError, SetupError, SourceError
from synml_dagster.io_managers import BundleIOManager

PLAIN = {"name": "p", "source": "t.csv", "label": "b"}


def tried(problem, tmp_path, monkeypatch, at_storing=False):
    """How often a step of the pipeline's job was tried, and the first line of its last failure."""
    monkeypatch.setenv("SYNML_DATA_DIR", str(tmp_path))
    monkeypatch.setattr("synml_dagster.automation.jobs.ONCE_MORE", dg.RetryPolicy(max_retries=1))
    calls = []

    @dg.asset(key=["p", "raw"], group_name="p", io_manager_key="bundles")
    @clearly
    def raw(context: dg.AssetExecutionContext):
        calls.append(1)
        if at_storing:
            return "no bundle"
        raise problem

    defs = dg.Definitions(assets=[raw], jobs=[train_job("p")], resources={"bundles": BundleIOManager()})
    done = defs.resolve_job_def("p_train").execute_in_process(raise_on_error=False)
    (failure,) = [e for e in done.all_events if e.is_step_failure]
    return len(calls), str(failure.step_failure_data.error.message).splitlines()[0]


@pytest.mark.parametrize(
    ("problem", "times"),
    [
        (SetupError("the server is away"), 2),
        (SourceError("the database restarts"), 2),
        (OSError("a disk that is remote"), 2),
        (ConfigError("no such column"), 1),
        (DataError("no such value"), 1),
    ],
)
def test_what_may_pass_is_tried_once_more(problem, times, tmp_path, monkeypatch):
    count, said = tried(problem, tmp_path, monkeypatch)
    assert count == times
    assert str(problem) in said


def test_what_cannot_be_stored_is_said_first_and_not_tried_again(tmp_path, monkeypatch):
    count, said = tried(None, tmp_path, monkeypatch, at_storing=True)
    assert count == 1
    assert "ConfigError: p/raw returned a str, and its IO manager stores objects" in said
