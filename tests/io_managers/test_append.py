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
from synml_dagster.tables import (
    append_catalog_table,
    append_table,
    open_table,
    publish_catalog_table,
    publish_table,
)
from synml_dagster.tables.catalog import described_table
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


def test_runs_append_to_a_catalog_table_by_partition_and_are_read_by_partition(tmp_path, classic_spark):
    """Also the rows of several partitions that one run makes at once; a partition without rows is one that is there."""
    classic_spark.sql("CREATE DATABASE IF NOT EXISTS growing")
    spark, seen = SparkResource(master="local[2]"), {}

    @dg.asset(
        partitions_def=DAYS,
        metadata={"append": True, "table": "growing.scores", "partition_expr": "day"},
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def scores(context: dg.AssetExecutionContext, spark: SparkResource) -> DataFrame:
        days = context.partition_keys
        return spark.session.createDataFrame([(day, i) for day in days for i in range(len(day + days[-1]))], "day string, i int")  # fmt: skip

    @dg.asset(partitions_def=DAYS)
    def daily(context: dg.AssetExecutionContext, scores) -> None:
        seen[context.partition_key] = sorted({(row.partition, row.run_id) for row in scores.collect()})

    @dg.asset(ins={"scores": dg.AssetIn(metadata={"newest": 1})})
    def newest(scores) -> None: ...

    defs = dg.Definitions(
        assets=[scores, daily, newest],
        resources={"spark": spark, "io_manager": SparkTableIOManager(spark=spark, data_dir=str(tmp_path))},
    )
    job = defs.resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:

        def run(*keys, check=True, **over):
            names = [dg.AssetKey(key) for key in keys]
            return job.execute_in_process(instance=instance, asset_selection=names, raise_on_error=check, **over)  # fmt: skip

        one = run("scores", partition_key="mon")
        early = run("daily", partition_key="tue", check=False)
        both = run("scores", tags={RANGE_START: "mon", RANGE_END: "tue"})
        run("daily", partition_key="mon")
        run("daily", partition_key="tue")
        odd = run("newest", check=False)
    assert seen == {"mon": sorted([("mon", one.run_id), ("mon", both.run_id)]), "tue": [("tue", both.run_id)]}
    failed = [e.step_failure_data.error for done in (early, odd) for e in done.all_events if e.is_step_failure]  # fmt: skip
    for failure, said in zip(failed, ("partition 'tue': nothing of it is in", "cannot ask for the newest"), strict=True):  # fmt: skip
        assert said in failure.message + "".join(str(c.message) for c in [failure.cause] if c)
    counted = classic_spark.table("growing.scores").groupBy("partition", "run_id").count().collect()
    assert {tuple(row) for row in counted} == {
        ("mon", one.run_id, 6),
        ("mon", both.run_id, 6),
        ("tue", both.run_id, 6),
    }
    (made,) = one.asset_materializations_for_node("scores")
    assert (made.metadata["run_id"].value, made.metadata["dagster/table_name"].value) == (one.run_id, "growing.scores")  # fmt: skip
    classic_spark.sql("DROP DATABASE growing CASCADE")


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


def test_a_catalog_table_that_is_replaced_and_one_that_grows_are_not_the_same(classic_spark):
    classic_spark.sql("CREATE DATABASE kinds")
    publish_catalog_table(classic_spark.range(3), "kinds.whole")
    classic_spark.sql("CREATE TABLE kinds.flat (id BIGINT, run_id STRING) USING parquet")
    classic_spark.sql("CREATE TABLE kinds.text (id BIGINT, run_id STRING) USING csv")
    classic_spark.sql("CREATE VIEW kinds.seen AS SELECT 1L AS id")
    append_catalog_table(classic_spark.range(3), "kinds.grows", run="a")
    odd = "named_struct('a.b', array(id), 'c', map('k', 1.5BD)) AS parts"
    for run in "ab":
        append_catalog_table(classic_spark.sql(f"SELECT {odd}, id FROM range(2)"), "kinds.odd", run=run)
    assert classic_spark.table("kinds.odd").where("parts.`a.b`[0] = id AND parts.c['k'] = 1.5").count() == 4
    for name, said in {
        "whole": "has no column 'run_id'",
        "flat": r"is laid out by \[\]",
        "text": "is of csv.*folder",
        "seen": "is a view",
    }.items():
        with pytest.raises(ConfigError, match=said):
            append_catalog_table(classic_spark.range(3), f"kinds.{name}", run="a")
    with pytest.raises(ConfigError, match="has no column 'partition'"):
        append_catalog_table(classic_spark.range(3), "kinds.grows", run="a", partition="mon")
    with pytest.raises(ConfigError, match="would take the place of all"):
        publish_catalog_table(classic_spark.range(3), "kinds.grows")
    with pytest.raises(DataError, match="'Partition' is to hold the partition's key"):
        append_catalog_table(
            classic_spark.sql("SELECT 1 AS Partition"), "kinds.new", run="a", partition="mon"
        )
    with pytest.raises(ConfigError, match="it is empty"):
        append_catalog_table(classic_spark.range(3), "kinds.new", run="")
    found = classic_spark.table("kinds.grows")
    assert (found.columns, found.count()) == (["id", "run_id"], 3)
    classic_spark.sql("DROP DATABASE kinds CASCADE")


LIVE = """
import sys, time
from pyspark.sql import functions as sf
from synml_dagster.spark import SparkSettings, open_session
from synml_dagster.tables import append_catalog_table
spark = open_session(SparkSettings(remote=sys.argv[1]))
slow = sf.udf(lambda value: time.sleep(0.02) or value, "long")
print("begins", flush=True)
append_catalog_table(spark.range(0, 1000, 1, 2).select(slow("id").alias("id")), sys.argv[2], run=sys.argv[3])
"""


@pytest.mark.slow
@pytest.mark.connect
def test_a_run_that_is_killed_as_it_appends_to_a_catalog_table_leaves_what_readers_saw(
    connect_spark, monkeypatch, connect_server
):
    """The server goes on for a while without its client, and what it writes then nobody reads."""
    monkeypatch.setenv("SPARK_CONNECT_MODE_ENABLED", "1")
    connect_spark.sql("CREATE DATABASE killed")
    table = "killed.scores"

    def counts():
        return {row[0]: row[1] for row in connect_spark.table(table).groupBy("run_id").count().collect()}

    for run in ("a", "b"):
        append_catalog_table(connect_spark.range(3), table, run=run)
    place = Path(described_table(connect_spark, table)["location"].removeprefix("file:"))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SPARK_CONNECT")}
    for run in ("a", "c"):  # one that comes again, and one that is new
        before = {*place.glob(f"_appended/runs/{run}/versions/*")}
        command = [sys.executable, "-c", LIVE, connect_server, table, run]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout.readline() == "begins\n"
            deadline = time.monotonic() + 120
            while {*place.glob(f"_appended/runs/{run}/versions/*")} == before:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            writer.kill()
        assert counts() == {"a": 3, "b": 3}
    for run in ("a", "c"):
        append_catalog_table(connect_spark.range(7), table, run=run)
    assert counts() == {"a": 7, "b": 3, "c": 7}
    connect_spark.sql("DROP DATABASE killed CASCADE")


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
