"""Two runs of one pipeline at the same time, and what one leaves for the next."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from synml_dagster.errors import SetupError
from synml_dagster.learners.space import ParameterRange
from synml_dagster.resources.data_directory import DataDirectory
from synml_dagster.resources.model_registry import ModelVersion, download
from synml_dagster.tables import publish_table
from synml_dagster.tuning import Candidate, Family, TrialOutcome, run_sweep

SWEEP = """
import sys, time
from synml_dagster.tuning import Candidate, Family, TrialOutcome, run_sweep
from synml_dagster.learners.space import ParameterRange
def train(question):
    print("begun", flush=True)
    time.sleep(60)
family = Family("f", {"x": ParameterRange(low=0.0, high=1.0)}, [Candidate("default", {"x": 0.5})])
run_sweep(train, families=[family], storage=sys.argv[1], key={}, metric="m", maximize=False, trials=2, minutes=1)
"""


def sweep(storage, trials=2, minutes=1.0):
    seen: list[float] = []
    result = run_sweep(
        lambda q: (seen.append(q.params["x"]), TrialOutcome(q.params["x"]))[1],
        families=[Family("f", {"x": ParameterRange(low=0.0, high=1.0)}, [Candidate("default", {"x": 0.5})])],
        storage=storage,
        key={},
        metric="m",
        maximize=False,
        trials=trials,
        minutes=minutes,
    )
    return seen, result


def test_a_trial_that_another_process_runs_is_left_alone_and_taken_over_when_it_is_killed(tmp_path):
    storage = tmp_path / "s.db"
    other = subprocess.Popen([sys.executable, "-c", SWEEP, str(storage)], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "begun\n"
        _, result = sweep(storage, minutes=0.05)  # which would wait for the other's
        assert 0 not in [t.number for t in result.trials]  # it still runs
    finally:
        other.kill()
        other.wait()
    seen, result = sweep(storage, trials=3)
    assert 0.5 in seen
    assert [t.state for t in result.trials if t.number == 0] == ["complete", "fail"]


def test_a_study_lives_on_this_host_where_the_data_directory_is_a_store(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kept = DataDirectory("s3://bucket/data").kept_here("p", "sweep", "studies.db")
    assert kept.is_relative_to(tmp_path)
    assert kept != DataDirectory("s3://other/data").kept_here("p", "sweep", "studies.db")
    assert DataDirectory(str(tmp_path)).kept_here("p", "s.db") == tmp_path / "p" / "s.db"


def test_rows_that_other_disks_hold_are_not_published(classic_spark, tmp_path, monkeypatch):
    from synml_dagster.tables import publish as publishing

    whole = publishing._write

    def loses_a_file(df, path, *more):
        counts = whole(df, path, *more)
        next(Path(path).glob("*.parquet")).unlink()  # as on a host whose disk this process does not see
        return counts

    monkeypatch.setattr(publishing, "_write", loses_a_file)
    with pytest.raises(SetupError, match="share"):
        publish_table(classic_spark.range(100).repartition(4), tmp_path / "t")
    assert not list((tmp_path / "t").rglob("*.parquet"))


def test_downloads_of_two_servers_are_two(tmp_path, monkeypatch):
    import mlflow

    def fetched(artifact_uri, dst_path, tracking_uri):
        made = Path(dst_path) / "model"
        made.mkdir()
        (made / "from").write_text(tracking_uri)
        return str(made)

    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", fetched)
    version = ModelVersion("p", "1", "mlflow-artifacts:/p/1", "run")
    places = {download(None, server, version, tmp_path) for server in ("http://a", "http://b", "http://a")}  # type: ignore[arg-type]
    assert len(places) == 2
    assert {(Path(p) / "from").read_text() for p in places} == {"http://a", "http://b"}
