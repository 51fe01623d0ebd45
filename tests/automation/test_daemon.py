"""The real daemon and webserver: a dropped file, a tick of a schedule and drift each lead to the run that they should."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from synml_dagster import MLPipeline
from synml_dagster.automation import REASON_TAG
from tests.pipeline.shop import QUICKEST, customers
from tests.servers import free_port, wait_for_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

PATIENCE = 900


@contextmanager
def process(folder, name, *arguments, environment):
    """Start a command in a group of its own, with its log in `folder`, and stop the group in the end."""
    log = folder / f"{name}.log"
    with log.open("wb") as out:
        started = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=folder, env=environment, stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
    try:
        yield started, log
    finally:
        os.killpg(started.pid, signal.SIGTERM)
        try:
            started.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(started.pid, signal.SIGKILL)


@pytest.fixture
def plant(tmp_path, monkeypatch, classic_spark):
    """A code location whose automation runs from the start, with a champion, its daemon and its webserver."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text(
        "telemetry:\n  enabled: false\nconcurrency:\n  runs:\n    max_concurrent_runs: 1\n"
    )
    (tmp_path / "rows").mkdir()
    customers().to_csv(tmp_path / "customers.csv", index=False)
    described = QUICKEST | {
        "name": "shop",
        "source": str(tmp_path / "customers.csv"),
        "label": "leaves",
        "features": {"exclude": ["id", "joined"]},
        "score": {"source": str(tmp_path / "rows")},
        "drift": {"minimum_rows": 100},
        "automation": {
            "on_new_data": "score",
            "every_seconds": 5,
            "settle_seconds": 1,
            "running": True,
            "retrain_on": {"drift": {}, "cool_down_hours": 0, "at_most": 1},
        },
    }
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv("SYNML_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SPARK_MASTER", "local[2]")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    customers().drop(columns="leaves")[:120].to_csv(tmp_path / "rows" / "first.csv", index=False)
    defs = MLPipeline.model_validate(described).definitions()
    with dg.DagsterInstance.get() as instance:
        assert defs.resolve_job_def("shop_train").execute_in_process(instance=instance).success
    # One tick, once the daemon is up for sure.
    minute = datetime.now(UTC) + timedelta(minutes=5)
    described["automation"]["score"] = f"{minute.minute} {minute.hour} * * *"
    (tmp_path / "place.py").write_text(
        "import dagster as dg\nfrom synml_dagster import MLPipeline\n"
        f"made = MLPipeline.model_validate({described!r})\n"
        "defs = dg.Definitions.merge(made.definitions(), dg.Definitions(executor=dg.in_process_executor))\n"
    )
    (tmp_path / "workspace.yaml").write_text("load_from:\n  - python_file: place.py\n")
    environment = dict(os.environ)
    port = free_port()
    web = ("dagster_webserver", "-w", "workspace.yaml", "-p", str(port), "-h", "127.0.0.1")
    with (
        process(tmp_path, "webserver", *web, environment=environment) as (server, log),
        process(
            tmp_path, "daemon", "dagster._daemon", "run", "-w", "workspace.yaml", environment=environment
        ),
    ):
        wait_for_port(port, server, 300, log)
        yield tmp_path, f"http://127.0.0.1:{port}/graphql"


def runs(address):
    """All runs by the webserver's answer, newest first: job, status, reason."""
    query = "{ runsOrError { ... on Runs { results { jobName status tags { key value } } } } }"
    asked = urllib.request.Request(
        address, json.dumps({"query": query}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=60) as answer:
        results = json.load(answer)["data"]["runsOrError"]["results"]
    return [
        (r["jobName"], r["status"], {t["key"]: t["value"] for t in r["tags"]}.get(REASON_TAG, ""))
        for r in results
    ]


def awaited(plant, job, reason):
    folder, address = plant
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        for name, status, why in runs(address):
            if name == job and reason in why and status in ("SUCCESS", "FAILURE"):
                assert status == "SUCCESS", (folder / "daemon.log").read_text()[-5000:]
                return why
        time.sleep(3)
    raise AssertionError(
        f"no finished run of {job} because of {reason!r}: {runs(address)}\n{(folder / 'daemon.log').read_text()[-5000:]}"
    )


def test_a_file_a_tick_and_drift_each_lead_to_their_run(plant):
    folder, _ = plant
    # Everybody is sixty years older, and now it is the young ones of them who leave.
    older = customers().assign(age=lambda t: t["age"] + 60)
    moved = older.assign(leaves=older["leaves"].map({"yes": "no", "no": "yes"}))
    both = [customers(), *(moved.assign(id=moved["id"] + 1000 * n) for n in range(1, 5))]
    import pandas as pd

    pd.concat(both).to_csv(folder / "customers.csv", index=False)
    moved.drop(columns="leaves").to_csv(folder / "rows" / "second.csv", index=False)

    assert "changed from version" in awaited(plant, "shop_score", "changed from version")
    assert "'age'" in awaited(plant, "shop_train", "drift: ")
    awaited(plant, "shop_score", "schedule ")
    with dg.DagsterInstance.get() as instance:
        latest = instance.get_latest_materialization_event(dg.AssetKey(["shop", "champion"]))
    told = latest.asset_materialization.metadata
    assert told["promoted"].value is True
    assert told["reason"].value.startswith("drift: ")
    assert told["champion version"].value == "2"
