"""One MLflow run belongs to one Dagster run, and aliases in the registry say which model is used."""

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from synml_dagster.errors import ConfigError, ModelError, SetupError
from synml_dagster.resources import MLflowResource
from synml_dagster.resources.mlflow_run import RUN_TAG, STEP_TAG, settle


@pytest.fixture(autouse=True)
def own_data_directory(monkeypatch, tmp_path):
    monkeypatch.setenv("SYNML_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def run(assets, instance, mlflow=None, **options):
    return dg.materialize(
        assets,
        resources={"mlflow": mlflow or MLflowResource()},
        instance=instance,
        raise_on_error=False,
        **options,
    )


def runs_of(dagster_run_id: str) -> list:
    client = MLflowResource().client
    experiment = client.get_experiment_by_name("synml_dagster")
    return [
        r
        for r in client.search_runs([experiment.experiment_id])
        if r.data.tags.get(RUN_TAG) == dagster_run_id
    ]


def bundle(folder: Path, text: str = "graph") -> Path:
    (folder / "sub").mkdir(parents=True)
    (folder / "model.onnx").write_text(text)
    (folder / "sub" / "plan.json").write_text("{}")
    return folder


def test_all_steps_of_a_dagster_run_log_to_one_mlflow_run(instance, tmp_path):
    @dg.asset
    def first(context: dg.AssetExecutionContext, mlflow: MLflowResource) -> None:
        with mlflow.run(context) as run:
            run.log_params({"rounds": 10, "long": "x" * 9000})
            run.log_params({"rounds": 11})  # MLflow refuses a change; the first value stays
            run.log_metrics({"ndcg@5": 0.5, "nothing": None, "nan": float("nan")})

    @dg.asset(deps=[first])
    def second(context: dg.AssetExecutionContext, mlflow: MLflowResource) -> None:
        (tmp_path / "note.txt").write_text("hello")
        with mlflow.run(context) as run:
            run.log_history({"train/auc": [0.5, 0.7, 0.9]})
            run.set_tags({"stage": "second"})
            run.log_artifacts(tmp_path / "note.txt")

    result = run([first, second], instance)
    assert result.success
    (logged,) = runs_of(result.run_id)
    assert logged.info.status == "FINISHED"
    assert logged.data.params["rounds"] == "10"
    assert logged.data.metrics == {"ndcg_at_5": 0.5, "train/auc": 0.9}
    assert logged.data.tags["stage"] == "second"
    client = MLflowResource().client
    assert [f.path for f in client.list_artifacts(logged.info.run_id)] == ["note.txt"]
    assert (tmp_path / "data" / "mlflow" / "artifacts").is_dir()
    metadata = result.asset_materializations_for_node("first")[0].metadata
    assert metadata["mlflow/run_id"].value == logged.info.run_id
    assert logged.info.run_id in instance.get_run_by_id(result.run_id).tags["synml/mlflow"]


def test_a_failed_step_fails_the_mlflow_run_until_a_retry_heals_it(instance, tmp_path):
    @dg.asset
    def good(context: dg.AssetExecutionContext, mlflow: MLflowResource) -> None:
        with mlflow.run(context) as run:
            run.log_metrics({"a": 1})

    @dg.asset
    def inside(context: dg.AssetExecutionContext, mlflow: MLflowResource) -> None:
        with mlflow.run(context):
            raise ValueError("boom")

    @dg.asset(deps=[good])
    def outside(context: dg.AssetExecutionContext, mlflow: MLflowResource) -> None:
        raise ValueError("boom")

    @dg.asset(retry_policy=dg.RetryPolicy(max_retries=1))
    def healed(context: dg.AssetExecutionContext, mlflow: MLflowResource) -> None:
        with mlflow.run(context):
            if context.retry_number == 0:
                raise ValueError("boom")

    for assets, status in [([inside], "FAILED"), ([good, outside], "FAILED"), ([healed], "FINISHED")]:
        result = run(assets, instance)
        (logged,) = runs_of(result.run_id)
        assert logged.info.status == status, assets


def test_a_step_that_fails_before_mlflow_was_used_makes_no_store(instance, tmp_path):
    @dg.asset
    def broken(mlflow: MLflowResource) -> None:
        raise ValueError("boom")

    assert not run([broken], instance).success
    assert not (tmp_path / "data").exists()


_PARALLEL = """
import dagster as dg
from synml_dagster.resources import MLflowResource

def build(i):
    @dg.asset(name=f"part{i}")
    def part(context: dg.AssetExecutionContext, mlflow: MLflowResource) -> None:
        with mlflow.run(context) as run:
            run.log_metrics({f"m{i}": float(i)})
    return part

defs = dg.Definitions(
    assets=[build(i) for i in range(3)],
    jobs=[dg.define_asset_job("all_parts")],
    resources={"mlflow": MLflowResource()},
)

def job():
    return defs.resolve_job_def("all_parts")

if __name__ == "__main__":
    with dg.DagsterInstance.get() as instance:
        result = dg.execute_job(
            dg.reconstructable(job), instance=instance,
            run_config={"execution": {"config": {"multiprocess": {"max_concurrent": 3}}}},
        )
        print("RUN", result.run_id, result.success)
"""


@pytest.mark.slow
def test_three_steps_in_processes_of_their_own_share_one_mlflow_run(tmp_path):
    """The store does not exist before, so that its creation is raced for, too."""
    (tmp_path / "home").mkdir()
    script = tmp_path / "parallel.py"
    script.write_text(textwrap.dedent(_PARALLEL))
    environment = os.environ | {"DAGSTER_HOME": str(tmp_path / "home"), "DAGSTER_DISABLE_TELEMETRY": "yes"}
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=400,
        env=environment,
        cwd=tmp_path,
        check=False,
    )
    told = [line.split() for line in done.stdout.splitlines() if line.startswith("RUN")]
    assert told, done.stderr[-3000:]
    assert told[0][2] == "True", done.stderr[-3000:]
    (logged,) = runs_of(told[0][1])
    assert logged.info.status == "FINISHED"
    assert logged.data.metrics == {"m0": 0.0, "m1": 1.0, "m2": 2.0}
    assert "alembic" not in done.stderr + done.stdout
    assert "mlflow.store" not in done.stderr + done.stdout


def test_two_steps_that_end_at_once_leave_the_run_finished(instance):
    client, ids = MLflowResource().client, []

    @dg.asset
    def first(context: dg.AssetExecutionContext, mlflow: MLflowResource) -> None:
        with mlflow.run(context) as run:
            ids.append(run.run_id)

    run([first], instance)

    class Slow:
        """A client whose word that another step still runs arrives after that step has ended."""

        def __getattr__(self, name):
            return getattr(client, name)

        def update_run(self, run_id, status):
            client.set_tag(run_id, f"{STEP_TAG}second", "finished")
            settle(client, run_id)
            client.update_run(run_id, status=status)

    client.set_tag(ids[0], f"{STEP_TAG}second", "running")
    assert settle(Slow(), ids[0]) == "FINISHED"
    assert client.get_run(ids[0]).info.status == "FINISHED"


def test_versions_are_registered_from_a_directory_and_aliases_move(instance, tmp_path):
    mlflow = MLflowResource()
    assert mlflow.champion("adult") is None
    made = []

    @dg.asset
    def champion(context: dg.AssetExecutionContext, mlflow: MLflowResource) -> None:
        with mlflow.run(context) as run:
            for i in (1, 2):
                folder = bundle(tmp_path / f"bundle{i}", f"graph {i}")
                made.append(run.register("adult", folder, description=f"number {i}"))
        mlflow.set_alias("adult", "champion", made[0])
        mlflow.set_alias("adult", "challenger", made[1].version)

    result = run([champion], instance)
    assert result.success
    held = mlflow.champion("adult")
    assert held is not None
    assert (held.version, held.aliases, held.description) == ("1", ("champion",), "number 1")
    assert held.run_id == runs_of(result.run_id)[0].info.run_id
    for version in made:
        folder = Path(mlflow.download(version))
        assert (folder / "model.onnx").read_text() == f"graph {version.version}"
        assert (folder / "sub" / "plan.json").exists()
    mlflow.set_alias("adult", "champion", made[1])
    assert mlflow.champion("adult").version == "2"
    assert mlflow.aliased("adult", "challenger").version == "2"
    with pytest.raises(ModelError, match="'adult' has no version '9'"):
        mlflow.set_alias("adult", "champion", 9)


def test_what_cannot_be_registered_is_refused(tmp_path):
    from synml_dagster.resources.model_registry import register

    client = MLflowResource().client
    pickled = bundle(tmp_path / "pickled")
    (pickled / "model.pkl").write_text("x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"model\.pkl.* look like pickles"):
        register(client, "r", "adult", pickled, None)
    with pytest.raises(ConfigError, match="there is nothing to register"):
        register(client, "r", "adult", tmp_path / "empty", None)
    with pytest.raises(ConfigError, match="neither a slash nor a colon"):
        register(client, "r", "a/b", bundle(tmp_path / "good"), None)


def test_a_store_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(SetupError, match=r"no tracking store at 'http://127.0.0.1:9'"):
        _ = MLflowResource(tracking_uri="http://127.0.0.1:9").client


def test_a_fresh_store_is_copied_from_the_first_one_made_on_this_host(tmp_path, monkeypatch):
    """MLflow accepts the copy as its own, and its own way of making one gives the same tables."""
    import sqlite3

    from synml_dagster.resources.mlflow_store import create_store

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    create_store(tmp_path / "a" / "mlflow.db")
    (kept,) = (tmp_path / "cache" / "synml_dagster").iterdir()
    create_store(tmp_path / "b" / "mlflow.db")

    def tables(file: Path) -> list:
        with sqlite3.connect(file) as connection:
            return sorted(connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"))

    assert tables(tmp_path / "a" / "mlflow.db") == tables(tmp_path / "b" / "mlflow.db") == tables(kept)
    client = MLflowResource(tracking_uri=f"sqlite:///{tmp_path}/b/mlflow.db").client
    client.create_experiment("x")
    assert len(client.search_experiments()) == 2
    create_store(tmp_path / "b" / "mlflow.db")  # what is there stays
    assert len(client.search_experiments()) == 2


def test_runs_below_a_run_are_written_beside_the_work_and_a_lost_one_is_said(instance, monkeypatch):
    from synml_dagster.resources.mlflow_children import Child, ChildRuns

    warned: list[str] = []

    @dg.asset
    def sweep(context: dg.AssetExecutionContext, mlflow: MLflowResource) -> None:
        with mlflow.run(context) as run, ChildRuns(run, warned.append) as children:
            children.add(Child("trial 0", {"x": 1}, {"loss": 0.5, "spread": None}, {"synml.trial": "0"}))
            children.add(Child("trial 1", {"x": 2}, {"loss": None}, {}, failed=True))
            children.add(Child("trial 2", {"x": 2}, {"loss": "no number"}, {}))  # type: ignore[dict-item]
            run.log_pictures({"each trial, and the best": b"png"})

    monkeypatch.setenv("DAGSTER_UI_URL", "http://dagster.example.org:3000/")
    result = run([sweep], instance)
    assert result.success
    (parent,) = runs_of(result.run_id)
    client = MLflowResource().client
    below = client.search_runs(
        [parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    )
    states = {r.info.run_name: (r.info.status, r.data.metrics) for r in below}
    assert states["trial 0"] == ("FINISHED", {"loss": 0.5})
    assert states["trial 1"] == ("FAILED", {})
    assert len(states) == 2  # no half of the third
    assert [
        w for w in warned if "1 of 3 runs below this one are missing: 1 could not be written, ValueError" in w
    ]
    assert [f.path for f in client.list_artifacts(parent.info.run_id, "pictures")] == [
        "pictures/each_trial_and_the_best.png"
    ]
    assert parent.data.tags["dagster.run_url"] == f"http://dagster.example.org:3000/runs/{result.run_id}"


def test_the_end_waits_for_runs_below_a_run_as_long_as_they_get_on_and_counts_those_that_are_missing():
    from synml_dagster.resources.mlflow_children import Child, ChildRuns

    class Server:
        """Writes the first, refuses the second, and is then away for a while, or for good."""

        def __init__(self, away):
            self.away, self.written = away, []

        def child(self, name, *_):
            time.sleep(0.25)
            if name == "1":
                raise OSError("no room")
            if name == "3":
                time.sleep(self.away)
            self.written.append(name)

    for away, missing in ((0.5, "1 of 6"), (2, "4 of 6")):
        warned, server = [], Server(away)
        with ChildRuns(server, warned.append, patience=1) as children:
            for number in range(6):
                children.add(Child(str(number), {}, {}, {}))
        refused = (
            f"mlflow: {missing} runs below this one are missing: 1 could not be written, OSError: no room"
        )
        assert warned == [refused + ("; 3 were not written within 1 s" if away == 2 else "")]
        assert len(server.written) == (5 if away == 0.5 else 2)


def test_an_asset_names_the_experiment_of_its_runs(instance):
    @dg.asset(metadata={"mlflow/experiment": "marketing"})
    def named(context: dg.AssetExecutionContext, mlflow: MLflowResource) -> None:
        with mlflow.run(context) as run:
            run.log_metrics({"a": 1.0})

    @dg.asset(deps=[named], metadata={"mlflow/experiment": "marketing"})
    def broken(context: dg.AssetExecutionContext, mlflow: MLflowResource) -> None:
        raise ValueError("boom")

    result = run([named, broken], instance)
    client = MLflowResource().client
    found = client.search_runs([client.get_experiment_by_name("marketing").experiment_id])
    assert [(r.data.tags[RUN_TAG], r.info.status) for r in found] == [(result.run_id, "FAILED")]
    assert client.get_experiment_by_name("synml_dagster") is None
