"""Assets whose runs append: a re-execution replaces its own rows, whoever reads the folder sees whole runs alone."""

# No `from __future__ import annotations`: Dagster reads the annotation of `context` as it stands.
import os
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from pyspark.sql import DataFrame

from synml_dagster.errors import ConfigError, DataError, SourceError
from synml_dagster.io_managers import SparkTableIOManager
from synml_dagster.partitions.definition import RANGE_END, RANGE_START
from synml_dagster.resources import SparkResource
from synml_dagster.tables import append_table, open_table, publish_table
from synml_dagster.tables.plain_folder import versions_beside
from synml_dagster.tables.versions import MANIFEST

DAYS = dg.StaticPartitionsDefinition(["mon", "tue"])


@pytest.fixture
def stored(tmp_path, classic_spark):
    """Definitions of an asset whose runs append, of one that reads it, and the folder."""
    spark = SparkResource(master="local[2]")
    rows, seen = {"count": 3}, []

    @dg.asset(
        partitions_def=DAYS,
        metadata={"append": True, "root": str(tmp_path / "scores"), "plain_folder": True},
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def scores(context: dg.AssetExecutionContext, spark: SparkResource) -> dict:
        return {key: spark.session.range(rows["count"]) for key in context.partition_keys}

    @dg.asset(ins={"scores": dg.AssetIn(metadata={"allow_missing_partitions": True})})
    def read(scores: DataFrame) -> None:
        seen.append(sorted(row.asDict()["run_id"] for row in scores.collect()))

    defs = dg.Definitions(
        assets=[scores, read],
        resources={"spark": spark, "io_manager": SparkTableIOManager(spark=spark)},
        jobs=[dg.define_asset_job("both", [scores])],
    )
    return defs, tmp_path / "scores", rows, seen


def counts(folder):
    """What pandas finds in the folder: rows by partition and run."""
    found = pd.read_parquet(folder)
    return found.groupby(["partition", "run_id"], observed=True).size().to_dict()


def test_the_rows_of_each_run_stand_in_folders_that_any_reader_takes(stored):
    defs, folder, rows, _ = stored
    job = defs.resolve_job_def("both")
    with dg.DagsterInstance.ephemeral() as instance:
        first = job.execute_in_process(instance=instance, partition_key="mon")
        rows["count"] = 5
        second = job.execute_in_process(instance=instance, partition_key="mon")
        other = job.execute_in_process(instance=instance, partition_key="tue")
        assert counts(folder) == {
            ("mon", first.run_id): 3,
            ("mon", second.run_id): 5,
            ("tue", other.run_id): 5,
        }
        both = job.execute_in_process(instance=instance, tags={RANGE_START: "mon", RANGE_END: "tue"})
        made = [e.step_materialization_data.materialization for e in both.get_asset_materialization_events()]
    told = open_table(folder / "partition=mon")
    assert (told.rows, told.columns) == (13, ["id", "run_id"])
    for each in made:
        assert each.metadata["dagster/uri"].value == str(folder)
        assert f"/partitions/{each.partition}/runs/{both.run_id}/" in each.metadata["path"].value


def test_runs_may_have_any_name_and_one_whose_rows_are_gone_is_missed(classic_spark, tmp_path):
    folder = tmp_path / "scores"
    beside = versions_beside(str(folder))
    sizes = {"scheduled__2026-01-01T06:00:00+00:00": 1, "a/b c": 2, ".x": 3}
    for run, rows in [*dict.fromkeys(sizes, 9).items(), *sizes.items()]:
        append_table(classic_spark.range(rows), beside, run=run)
    assert pd.read_parquet(folder).groupby("run_id", observed=True).size().to_dict() == sizes
    found = open_table(folder).dataframe(classic_spark).groupBy("run_id").count().collect()
    assert {row[0]: row[1] for row in found} == sizes
    with pytest.raises(ConfigError, match="it is empty"):
        append_table(classic_spark.range(1), beside, run="")
    # Killed before it had published anything: nobody misses that.
    (Path(beside) / "runs" / "killed" / "versions").mkdir(parents=True)
    assert open_table(folder).rows == 6
    for manifest in (Path(beside) / "runs" / "%2Ex").rglob(MANIFEST):
        manifest.unlink()
    with pytest.raises(SourceError, match="is not there"):
        open_table(folder)


def growing() -> dg.JobDefinition:
    """A job that is loaded anew for each run, as those of a code location are; each time it has a row more."""
    folder = Path(os.environ["SYNML_DATA_DIR"])
    spark = SparkResource(master="local[2]")

    @dg.asset(metadata={"append": True})
    def scores(spark: SparkResource) -> DataFrame:
        calls = folder / "calls"
        calls.write_text("x" + (calls.read_text() if calls.exists() else ""))
        return spark.session.range(len(calls.read_text()))

    defs = dg.Definitions(
        assets=[scores],
        resources={"spark": spark, "io_manager": SparkTableIOManager(spark=spark)},
        jobs=[dg.define_asset_job("all", [scores], executor_def=dg.in_process_executor)],
    )
    return defs.resolve_job_def("all")


def test_a_re_execution_replaces_the_rows_of_the_run_that_it_re_executes(
    tmp_path, monkeypatch, classic_spark
):
    monkeypatch.setenv("SYNML_DATA_DIR", str(tmp_path))
    job = dg.reconstructable(growing)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        runs = [dg.execute_job(job, instance) for _ in range(2)]
        again = dg.ReexecutionOptions(parent_run_id=runs[0].run_id)
        third = dg.execute_job(job, instance, reexecution_options=again)
        # Of a re-execution once more.
        dg.execute_job(job, instance, reexecution_options=dg.ReexecutionOptions(parent_run_id=third.run_id))
    found = open_table(tmp_path / "scores").dataframe(classic_spark).groupBy("run_id").count().collect()
    assert {row[0]: row[1] for row in found} == {runs[0].run_id: 4, runs[1].run_id: 2}


def test_a_reader_in_dagster_gets_the_rows_of_all_runs(stored):
    defs, _, rows, seen = stored
    with dg.DagsterInstance.ephemeral() as instance:
        job = defs.resolve_implicit_global_asset_job_def()
        for count in (2, 3):
            rows["count"] = count
            defs.resolve_job_def("both").execute_in_process(instance=instance, partition_key="mon")
        job.execute_in_process(instance=instance, asset_selection=[dg.AssetKey("read")])
    assert len(seen[0]) == 5
    assert len(set(seen[0])) == 2


def test_a_table_that_is_replaced_and_one_that_grows_do_not_share_a_folder(classic_spark, tmp_path):
    from synml_dagster.tables import check_replace

    publish_table(classic_spark.range(3), tmp_path / "whole")
    with pytest.raises(ConfigError, match="holds a table that is replaced whole"):
        append_table(classic_spark.range(3), str(tmp_path / "whole"), run="a")
    append_table(classic_spark.range(3), str(tmp_path / "grows"), run="a")
    with pytest.raises(ConfigError, match="holds the rows of earlier runs"):
        check_replace(str(tmp_path / "grows"))


@pytest.mark.parametrize(
    ("sql", "more", "problem", "said"),
    [
        ("SELECT 1L AS ID", {}, DataError, "'ID' is called 'id' in the rows of earlier runs"),
        (
            "SELECT 1L AS id, 2 AS day",
            {"partition_by": ["day"]},
            ConfigError,
            r"these are to be by \['day'\]",
        ),
        ("SELECT 1L AS id", {"cut": "weekly"}, ConfigError, "were those of 'daily'"),
    ],
)
def test_what_nobody_could_read_with_earlier_rows_is_refused_before_it_is_written(
    classic_spark, tmp_path, sql, more, problem, said
):
    append_table(classic_spark.range(3), str(tmp_path / "t"), run="a", cut="daily")
    with pytest.raises(problem, match=said):
        append_table(classic_spark.sql(sql), str(tmp_path / "t"), run="b", **more)
    assert open_table(tmp_path / "t").rows == 3


WRITER = """
import sys, time
from pyspark.sql import functions as sf
from synml_dagster.spark import SparkSettings, open_session
from synml_dagster.tables import append_table
spark = open_session(SparkSettings(master="local[2]"))
slow = sf.udf(lambda value: time.sleep(0.05) or value, "long")
print("begins", flush=True)
append_table(spark.range(4000, numPartitions=2).select(slow("id").alias("id")), sys.argv[1], run=sys.argv[2])
"""


@pytest.mark.slow
def test_a_run_that_is_killed_in_mid_write_leaves_what_readers_saw(classic_spark, tmp_path):
    folder = tmp_path / "scores"
    beside = versions_beside(str(folder))
    for run in ("a", "b"):
        append_table(classic_spark.range(3), beside, run=run)
    for run in ("a", "c"):  # one that comes again, and one that is new
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, beside, run], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout.readline() == "begins\n"
            place = f"{beside}/runs/{run}/versions"
            before = len(os.listdir(place)) if os.path.isdir(place) else 0
            deadline = time.monotonic() + 120
            while not (os.path.isdir(place) and len(os.listdir(place)) > before):
                assert time.monotonic() < deadline
                assert pd.read_parquet(folder).groupby("run_id", observed=True).size().to_dict() == {
                    "a": 3,
                    "b": 3,
                }
                time.sleep(0.2)
            time.sleep(1)
            writer.kill()
        assert pd.read_parquet(folder).groupby("run_id", observed=True).size().to_dict() == {"a": 3, "b": 3}
        assert open_table(folder).rows == 6
    append_table(classic_spark.range(7), beside, run="c")
    assert open_table(folder).rows == 13
