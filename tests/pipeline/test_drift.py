"""`drift` in a description: rows that moved fail the check and name the column, rows that did not pass; blocking keeps the scores."""

from __future__ import annotations

import dagster as dg
import pandas as pd
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from synml_dagster import MLPipeline
from tests.pipeline.shop import ROWS, customers, described
from tests.pipeline.whole import run_whole


def drifting(folder, drift, **score):
    return described(folder, **score) | {"drift": drift}


def scored(folder, drift, rows: pd.DataFrame):
    rows.to_csv(folder / "drifting.csv", index=False)
    description = drifting(folder, drift, source=str(folder / "drifting.csv"), keep=["id"])
    job = MLPipeline.model_validate(description).definitions().resolve_job_def("shop_score")
    with dg.DagsterInstance.ephemeral() as instance:
        done = job.execute_in_process(instance=instance, raise_on_error=False)
        (check,) = [c for c in done.get_asset_check_evaluations() if c.check_name == "drift"]
        made = list(done.get_asset_materialization_events())
        return done.success, check, made


def test_the_rows_that_were_learnt_have_not_drifted(trained):
    success, check, made = scored(trained, {"minimum_rows": 100}, customers())
    assert success
    assert check.passed
    assert "3 columns are as in training" in check.description
    assert "distributions" not in check.metadata
    assert made[-1].step_materialization_data.materialization.metadata["dagster/row_count"].value == ROWS


def test_rows_that_moved_fail_the_check_which_names_the_column(trained):
    today = customers().drop(columns="leaves")
    today["age"] = today["age"] + 60
    today.loc[::2, "city"] = "Kyiv"
    success, check, made = scored(trained, {"minimum_rows": 100}, today)
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
    few = scored(trained, {"minimum_rows": ROWS + 1}, today)[1]
    assert few.passed
    assert "too few" in few.description


def test_a_blocking_check_keeps_the_scores_of_before(trained):
    same = customers().drop(columns="leaves")
    blocking = {"minimum_rows": 100, "severity": "error", "blocking": True, "columns": ["age"]}
    success, check, made = scored(trained, blocking, same)
    assert success
    assert check.passed
    path = made[-1].step_materialization_data.materialization.metadata["path"].value
    before = pq.read_table(path).to_pandas()
    success, check, made = scored(trained, blocking, same.assign(age=same["age"] + 60))
    assert not success
    assert not check.passed
    assert not made
    assert pq.read_table(path).to_pandas().equals(before)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"drift": {"columns": ["agee"]}}, "drift.columns names 'agee'"),
        (
            {"checks": {"nulls": {"columns": ["age"]}, "ranges": {"columns": ["agee"]}}},
            "checks.ranges.columns names 'agee'",
        ),
    ],
)
def test_a_column_that_is_not_used_ends_the_run_before_training(trained, more, says):
    told = run_whole(drifting(trained, {}) | {"name": "refused"} | more)
    assert not told["success"]
    assert "features" not in told["metadata"]
    assert says in " ".join(told["failures"])


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
