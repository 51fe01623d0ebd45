"""Learners of pyspark.ml from the source to the report, trained by two executors, alone and among others in a sweep."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from synml_dagster.learners import learner_of
from tests.cluster import standalone_cluster
from tests.pipeline.shop import customers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

ROOT = Path(__file__).parents[3]
LEARNERS = ("spark_linear", "spark_random_forest", "spark_gbt")


@pytest.fixture(scope="module")
def cluster():
    with standalone_cluster() as found:
        yield found


@pytest.mark.parametrize("learner", [*LEARNERS, "sweep"])
def test_a_pipeline_goes_from_its_source_to_its_report_on_executors(cluster, tmp_path, learner):
    customers().to_csv(tmp_path / "customers.csv", index=False)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    told = {
        "name": "shop",
        "source": str(tmp_path / "customers.csv"),
        "label": "leaves",
        "features": {"exclude": ["id"]},
        "explain": {"rows": 20},
        "sweep": {"trials": 0},
    }
    if learner == "sweep":
        told["sweep"] = {"trials": 6, "learners": list(LEARNERS), "parallel": 2, "ensemble": 3}
    else:
        told["train"] = {"learner": learner}
    (tmp_path / "shop.json").write_text(json.dumps(told))
    environment = {
        k: v for k, v in os.environ.items() if k not in ("SPARK_REMOTE", "MLFLOW_TRACKING_URI")
    } | {
        "DAGSTER_HOME": str(tmp_path / "home"),
        "SYNML_DATA_DIR": str(tmp_path / "data"),
        "SPARK_MASTER": cluster.master,
        "PYSPARK_PYTHON": sys.executable,
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.pipeline.killed", str(tmp_path / "shop.json")],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    instance = dg.DagsterInstance.from_config(str(tmp_path / "home"))
    run = instance.get_run_records(limit=1)[0].dagster_run
    checks = {
        e.dagster_event.event_specific_data.check_name: e.dagster_event.event_specific_data.passed
        for e in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    }
    assert checks["parity"]
    assert checks["baseline"]
    trained = instance.get_latest_materialization_event(dg.AssetKey(["shop", "model"])).asset_materialization
    titles = [learner_of(name).title for name in LEARNERS if learner in (name, "sweep")]
    assert trained.metadata["learner"].value in (*titles, learner_of("ensemble").title)
    scored = instance.get_latest_materialization_event(
        dg.AssetKey(["shop", "predictions"])
    ).asset_materialization
    assert scored.metadata["dagster/row_count"].value == len(customers())
