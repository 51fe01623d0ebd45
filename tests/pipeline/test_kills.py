"""kill -9 within each asset of a pipeline, and once more from failure: the same outputs, and no reader ever saw half of one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synml_dagster import MLPipeline
from synml_dagster.errors import SourceError
from synml_dagster.tables import open_table
from tests.pipeline.shop import ROWS, customers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

ROOT = Path(__file__).parents[2]
PATIENCE = 900
TABLES = ("raw", "features", "predictions", "contributions", "shadow_predictions")
WHEN = {"scored_at"}  # the one column that another run has otherwise


def description(folder, rounds):
    return {
        "name": "shop",
        "source": str(folder / "customers.csv"),
        "label": "leaves",
        "features": {"exclude": ["id"]},
        "sweep": {"trials": 4},
        "train": {"rounds": rounds, "early_stopping": 0},
        "explain": {"rows": 20, "contributions": True},
        "balance": {"columns": ["city"]},
        "promote": {"shadow": {"runs": 1}},
    }


STEPS = [
    key.path[-1]
    for asset in MLPipeline.model_validate(description(Path("/nowhere"), 15)).assets()
    for key in sorted(asset.keys, key=lambda key: key.path[-1] != "predictions")
]


class Place:
    """A data directory and a Dagster home of their own, in which one pipeline is run in processes of its own."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "home").mkdir(parents=True)
        (folder / "home" / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
        customers().to_csv(folder / "customers.csv", index=False)
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

    def start(self, rounds, *run):
        file = self.folder / f"description{rounds}.json"
        file.write_text(json.dumps(description(self.folder, rounds)))
        with (self.folder / "process.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.pipeline.killed", str(file), *run],
                cwd=ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def run(self, rounds, *run):
        """Run to the end; return the Dagster run."""
        started = self.start(rounds, *run)
        assert started.wait(PATIENCE) == 0, self.log()
        return self.last()

    def killed_in(self, step, after, rounds, *run):
        """Kill Python, the JVM and the workers `after` seconds of a step; return the Dagster run."""
        known = {record.dagster_run.run_id for record in self.instance.get_run_records()}
        started, end = self.start(rounds, *run), time.monotonic() + PATIENCE
        while True:
            assert started.poll() is None, f"{step} never started: {self.log()}"
            assert time.monotonic() < end, self.log()
            made = [r.dagster_run for r in self.instance.get_run_records(limit=1)]
            if made and made[0].run_id not in known and self.events(made[0], "STEP_START", step):
                break
            time.sleep(0.05)
        time.sleep(after)
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
        from synml_dagster.resources import MLflowResource

        tables = {name: read(self.data / name) for name in TABLES}
        mlflow = MLflowResource(
            data_dir=str(self.folder / "data"), tracking_uri=f"sqlite:///{self.folder}/data/mlflow/mlflow.db"
        )
        serving = mlflow.champion("shop")
        return tables | {
            "champion": serving.version,
            "graph": graph(Path(mlflow.download(serving)) / "model.onnx"),
            "model": (self.newest("model") / "booster.txt").read_text(),
            "trials": [
                (t["params"], t["value"], t["state"])
                for t in json.loads((self.newest("sweep") / "sweep.json").read_text())["trials"]
            ],
        }

    def newest(self, asset):
        pointer = json.loads((self.data / asset / "_current.json").read_text())
        return self.data / asset / "versions" / pointer["version"]


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


class Reader:
    """Opens each table again and again, as anybody may: what it finds is whole."""

    def __init__(self, data):
        self.data, self.seen, self.wrong = data, {}, []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join(60)

    def _read(self):
        while not self._over.wait(0.1):
            for name in TABLES:
                try:
                    table = open_table(self.data / name)
                    rows = sum(pq.read_table(path).num_rows for path in table.files().paths)
                except SourceError:
                    continue  # nothing was ever published there
                except Exception as problem:
                    self.wrong.append(f"{name}: {problem!r}")
                    continue
                self.seen[name] = self.seen.get(name, 0) + 1
                if rows != table.rows or rows != ROWS:
                    self.wrong.append(f"{name} {table.version}: {rows} rows of {table.rows}")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A champion of one round, and then the run that all are compared with: its outputs, and how long its steps took."""
    place = Place(tmp_path_factory.mktemp("undisturbed") / "place")
    place.run(1)
    run = place.run(15)
    outputs = place.outputs()
    assert outputs["champion"] == "2"  # the shadow has let it through
    return outputs, place.seconds(run)


def test_killed_within_each_asset_the_run_goes_on_to_the_same_outputs(undisturbed, tmp_path):
    expected, seconds = undisturbed
    place = Place(tmp_path / "place")
    place.run(1)
    order = [
        s.step_key.removeprefix("shop__") for s in place.instance.get_run_step_stats(place.last().run_id)
    ]
    steps = sorted({step_of(s).removeprefix("shop__") for s in STEPS}, key=order.index)
    assert set(steps) == {s for s in order if not s.endswith(("_rows", "_checks"))}
    with Reader(place.data) as reader:
        run = None
        for step in steps:
            again = [run.run_id] if run else []
            run = place.killed_in(step, 0.4 * seconds[f"shop__{step}"], 15, *again)
        place.run(15, run.run_id)
    assert not reader.wrong, reader.wrong[:5]
    assert min(reader.seen.values()) > 20
    found = place.outputs()
    for name, value in expected.items():
        same = value.equals(found[name]) if isinstance(value, pa.Table) else value == found[name]
        assert same, name
