"""MLflow's server goes away for a minute in the middle of a run, twice: the run goes on, and MLflow has all of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dagster as dg
import mlflow
import pytest

from tests.pipeline.shop import customers
from tests.servers import free_port, mlflow_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[2]
AWAY = 60
PATIENCE = 900
TRIALS = 4


@contextmanager
def stopped(store, port, up):
    """Ends the server, and starts another one on what it left."""
    up.pop_all().close()
    yield
    up.enter_context(mlflow_server(store, port))


@contextmanager
def frozen(store, port, up):
    """Lets the server take requests and answer none."""
    group = int((store / "server.pid").read_text())
    os.killpg(group, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(group, signal.SIGCONT)


def test_a_server_that_is_away_in_the_sweep_and_while_a_model_is_registered_costs_no_run(tmp_path):
    store, home = tmp_path / "mlflow", tmp_path / "home"
    store.mkdir()
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    customers().to_csv(tmp_path / "customers.csv", index=False)
    told = {
        "name": "shop",
        "source": str(tmp_path / "customers.csv"),
        "label": "leaves",
        "features": {"exclude": ["id"]},
        "sweep": {"trials": TRIALS},
        "train": {"rounds": 15, "early_stopping": 0},
        "explain": {"rows": 20},
    }
    (tmp_path / "description.json").write_text(json.dumps(told))
    port, up = free_port(), ExitStack()
    address = up.enter_context(mlflow_server(store, port))
    client = mlflow.MlflowClient(address, address)

    def children():
        experiments = [e.experiment_id for e in client.search_experiments()]
        return client.search_runs(experiments, "tags.`mlflow.parentRunId` LIKE '%'")

    environment = {k: v for k, v in os.environ.items() if k != "SPARK_REMOTE"} | {
        "DAGSTER_HOME": str(home),
        "SYNML_DATA_DIR": str(tmp_path / "data"),
        "SPARK_MASTER": "local[2]",
        "MLFLOW_TRACKING_URI": address,
    }
    command = [sys.executable, "-m", "tests.pipeline.killed", str(tmp_path / "description.json")]
    log = tmp_path / "process.log"
    with log.open("wb") as out:
        running = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out)
    try:
        begins = (
            (stopped, children),
            (frozen, lambda: list(store.glob("artifacts/**/models/shop/*/*"))),
        )
        for away, begun in begins:
            end = time.monotonic() + PATIENCE
            while not begun():
                assert running.poll() is None, log.read_text()[-4000:]
                assert time.monotonic() < end, log.read_text()[-4000:]
                time.sleep(0.05)
            with away(store, port, up):
                time.sleep(AWAY)
                assert running.poll() is None, log.read_text()[-4000:]
        assert running.wait(PATIENCE) == 0, log.read_text()[-4000:]
        with dg.DagsterInstance.from_config(str(home)) as instance:
            (run,) = instance.get_runs()
            retries = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_RESTARTED)
        assert len(retries) <= 2
        assert "runs below this one are missing" not in log.read_text()
        (parent,) = client.search_runs(
            [e.experiment_id for e in client.search_experiments()], f"tags.`dagster.run_id` = '{run.run_id}'"
        )
        assert parent.info.status == "FINISHED"
        assert len(children()) == TRIALS
        assert {"test/auc", "trees"} & set(parent.data.metrics)
        assert client.get_model_version_by_alias("shop", "champion").version == "1"
        assert len(client.search_model_versions("name='shop'")) == 1
    finally:
        running.kill()
        running.wait(30)
        up.close()
