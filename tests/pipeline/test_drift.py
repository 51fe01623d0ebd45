"""`drift` in a description: rows that moved fail the check and name the column, rows that did not pass; blocking keeps the scores."""

from __future__ import annotations

import dagster as dg
import pandas as pd
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from synml_dagster import MLPipeline
from tests.pipeline.test_predictions import ROWS, customers, described
from tests.pipeline.whole import run_whole


def drifting(folder, drift, **score):
    return described(folder, **score) | {"drift": drift}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, classic_spark):
    """A folder in which the pipeline `shop` has a champion, and what the run that trained it told."""
    folder = tmp_path_factory.mktemp("drifting_shop")
    customers().to_csv(folder / "customers.csv", index=False)
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        patch.setenv("SYNML_DATA_DIR", str(folder / "data"))
        patch.setenv("SPARK_MASTER", "local[2]")
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        told = run_whole(drifting(folder, {"minimum_rows": 100}), instance)
        assert told["success"], told["failures"]
        yield folder, told


def scored(folder, drift, rows: pd.DataFrame):
    rows.to_csv(folder / "today.csv", index=False)
    description = drifting(folder, drift, source=str(folder / "today.csv"), keep=["id"])
    job = MLPipeline.model_validate(description).definitions().resolve_job_def("shop_score")
    with dg.DagsterInstance.ephemeral() as instance:
        done = job.execute_in_process(instance=instance, raise_on_error=False)
        (check,) = [c for c in done.get_asset_check_evaluations() if c.check_name == "drift"]
        made = list(done.get_asset_materialization_events())
        return done.success, check, made


def test_the_rows_that_were_learnt_have_not_drifted(trained):
    _, told = trained
    assert told["checks"]["drift"] is True
    assert told["metadata"]["predictions"]["dagster/row_count"] == ROWS


def test_rows_that_moved_fail_the_check_which_names_the_column(trained):
    folder, _ = trained
    today = customers().drop(columns="leaves")
    today["age"] = today["age"] + 60
    today.loc[::2, "city"] = "Kyiv"
    success, check, made = scored(folder, {"minimum_rows": 100}, today)
    assert success
    assert made
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert "'age'" in check.description
    assert "'city'" in check.description
    assert "'income'" not in check.description
    told = {k: v.value for k, v in check.metadata.items()}
    assert told["columns drifted"] == 2
    assert told["rows"] == ROWS
    table = [line.split(" | ") for line in told["columns"].splitlines()[2:]]
    assert {line[0].strip("| "): line[1] for line in table} == {"age": "yes", "city": "yes", "income": ""}
    assert all(line[-1].rstrip(" |").endswith("%") for line in table)
    assert told["distributions"].count("data:image/png") == 2
    few = scored(folder, {"minimum_rows": ROWS + 1}, today)[1]
    assert few.passed
    assert "too few" in few.description


def test_a_blocking_check_keeps_the_scores_of_before(trained):
    folder, _ = trained
    same = customers().drop(columns="leaves")
    blocking = {"minimum_rows": 100, "severity": "error", "blocking": True, "columns": ["age"]}
    success, check, made = scored(folder, blocking, same)
    assert success
    assert check.passed
    path = made[-1].step_materialization_data.materialization.metadata["path"].value
    before = pq.read_table(path).to_pandas()
    success, check, made = scored(folder, blocking, same.assign(age=same["age"] + 60))
    assert not success
    assert not check.passed
    assert not made
    assert pq.read_table(path).to_pandas().equals(before)


def test_a_column_that_is_not_used_ends_the_run_before_training(tmp_path, monkeypatch, trained):
    folder, _ = trained
    monkeypatch.setenv("SYNML_DATA_DIR", str(folder / "data"))
    told = run_whole(drifting(folder, {"columns": ["agee"]}) | {"name": "refused"})
    assert not told["success"]
    assert "features" not in told["metadata"]
    assert "drift.columns names 'agee'" in " ".join(told["failures"])


def test_it_is_off_until_it_is_named_and_the_label_is_refused():
    plain = {"name": "p", "source": "a.csv", "label": "y"}

    def checks(**more):
        assets = MLPipeline(**plain, **more).assets()
        return {key.name for asset in assets for key in asset.check_keys}

    assert "drift" not in checks()
    assert "drift" in checks(drift={})
    with pytest.raises(
        ValidationError, match=r"drift\.columns names 'y', which is the label; rows to score have none"
    ):
        MLPipeline(**plain, drift={"columns": ["y"]})
