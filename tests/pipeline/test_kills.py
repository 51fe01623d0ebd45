"""kill -9 within each asset of a pipeline, and once more from failure: the same outputs, and no reader ever saw half of one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synml_dagster import MLPipeline
from synml_dagster.errors import SourceError
from synml_dagster.tables import open_table
from synml_dagster.tables.versions import MANIFEST, VersionedDirectory
from tests.pipeline.killed import JOB
from tests.pipeline.shop import ROWS, customers
from tests.polling import Polling

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

ROOT = Path(__file__).parents[2]
PATIENCE = 900
SHARE = 0.3
"""Of what a step takes when nobody disturbs it, after which it is killed, unless it writes before that."""
TABLES = ("raw", "features", "predictions", "contributions", "shadow_predictions")
FOUND = (
    "data_balance", "evaluation", "fairness", "explanations", "effects", "attributions", "live_evaluation",
)  # fmt: skip
"""What is known of the model and its rows, and says nothing of when or by which run."""
LOOKS = 10
"""How often each table and bundle has to be found whole, at least."""
WHEN = {"scored_at"}  # the one column that another run has otherwise


def description(folder, rounds):
    return {
        "name": "shop",
        "source": str(folder / "customers.csv"),
        "label": "leaves",
        "features": {"exclude": ["id"]},
        "sweep": {"trials": 4},
        "train": {"rounds": rounds, "early_stopping": 0},
        "score": {"source": str(folder / "waiting.csv")},
        "explain": {
            "rows": 20,
            "contributions": True,
            "effects": {"columns": ["age"], "points": 5, "rows": 60},
            "attributions": {"rows": 5, "background": 10},
        },
        "balance": {"columns": ["city"], "reweigh": True},
        "drift": {},
        "checks": {"nulls": {}, "ranges": {}, "predictions": {}},
        "live": {"key": ["id"], "minimum_rows": 50},
        "promote": {"shadow": {"runs": 1}},
    }


STEPS = [
    key.path[-1]
    for asset in MLPipeline.model_validate(description(Path("/nowhere"), 15)).assets()
    for key in sorted(asset.keys, key=lambda key: key.path[-1] != "predictions")
]
BUNDLES = tuple(step for step in STEPS if step not in TABLES)


SERVING = """
import json, sys
from synml_dagster.resources import MLflowResource
mlflow = MLflowResource(data_dir=sys.argv[1], tracking_uri=f"sqlite:///{sys.argv[1]}/mlflow/mlflow.db")
version = mlflow.champion("shop")
print(json.dumps([version.version, mlflow.download(version)]))
"""


class Place:
    """A data directory and a Dagster home of their own, in which one pipeline is run in processes of its own."""

    def __init__(self, folder):
        self.folder = folder
        if not folder.exists():
            (folder / "home").mkdir(parents=True)
            (folder / "home" / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
            customers().to_csv(folder / "customers.csv", index=False)
            customers().drop(columns="leaves").to_csv(folder / "waiting.csv", index=False)
        self.data = folder / "data" / "shop"
        self.environment = {
            key: value for key, value in os.environ.items() if key not in ("SPARK_REMOTE", "MLFLOW_TRACKING_URI")
        } | {
            "DAGSTER_HOME": str(folder / "home"),
            "SYNML_DATA_DIR": str(folder / "data"),
            "SPARK_MASTER": "local[2]",
            "PYSPARK_PYTHON": sys.executable,
        }  # fmt: skip
        self.instance = dg.DagsterInstance.from_config(str(folder / "home"))

    def start(self, rounds, job, *run):
        file = self.folder / f"description{rounds}.json"
        file.write_text(json.dumps(description(self.folder, rounds)))
        with (self.folder / "process.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.pipeline.killed", str(file), *run], cwd=ROOT,
                env=self.environment | {JOB: job}, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def run(self, rounds, *run, job="train"):
        """Run to the end; return the Dagster run."""
        started = self.start(rounds, job, *run)
        assert started.wait(PATIENCE) == 0, self.log()
        return self.last()

    def killed_in(self, step, after, rounds, *run, job="train"):
        """Kill Python, the JVM and the workers `after` seconds of a step, or earlier as it begins to write; return the Dagster run."""
        written = self.data / step / "versions"
        before = names(written)
        known = {record.dagster_run.run_id for record in self.instance.get_run_records()}
        started, end = self.start(rounds, job, *run), time.monotonic() + PATIENCE
        while True:
            assert started.poll() is None, f"{step} never started: {self.log()}"
            assert time.monotonic() < end, self.log()
            made = [r.dagster_run for r in self.instance.get_run_records(limit=1)]
            if made and made[0].run_id not in known and self.events(made[0], "STEP_START", step):
                break
            time.sleep(0.05)
        end = time.monotonic() + after
        while time.monotonic() < end and names(written) == before:
            time.sleep(0.005)
        os.killpg(started.pid, signal.SIGKILL)
        started.wait(30)
        assert not self.events(made[0], "STEP_SUCCESS", step), f"{step} had ended before it was killed"
        self.instance.report_run_failed(made[0], "its process was killed")
        return self.last()

    def events(self, run, kind, step=None):
        found = self.instance.all_logs(run.run_id, of_type=dg.DagsterEventType(kind))
        return [e for e in found if step is None or e.dagster_event.step_key == step_of(step)]

    def last(self):
        return self.instance.get_run_records(limit=1)[0].dagster_run

    def seconds(self, run):
        return {
            s.step_key: s.end_time - s.start_time
            for s in self.instance.get_run_step_stats(run.run_id)
            if s.start_time and s.end_time
        }

    def log(self):
        return (self.folder / "process.log").read_text()[-4000:]

    def outputs(self):
        """What a user has of the pipeline: tables without the moment of scoring, the model's text, and who serves."""
        tables = {name: read(self.data / name) for name in TABLES}
        serving, files = self.serving()
        found = {
            f"{asset}/{path.name}": path.read_bytes()
            for asset in FOUND
            for path in sorted(self.version(asset).iterdir())
            if path.name != MANIFEST
        }
        return (
            tables
            | found
            | {
                "champion": serving,
                "graph": graph(files / "model.onnx"),
                "model": (self.version("model") / "booster.txt").read_text(),
                "trials": [
                    (t["params"], t["value"], t["state"])
                    for t in json.loads((self.version("sweep") / "sweep.json").read_text())["trials"]
                ],
            }
        )

    def serving(self):
        """The champion's version, and where its files are.

        Asked in a process of its own: one that has opened the registry's file keeps it after another has taken its place.
        """
        told = subprocess.run(
            [sys.executable, "-c", SERVING, str(self.folder / "data")],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        version, files = json.loads(told.stdout.splitlines()[-1])
        return version, Path(files)

    def version(self, asset):
        return Path((there := VersionedDirectory(self.data / asset)).path(there.current()))


def names(folder):
    return {entry.name for entry in os.scandir(folder)} if folder.is_dir() else set()


def step_of(asset):
    return "shop__predictions" if asset == "contributions" else f"shop__{asset}"


def read(root):
    """The rows of the current version, file by file as they lie, without the moment of scoring."""
    table = open_table(root)
    found = pa.concat_tables(pq.read_table(path) for path in table.files().paths) if table.rows else None
    return None if found is None else found.drop([c for c in WHEN if c in found.column_names])


def graph(file):
    """The exported graph, without the moment at which it was made."""
    import onnx

    found = onnx.load(str(file))
    kept = [entry for entry in found.metadata_props if entry.key != "created"]
    del found.metadata_props[:]
    found.metadata_props.extend(kept)
    return found.SerializeToString(deterministic=True)


class Reader(Polling):
    """Opens each table and each bundle again and again, as anybody may: what it finds is whole."""

    def __init__(self, data):
        self.data, self.seen, self.wrong = data, {}, []

    def look(self):
        for name in (*TABLES, *BUNDLES):
            try:
                told = self._table(name) if name in TABLES else self._bundle(name)
            except SourceError as problem:
                if name not in self.seen:
                    continue  # nothing was ever published there
                told = repr(problem)
            except Exception as problem:
                told = repr(problem)
            self.seen[name] = self.seen.get(name, 0) + 1
            if told:
                self.wrong.append(f"{name}: {told}")

    def _table(self, name):
        table = open_table(self.data / name)
        rows = sum(pq.read_table(path).num_rows for path in table.files().paths)
        return None if rows == table.rows == ROWS else f"{table.version}: {rows} rows of {table.rows}"

    def _bundle(self, name):
        there = VersionedDirectory(self.data / name)
        manifest = there.manifest()
        folder = Path(there.path(manifest["version"]))
        sizes = {file: (folder / file).stat().st_size for file in manifest["files"]}
        return None if sizes == manifest["files"] else f"{folder.name}: {sizes} of {manifest['files']}"


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """Where all runs begin, with a champion of one round, and a copy of it."""
    folder = tmp_path_factory.mktemp("kills")
    Place(folder / "place").run(1)
    shutil.copytree(folder / "place", folder / "begun", symlinks=True)
    return folder


@pytest.fixture(scope="module")
def undisturbed(begun):
    """The run that all are compared with: its outputs, and how long its steps took."""
    place = Place(begun / "place")
    seconds = place.seconds(place.run(15))
    place.run(15, job="score")  # by the new champion, whose answers are then measured
    seconds |= place.seconds(place.run(15, job="measure"))
    outputs = place.outputs()
    assert outputs["champion"] == "2"  # the shadow has let it through
    # What stores remember of places are whole paths: the runs that are killed have theirs at the same.
    shutil.rmtree(place.folder)
    shutil.copytree(begun / "begun", place.folder, symlinks=True)
    return outputs, seconds


def test_killed_within_each_asset_the_run_goes_on_to_the_same_outputs(begun, undisturbed):
    expected, seconds = undisturbed
    place = Place(begun / "place")
    order = [
        s.step_key.removeprefix("shop__") for s in place.instance.get_run_step_stats(place.last().run_id)
    ]
    trained = {step_of(s).removeprefix("shop__") for s in STEPS} - {"live_evaluation"}
    assert trained <= set(order)  # beside them there are steps of checks
    with Reader(place.data) as reader:
        for job, steps in (("train", sorted(trained, key=order.index)), ("measure", ["live_evaluation"])):
            run = None
            for step in steps:
                again = [run.run_id] if run else []
                run = place.killed_in(step, SHARE * seconds[f"shop__{step}"], 15, *again, job=job)
            place.run(15, run.run_id, job=job)
            if job == "train":
                place.run(15, job="score")
        end = time.monotonic() + 60
        while reader.seen.get("live_evaluation", 0) <= LOOKS and time.monotonic() < end:
            time.sleep(0.1)
    assert not reader.wrong, reader.wrong[:5]
    assert set(reader.seen) == {*TABLES, *BUNDLES}
    assert min(reader.seen.values()) > LOOKS
    found = place.outputs()
    assert found.keys() == expected.keys()
    other = [name for name, value in expected.items() if not same(value, found[name])]
    assert not other, [(name, str(expected[name])[:2000], str(found[name])[:2000]) for name in other]


def same(one, other):
    return one.equals(other) if isinstance(one, pa.Table) else one == other
