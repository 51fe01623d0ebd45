"""The second run of a pipeline: what it reads, what it says of it, and where its own data goes."""

from __future__ import annotations

import dagster as dg
import pytest

from synml_dagster import MLPipeline
from synml_dagster.assets.raw import build_raw
from synml_dagster.errors import DataError
from synml_dagster.io_managers import SparkTableIOManager
from synml_dagster.resources import SparkResource
from synml_dagster.sources import Source
from synml_dagster.tables import Table, open_table


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch, classic_spark):
    monkeypatch.setenv("SYNML_DATA_DIR", str(tmp_path / "own"))
    monkeypatch.setenv("SPARK_MASTER", "local[2]")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tools():
    spark = SparkResource()
    return {"spark": spark, "spark_tables": SparkTableIOManager(spark=spark)}


def materialized(assets, instance, *selected, **over):
    done = dg.materialize(
        assets,
        instance=instance,
        resources=tools(),
        selection=list(selected) or None,
        raise_on_error=False,
        **over,
    )
    failed = [e.step_failure_data.error for e in done.all_events if e.is_step_failure]
    return done, " ".join(f"{e.message} {e.cause.message if e.cause else ''}" for e in failed)


def stale(assets, instance, key):
    from dagster._core.definitions.data_version import CachingStaleStatusResolver
    from dagster._core.loader import LoadingContextForTest

    graph = dg.Definitions(assets=assets, resources=tools()).resolve_asset_graph()
    return CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance)).get_status(key).value


def test_reading_unchanged_rows_again_is_no_news_to_what_was_made_of_them(place):
    (place / "t.csv").write_text("a,b\n1,2\n")

    @dg.asset(ins={"raw": dg.AssetIn(key=["p", "raw"])}, io_manager_key="spark_tables")
    def plan(raw: Table) -> Table:
        return raw

    assets = [build_raw("p", Source(path=str(place / "t.csv"))), plan]
    raw = dg.AssetKey(["p", "raw"])
    with dg.DagsterInstance.ephemeral() as instance:
        assert materialized(assets, instance)[1] == ""
        materialized(assets, instance, raw)
        assert stale(assets, instance, plan.key) == "FRESH"
        (place / "t.csv").write_text("a,b\n1,2\n3,4\n")
        materialized(assets, instance, raw)
        assert stale(assets, instance, plan.key) == "STALE"


def test_a_table_of_too_few_rows_ends_the_run_and_leaves_the_snapshot(place):
    table = place / "t.csv"
    table.write_text("a,b\n" + "1,2\n" * 10)
    asset = build_raw("p", Source(path=str(table)), minimum_rows=10)
    with dg.DagsterInstance.ephemeral() as instance:
        assert materialized([asset], instance)[1] == ""
        table.write_text("a,b\n1,2\n")
        assert "has 1 rows, and automation.minimum_rows asks for 10" in materialized([asset], instance)[1]
    assert open_table(place / "own" / "p" / "raw").rows == 10
    with pytest.raises(ValueError, match=r"automation\.minimum_rows"):
        MLPipeline(
            name="p",
            source="t.csv",
            label="b",
            automation={"minimum_rows": 5},
            partitions={"column": "a", "static": ["1"]},
        )


def test_rows_that_no_plan_is_made_of_in_the_run_need_no_label(place):
    def refuse(frame):
        raise DataError(f"columns {frame.columns} have no label")

    @dg.asset(key=["p", "feature_plan"], deps=[dg.AssetKey(["p", "raw"])])
    def feature_plan():
        pass

    (place / "t.csv").write_text("a,b\n1,2\n")
    raw = build_raw("p", Source(path=str(place / "t.csv")), check_columns=refuse)
    with dg.DagsterInstance.ephemeral() as instance:
        assert materialized([raw, feature_plan], instance, raw.key)[1] == ""
        assert "['a', 'b'] have no label" in materialized([raw, feature_plan], instance)[1]


@pytest.mark.parametrize(("own", "scores"), [("mine", ()), ("mine/own", ()), ("own", ["mine/scores"])])
def test_a_folder_that_would_hold_our_own_data_is_not_read(place, monkeypatch, own, scores):
    monkeypatch.setenv("SYNML_DATA_DIR", own)
    (place / "mine").mkdir()
    (place / "mine" / "t.csv").write_text("a,b\n1,2\n")
    with dg.DagsterInstance.ephemeral() as instance:
        asset = build_raw("p", Source(path="mine"), scores=scores)
        assert "the folder 'mine' would also hold" in materialized([asset], instance)[1]
        if not scores:  # one file of it is no folder that grows
            asset = build_raw("p", Source(path=str(place / "mine/t.csv")))
            assert materialized([asset], instance)[1] == ""


def test_each_partition_of_a_run_over_several_has_its_own_row_count(place):
    from synml_dagster.partitions import PartitionsSpec

    (place / "t.csv").write_text("day,b\nx,1\ny,2\ny,3\n")
    asset = build_raw(
        "p", Source(path=str(place / "t.csv")), PartitionsSpec(column="day", static=["x", "y", "z"])
    )
    over = {"tags": {"dagster/asset_partition_range_start": "x", "dagster/asset_partition_range_end": "z"}}
    with dg.DagsterInstance.ephemeral() as instance:
        done, failed = materialized([asset], instance, **over)
        assert failed == ""
        made = done.asset_materializations_for_node("p__raw")
    assert {m.partition: m.metadata["dagster/partition_row_count"].value for m in made} == {
        "x": 1,
        "y": 2,
        "z": 0,
    }
