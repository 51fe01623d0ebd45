"""A pipeline whose table is read and scored a part at a time, and whose model is trained on all parts that were read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from synml_dagster import MLPipeline
from synml_dagster.partitions.definition import RANGE_END, RANGE_START
from synml_dagster.partitions.spec import CUT
from synml_dagster.sources.version import SOURCE_VERSION
from synml_dagster.tables import open_table

A_DAY = 80
DAYS = ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"]
QUICKEST = {"sweep": {"trials": 0}, "train": {"rounds": 15, "early_stopping": 0}, "explain": {"rows": 20}}


def visits() -> pd.DataFrame:
    """80 visits on each of three days, none on the fourth, and two that nobody dated."""
    place = np.arange(3 * A_DAY + 2)
    age = 18 + (place * 37) % 70
    day = np.array([*np.repeat(DAYS[:3], A_DAY), None, None], dtype=object)
    return pd.DataFrame(
        {
            "id": place,
            "day": day,
            "age": age,
            "city": np.array(["Oslo", "Bern", "Rome"])[place % 3],
            "buys": np.where((age > 50) ^ (place % 3 == 0), "yes", "no"),
        }
    )


def description(folder, **more):
    return (
        {
            "name": "shop",
            "source": str(folder / "visits.csv"),
            "label": "buys",
            "features": {"exclude": ["id", "day"]},
            "partitions": {"column": "day", "daily": DAYS[0], "end": DAYS[-1]},
        }
        | QUICKEST
        | more
    )


@pytest.fixture
def folder(tmp_path, monkeypatch, classic_spark):
    monkeypatch.setenv("SYNML_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SPARK_MASTER", "local[2]")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    visits().to_csv(tmp_path / "visits.csv", index=False)
    return tmp_path


def run(defs, job, instance, *keys):
    """Run a job for one partition, or for all from the first to the last of two."""
    over = (
        {"partition_key": keys[0]} if len(keys) == 1 else {"tags": {RANGE_START: keys[0], RANGE_END: keys[1]}}
    )
    done = defs.resolve_job_def(job).execute_in_process(instance=instance, raise_on_error=False, **over)
    failed = [e.step_failure_data.error.to_string() for e in done.all_events if e.is_step_failure]
    assert not failed, failed[0][-3000:]
    return done


def part(folder, stage, day):
    return open_table(folder / "data" / "shop" / stage / "partitions" / day)


def missing(instance, stage):
    return sorted(set(DAYS) - instance.get_materialized_partitions(dg.AssetKey(["shop", stage])))


def told(done, stage):
    return [
        {key: value.value for key, value in made.metadata.items()}
        for made in done.asset_materializations_for_node(f"shop__{stage}")
    ]


@pytest.mark.slow
def test_days_are_read_trained_on_together_and_scored_one_by_one(folder):
    score_days_one_by_one(folder)


@pytest.mark.slow
@pytest.mark.connect
def test_days_are_scored_one_by_one_on_connect(tmp_path, connect_server):
    visits().to_csv(tmp_path / "visits.csv", index=False)
    other = ("SPARK_MASTER", "DAGSTER_HOME", "MLFLOW_TRACKING_URI")
    environment = {key: value for key, value in os.environ.items() if key not in other}
    done = subprocess.run(
        [sys.executable, "-m", "tests.pipeline.test_partitions", str(tmp_path)],
        env=environment | {"SPARK_REMOTE": connect_server, "SYNML_DATA_DIR": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]


def score_days_one_by_one(folder):
    defs = MLPipeline.model_validate(description(folder)).definitions()
    with dg.DagsterInstance.ephemeral() as instance:
        done = run(defs, "shop_train", instance, *DAYS[:2])  # one run reads two days and trains once
        assert told(done, "features")[0]["dagster/row_count"] == 2 * A_DAY
        assert told(done, "raw")[0]["rows of no partition"] == 2
        counts = {
            (o.partition, o.metadata["dagster/partition_row_count"].value)
            for e in done.all_node_events
            if e.event_type_value == "ASSET_OBSERVATION" and (o := e.asset_observation_data.asset_observation)
            if o.asset_key.path[-1] == "predictions"
        }
        assert counts == {(day, A_DAY) for day in DAYS[:2]}
        assert missing(instance, "raw") == missing(instance, "predictions") == DAYS[2:]
        before = {day: part(folder, "predictions", day).version for day in DAYS[:2]}

        for day in missing(instance, "predictions"):  # the fourth has no rows
            done = run(defs, "shop_score", instance, day)
            assert (
                told(done, "predictions")[0]["dagster/partition_row_count"] == part(folder, "raw", day).rows
            )
        assert missing(instance, "predictions") == []
        assert [part(folder, "predictions", day).rows for day in DAYS] == [A_DAY, A_DAY, A_DAY, 0]
        assert part(folder, "predictions", DAYS[3]).columns == part(folder, "predictions", DAYS[0]).columns
        assert {day: part(folder, "predictions", day).version for day in DAYS[:2]} == before

        run(defs, "shop_score", instance, DAYS[0])
        after = {day: part(folder, "predictions", day).version for day in DAYS[:2]}
        assert after[DAYS[0]] != before[DAYS[0]]
        assert after[DAYS[1]] == before[DAYS[1]]
        scores = pq.read_table(part(folder, "predictions", DAYS[1]).path).to_pandas()
        assert sorted(scores["id"]) == list(range(A_DAY, 2 * A_DAY))
        assert set(scores["model_version"]) == {"1"}

        done = run(defs, "shop_train", instance, DAYS[2])
        assert told(done, "features")[0]["dagster/row_count"] == 3 * A_DAY
        assert told(done, "champion")[0]["challenger version"] == "2"


@pytest.mark.slow
def test_the_values_of_a_column_are_partitions_and_another_source_is_scored_by_them(folder):
    static = {"column": "city", "static": ["Oslo", "Bern"]}
    defs = MLPipeline.model_validate(description(folder, partitions=static)).definitions()
    today = visits().drop(columns="buys").astype({"age": object})
    today.loc[0, "age"] = "unknown"
    today.to_csv(folder / "today.csv", index=False)
    scored = description(folder, partitions=static, score={"source": str(folder / "today.csv")})
    today_defs = MLPipeline.model_validate(scored).definitions()
    with dg.DagsterInstance.ephemeral() as instance:
        run(defs, "shop_train", instance, "Oslo", "Bern")
        done = run(today_defs, "shop_score", instance, "Oslo", "Bern")
        (about, _) = told(done, "predictions")
        assert about["rows of this run"] + about["rows set aside"] == sum(today["city"] != "Rome")
        assert about["rows of no partition"] == sum(today["city"] == "Rome")
        assert about["rows set aside"] == 1
        assert SOURCE_VERSION in about
        assert about[CUT] == "static by city"
        assert part(folder, "predictions", "Bern").rows == sum(today["city"] == "Bern")
        assert part(folder, "predictions_rejected", "Oslo").rows == 1
        assert part(folder, "predictions_rejected", "Bern").rows == 0
        rejected = part(folder, "predictions_rejected", "Oslo").path
        assert list(pq.read_table(rejected).to_pandas()["age"]) == ["unknown"]


def test_dynamic_partitions_are_those_that_were_added(folder):
    described = description(folder, partitions={"column": "city", "dynamic": "cities"})
    defs = MLPipeline.model_validate(described).definitions()
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("cities", ["Rome"])
        done = defs.resolve_job_def("shop_train").execute_in_process(
            instance=instance,
            partition_key="Rome",
            asset_selection=[dg.AssetKey(["shop", "raw"])],
        )
    assert told(done, "raw")[0]["dagster/partition_row_count"] == sum(visits()["city"] == "Rome")
    assert told(done, "raw")[0]["rows of no partition"] == sum(visits()["city"] != "Rome")


def test_training_before_anything_was_read_says_so(folder):
    defs = MLPipeline.model_validate(description(folder)).definitions()
    with dg.DagsterInstance.ephemeral() as instance:
        done = defs.resolve_job_def("shop_train").execute_in_process(
            instance=instance,
            partition_key=DAYS[0],
            asset_selection=[dg.AssetKey(["shop", "feature_plan"])],
            raise_on_error=False,
        )
    (failure,) = [e.step_failure_data.error.to_string() for e in done.all_events if e.is_step_failure]
    assert "shop/raw: none of its 4 partitions has been materialized" in failure


if __name__ == "__main__":
    score_days_one_by_one(Path(sys.argv[1]))
