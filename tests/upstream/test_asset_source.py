"""A pipeline whose source is another Dagster asset: its rows, its partitions, and what its materializations set off."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import dagster as dg
import pandas as pd
import pytest

from synml_dagster import MLPipeline
from synml_dagster.automation import REASON_TAG
from synml_dagster.automation.new_partitions import keys_for_one_run
from synml_dagster.errors import ConfigError, SourceError
from synml_dagster.io_managers.spark_table import SparkTableIOManager
from synml_dagster.partitions import PartitionsSpec
from synml_dagster.partitions.definition import RANGE_END, RANGE_START
from synml_dagster.sources import Source
from synml_dagster.sources.version import SOURCE_VERSION
from synml_dagster.tables import append_table, open_table, publish_table
from synml_dagster.upstream import Upstream, reach

DAYS = ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"]
DAILY = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-01-05")
BY_DAY = {"daily": "2026-01-01", "end": "2026-01-04"}


@pytest.fixture
def folder(tmp_path, monkeypatch, classic_spark):
    monkeypatch.setenv("SYNML_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SPARK_MASTER", "local[2]")
    return tmp_path


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def rows(day: str, count: int) -> pd.DataFrame:
    return pd.DataFrame({"day": [day] * count, "age": range(count), "buys": ["yes", "no"] * (count // 2)})


def written(folder, count=4, **told):
    """An asset that writes a file by itself and says where."""

    @dg.asset(key=["shop", "visits"])
    def visits():
        file = folder / "visits.parquet"
        rows("2026-01-01", count).to_parquet(file)
        return dg.MaterializeResult(metadata={"path": str(file)} | told)

    return visits


def daily(folder, key=("shop", "visits"), cut=DAILY, count=4):
    """An asset with partitions, each of which is a file of its own, without a column of days."""

    @dg.asset(key=list(key), partitions_def=cut)
    def visits(context):
        told = {}
        for day in context.partition_keys:
            file = folder / f"{day}.parquet"
            rows(day, count).drop(columns="day").to_parquet(file)
            told[day] = file
        return dg.MaterializeResult(metadata={"dagster/uri": str(told[context.partition_keys[-1]])})

    return visits


def pipeline(*assets, source=None, **more):
    told = {"name": "p", "source": source or {"asset": "shop/visits"}, "label": "buys"} | more
    return dg.Definitions.merge(
        MLPipeline.model_validate(told).definitions(), dg.Definitions(assets=list(assets))
    )


def run(defs, instance, *keys, stage="p/raw"):
    """Materialize one asset, of one partition or of all from the first to the last of two."""
    job = defs.resolve_implicit_global_asset_job_def()
    over = {}
    if keys:
        over = (
            {"partition_key": keys[0]}
            if len(keys) == 1
            else {"tags": {RANGE_START: keys[0], RANGE_END: keys[1]}}
        )
    return job.execute_in_process(
        instance=instance, asset_selection=[dg.AssetKey(stage.split("/"))], raise_on_error=False, **over
    )


def failure(done):
    (found,) = [e.step_failure_data.error for e in done.all_events if e.is_step_failure]
    return found.message


def made(instance, key="p/raw", partition=None):
    wanted = dg.AssetRecordsFilter(
        dg.AssetKey(key.split("/")), asset_partitions=[partition] if partition else None
    )
    return instance.fetch_materializations(wanted, limit=1).records[0].asset_materialization


def tick(defs, instance, cursor=None):
    with dg.build_sensor_context(
        instance=instance,
        cursor=cursor,
        definitions=defs,
        resources={"spark": defs.resources["spark"]},
    ) as context:
        return defs.resolve_sensor_def("p_new_data").evaluate_tick(context)


def test_raw_depends_on_the_asset_reads_the_file_that_it_names_and_remembers_its_materialization(
    folder, instance
):
    defs = pipeline(written(folder), automation={"on_new_data": "score"})
    graph = defs.resolve_asset_graph()
    assert {k.to_user_string() for k in graph.get(dg.AssetKey(["p", "raw"])).parent_keys} == {"shop/visits"}
    assert not graph.has(dg.AssetKey(["p", "source"]))
    assert "was never materialized" in failure(run(defs, instance))
    assert "waiting: source.asset: shop/visits was never materialized" in tick(defs, instance).skip_message

    assert run(defs, instance, stage="shop/visits").success
    (request,) = tick(defs, instance).run_requests
    assert request.tags[REASON_TAG].startswith("asset shop/visits changed from version none to event-")
    assert run(defs, instance).success
    table = open_table(folder / "data" / "p" / "raw")
    assert table.rows == 4
    assert made(instance).metadata[SOURCE_VERSION].value.startswith("event-")
    first = made(instance).tags["dagster/data_version"]
    asked = tick(defs, instance)
    assert "unchanged" in asked.skip_message

    assert run(defs, instance, stage="shop/visits").success
    asked = tick(defs, instance, asked.cursor)
    assert len(asked.run_requests) == 1
    # One change asks for one run, even when that run fails.
    assert not tick(defs, instance, asked.cursor).run_requests
    assert run(defs, instance).success
    assert made(instance).tags["dagster/data_version"] != first


def test_an_asset_of_another_code_location_is_read_by_what_it_has_reported(folder, instance):
    file = folder / "reported.csv"
    rows("2026-01-01", 6).to_csv(file, index=False)
    defs = pipeline(automation={"on_new_data": "retrain"})
    with pytest.raises(SourceError, match="shop/visits is no asset of this code location"):
        tick(defs, instance)

    def reported(version):
        instance.report_runless_asset_event(
            dg.AssetMaterialization(
                ["shop", "visits"],
                metadata={"path": dg.MetadataValue.path(str(file))},
                tags={"dagster/data_version": version, "dagster/data_version_is_user_provided": "true"},
            )
        )

    reported("one")
    assert len(tick(defs, instance).run_requests) == 1
    assert run(defs, instance).success
    assert open_table(folder / "data" / "p" / "raw").rows == 6
    reported("one")  # the same rows once more, as it says itself
    assert "unchanged" in tick(defs, instance).skip_message
    reported("two")
    assert len(tick(defs, instance).run_requests) == 1


def test_each_partition_is_read_from_that_of_the_asset_and_needs_no_column(folder, instance):
    upstream = daily(folder)
    defs = pipeline(upstream, partitions=BY_DAY)
    for day, count in zip(DAYS[:2], (2, 4), strict=True):
        assert run(pipeline(daily(folder, count=count)), instance, day, stage="shop/visits").success
    assert run(defs, instance, DAYS[0], DAYS[1]).success
    for day, count in zip(DAYS[:2], (2, 4), strict=True):
        assert open_table(folder / "data" / "p" / "raw" / "partitions" / day).rows == count
        version = made(instance, partition=day).metadata[SOURCE_VERSION].value
        assert version.startswith("event-")
    versions = {made(instance, partition=day).metadata[SOURCE_VERSION].value for day in DAYS[:2]}
    assert len(versions) == 2
    said = failure(run(defs, instance, DAYS[3]))
    assert "shop/visits has never materialized its partition '2026-01-04'; it has 2" in said


def test_new_and_changed_partitions_are_asked_for_in_runs_of_those_that_follow_each_other(folder, instance):
    upstream = daily(folder)
    defs = pipeline(upstream, partitions=BY_DAY, automation={"on_new_data": "score"})
    for day in (DAYS[0], DAYS[1], DAYS[3]):
        run(defs, instance, day, stage="shop/visits")
    first = tick(defs, instance)
    (request,) = first.run_requests
    assert request.partition_key == DAYS[3]
    second = tick(defs, instance, first.cursor)
    (request,) = second.run_requests
    assert (request.tags[RANGE_START], request.tags[RANGE_END]) == (DAYS[0], DAYS[1])
    # Nothing has run: neither is asked for again.
    idle = tick(defs, instance, second.cursor)
    assert "unchanged in all partitions" in idle.skip_message
    run(defs, instance, DAYS[0], DAYS[1])
    run(defs, instance, DAYS[3])
    run(defs, instance, DAYS[1], stage="shop/visits")
    third = tick(defs, instance, idle.cursor)
    (request,) = third.run_requests
    assert request.partition_key == DAYS[1]
    assert request.tags[REASON_TAG] == "asset shop/visits has materialized '2026-01-02'"
    run(defs, instance, DAYS[1])
    assert not tick(defs, instance, third.cursor).run_requests
    # A cursor that is reset by hand asks for nothing that was read.
    assert not tick(defs, instance).run_requests


def test_of_two_dimensions_the_newest_time_comes_first_whichever_is_named_first():
    by = {"country": {"static": ["de", "fr"]}, "day": {"daily": "2026-01-01"}}
    keys = [f"{country}|{day}" for country in ("de", "fr") for day in DAYS]
    changed = [keys[2], keys[3], keys[4]]  # the last one is of the first day
    assert keys_for_one_run(changed, keys, PartitionsSpec(dimensions=by)) == [keys[3]]


def test_one_place_for_all_partitions_needs_the_column_that_tells_them_apart(folder, instance):
    whole = pd.concat([rows(day, count) for day, count in zip(DAYS, (2, 4, 6, 8), strict=True)])
    whole.assign(day=pd.to_datetime(whole["day"]).dt.date).to_parquet(folder / "all.parquet")

    @dg.asset(
        key=["shop", "visits"], partitions_def=DAILY, metadata={"dagster/uri": str(folder / "all.parquet")}
    )
    def visits() -> None:
        """Its definition says where its rows are, and its materializations say nothing."""

    for day in DAYS:
        instance.report_runless_asset_event(dg.AssetMaterialization(["shop", "visits"], partition=day))
    said = failure(run(pipeline(visits, partitions=BY_DAY), instance, DAYS[1]))
    assert "its partitions '2026-01-02' and '2026-01-04' both lie in" in said
    defs = pipeline(visits, partitions=BY_DAY | {"column": "day"})
    assert run(defs, instance, DAYS[1], DAYS[2]).success
    counts = [open_table(folder / "data" / "p" / "raw" / "partitions" / day).rows for day in DAYS[1:3]]
    assert counts == [4, 6]
    # Without partitions all of it is read, and once.
    assert run(pipeline(visits), instance).success
    assert open_table(folder / "data" / "p" / "raw").rows == 20


def test_all_partitions_of_an_asset_are_read_where_the_pipeline_has_none(folder, instance):
    upstream = daily(folder)
    defs = pipeline(upstream, automation={"on_new_data": "retrain"})
    for day in DAYS[:3]:
        run(defs, instance, day, stage="shop/visits")
    assert len(tick(defs, instance).run_requests) == 1
    assert run(defs, instance).success
    assert open_table(folder / "data" / "p" / "raw").rows == 12
    asked = tick(defs, instance)
    assert "unchanged" in asked.skip_message
    run(defs, instance, DAYS[3], stage="shop/visits")
    assert len(tick(defs, instance, asked.cursor).run_requests) == 1


def test_tables_of_our_own_io_manager_are_read_as_their_readers_do(folder, instance, classic_spark):
    from synml_dagster.resources import SparkResource
    from synml_dagster.tables import restore_table

    spark = SparkResource(master="local[2]")

    @dg.asset(key=["shop", "visits"], io_manager_key="tables", partitions_def=DAILY)
    def visits(context):
        return {
            day: classic_spark.createDataFrame(rows(day, 2 + 2 * DAYS.index(day)))
            for day in context.partition_keys
        }

    upstream = dg.Definitions(assets=[visits], resources={"tables": SparkTableIOManager(spark=spark)})
    defs = dg.Definitions.merge(pipeline(partitions=BY_DAY), upstream)
    assert run(defs, instance, DAYS[0], DAYS[2], stage="shop/visits").success
    assert run(defs, instance, DAYS[0], DAYS[2]).success
    raw = folder / "data" / "p" / "raw" / "partitions"
    assert [open_table(raw / day).rows for day in DAYS[:3]] == [2, 4, 6]
    whole = dg.Definitions.merge(pipeline(), upstream)
    assert run(whole, instance).success
    assert open_table(folder / "data" / "p" / "raw").rows == 12
    assert run(defs, instance, DAYS[0], stage="shop/visits").success
    restore_table(folder / "data" / "shop" / "visits" / "partitions" / DAYS[0])
    assert run(defs, instance, DAYS[0]).success


@pytest.mark.parametrize(
    ("cut", "partitions", "said"),
    [
        (dg.WeeklyPartitionsDefinition("2026-01-01"), BY_DAY, "Write partitions: {weekly: 2026-01-04}"),
        (dg.DailyPartitionsDefinition("2026-02-01"), BY_DAY, "the description's begin earlier"),
        (
            dg.DailyPartitionsDefinition("2026-01-01", timezone="Europe/Berlin"),
            BY_DAY,
            "their time zones are not the same",
        ),
        (dg.StaticPartitionsDefinition(["a"]), {"static": ["a", "b"]}, "it has no 'b'"),
        (dg.StaticPartitionsDefinition(["a"]), BY_DAY, "the asset's are not of time"),
        (
            dg.DynamicPartitionsDefinition(name="x"),
            {"dynamic": "y"},
            "its dynamic partitions are 'x', not 'y'",
        ),
        (
            DAILY,
            {"dimensions": {"day": {"daily": "2026-01-01"}, "at": {"static": ["a"]}}},
            "the asset's have one dimension",
        ),
    ],
)
def test_partitions_that_disagree_are_an_error_at_load(folder, cut, partitions, said):
    defs = pipeline(daily(folder, cut=cut), partitions=partitions)
    with pytest.raises(dg.DagsterInvalidDefinitionError) as caught:
        dg.Definitions.validate_loadable(defs)
    assert isinstance(caught.value.__cause__, ConfigError)
    assert said in str(caught.value.__cause__)
    assert "source.asset shop/visits" in str(caught.value.__cause__)


def test_partitions_that_agree_load_and_are_written_down_as_dagster_would(folder):
    from dagster._core.remote_representation.external_data import RepositorySnap
    from dagster_shared.serdes import deserialize_value, serialize_value

    for cut, partitions in (
        (dg.DailyPartitionsDefinition("2025-06-01"), BY_DAY),
        (dg.StaticPartitionsDefinition(["a", "b"]), {"static": ["a"]}),
    ):
        defs = pipeline(daily(folder, cut=cut), partitions=partitions)
        snap = RepositorySnap.from_def(defs.get_repository_def())
        assert deserialize_value(serialize_value(snap), RepositorySnap) == snap


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"source": {"asset": ""}}, "is an asset's key"),
        ({"source": {"asset": "shop//visits"}}, "is an asset's key"),
        ({"source": {"asset": "a", "path": "b.csv", "table": "c"}}, "this one has path and table"),
        ({"source": {"asset": "a", "version_query": "SELECT 1"}}, "source.version_query says when"),
        ({"source": {"asset": "p/predictions"}}, "a pipeline does not read what it makes"),
        ({"source": "t.csv", "partitions": BY_DAY}, "partitions needs `column`"),
        ({"source": {"asset": "a", "path": "t.csv"}, "partitions": BY_DAY}, "partitions needs `column`"),
        (
            {"source": {"asset": "a"}, "score": {"source": "t.csv"}, "partitions": BY_DAY},
            "score.source is csv t.csv",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_name(told, said):
    with pytest.raises(ValueError, match=said):
        MLPipeline.model_validate({"name": "p", "label": "b"} | told)
    assert Source(asset=["shop", "visits"]).asset == "shop/visits"


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        (
            {},
            "does not say where its rows are; its last materialization has no metadata at all. Let it add metadata `path`",
        ),
        ({"rows": 3}, "its last materialization has rows"),
        (
            {"path": "/nowhere/visits"},
            "says path: /nowhere/visits, and nothing tells in which format that is",
        ),
        (
            {"path": "/nowhere/visits.csv"},
            "there is no '/nowhere/visits.csv'.*This is where asset shop/visits says",
        ),
        (
            {"dagster/table_name": "no.such"},
            "table no.such cannot be read.*say so by path, table, jdbc or sql beside",
        ),
    ],
)
def test_an_asset_whose_rows_cannot_be_found_ends_the_run_and_says_what_to_do(
    folder, instance, metadata, said
):
    instance.report_runless_asset_event(dg.AssetMaterialization(["shop", "visits"], metadata=metadata))
    found = failure(run(pipeline(), instance))
    assert re.search(said, found.replace("\n", " ")), found


def test_of_a_table_that_runs_append_to_the_rows_of_all_runs_are_read(folder, instance, classic_spark):
    for run_id, count in (("a", 2), ("b", 4)):
        frame = classic_spark.createDataFrame(rows("2026-01-01", count))
        table = append_table(frame, str(folder / "grows"), run=run_id)
        told = {"path": table.path, "version": table.version}
        instance.report_runless_asset_event(dg.AssetMaterialization(["shop", "visits"], metadata=told))
    assert run(pipeline(), instance).success
    assert open_table(folder / "data" / "p" / "raw").rows == 6


def test_the_version_is_that_of_what_is_read_and_not_of_what_came_meanwhile(folder, instance):
    defs = pipeline(daily(folder))
    own, later = (run(defs, instance, DAYS[0], stage="shop/visits") for _ in range(2))
    source = Source(asset="shop/visits")

    def version(done):
        ids = SimpleNamespace(run_id=done.run_id, parent_run_id=None, root_run_id=None)
        return reach(SimpleNamespace(instance=instance, run=ids), source).versions[""]

    now = Upstream(SimpleNamespace(instance=instance), source).version()
    assert version(own) != now
    assert version(later) == now


@pytest.mark.parametrize(
    ("places", "told", "said"),
    [
        (["visits", "visits/"], BY_DAY, "'2026-01-02' and '2026-01-01' both lie in"),
        (["visits/day=1", "visits"], BY_DAY, "'2026-01-02' and '2026-01-01' both lie in"),
        (["visits/day=1", "visits"], None, "those of another in .*visits/', which holds that folder"),
    ],
)
def test_rows_of_partitions_are_not_read_twice(folder, instance, places, told, said):
    for day, place in zip(DAYS, places, strict=False):
        metadata = {"dagster/uri": f"{folder}/{place}", "dagster/storage_kind": "parquet"}
        instance.report_runless_asset_event(
            dg.AssetMaterialization(["shop", "visits"], partition=day, metadata=metadata)
        )
    defs = pipeline(**({"partitions": told} if told else {}))
    found = failure(run(defs, instance, *([DAYS[1]] if told else [])))
    assert re.search(said, found), found


def test_a_day_of_another_code_location_is_not_read_as_the_week_of_its_key(folder, instance, classic_spark):
    rows("2026-01-05", 4).to_parquet(folder / "day.parquet")
    table = publish_table(
        classic_spark.createDataFrame(rows("2026-01-05", 4)), folder / "t", cut="0 0 * * * UTC"
    )
    ours = {"path": table.path, "version": table.version}

    def report(day, told):
        made_there = dg.AssetMaterialization(["shop", "visits"], partition=day, metadata=told)
        instance.report_runless_asset_event(made_there)

    weeks = pipeline(partitions={"weekly": "2026-01-05", "end": "2026-01-18", "column": "day"})
    report("2026-01-05", ours)  # tables of this package say it themselves
    assert "were those of '0 0 * * * UTC'" in failure(run(weeks, instance, "2026-01-05"))
    for day in ("2026-01-05", "2026-01-06"):
        report(day, {"dagster/uri": str(folder / "day.parquet")})
    found = failure(run(weeks, instance, "2026-01-05"))
    assert "has materialized '2026-01-06', and that is none of the description's weekly partitions" in found


def test_partitions_of_an_earlier_definition_alone_are_none(folder, instance):
    instance.report_runless_asset_event(dg.AssetMaterialization(["shop", "visits"], partition="north"))
    for told in ({}, {"partitions": BY_DAY}):
        defs = pipeline(daily(folder), automation={"on_new_data": "retrain"}, **told)
        keys = DAYS[:1] if told else []
        assert "none of the partitions that it has now" in failure(run(defs, instance, *keys))
        assert "waiting: source.asset: shop/visits has materialized none" in tick(defs, instance).skip_message


def test_whatever_reads_rows_to_score_of_an_asset_depends_on_it(folder):
    told = {"score": {"source": {"asset": "shop/visits"}}, "explain": {"contributions": True}}
    graph = pipeline(source="t.csv", promote={"shadow": {}}, **told).resolve_asset_graph()
    for stage in ("predictions", "contributions", "shadow_predictions"):
        assert dg.AssetKey(["shop", "visits"]) in graph.get(dg.AssetKey(["p", stage])).parent_keys


def test_the_place_may_be_said_beside_the_asset(folder, instance):
    rows("2026-01-01", 4).to_csv(folder / "t.csv", index=False)
    instance.report_runless_asset_event(dg.AssetMaterialization(["shop", "visits"]))
    defs = pipeline(
        source={"asset": "shop/visits", "path": str(folder / "t.csv")}, automation={"on_new_data": "score"}
    )
    assert run(defs, instance).success
    assert "unchanged" in tick(defs, instance).skip_message
    (folder / "t.csv").write_text("")  # files say nothing: the asset's materializations do
    assert "unchanged" in tick(defs, instance).skip_message


def test_brakes_hold_requests_back_and_lose_none(folder, instance):
    defs = pipeline(
        written(folder),
        automation={
            "on_new_data": "retrain",
            "new_data": {"cool_down_hours": 1, "at_most": 1, "within_days": 1},
        },
    )
    assert run(defs, instance, stage="shop/visits").success
    first = tick(defs, instance)
    (request,) = first.run_requests
    asked_for = {"synml/pipeline": "p", "synml/job": "train"} | request.tags
    instance.create_run_for_job(
        defs.resolve_job_def("p_train"), tags=asked_for, status=dg.DagsterRunStatus.FAILURE
    )
    assert run(defs, instance, stage="shop/visits").success
    held = tick(defs, instance, first.cursor)
    assert "not yet, because the last training was asked for at" in held.skip_message
    assert json.loads(held.cursor) == json.loads(first.cursor)
    free = pipeline(written(folder), automation={"on_new_data": "retrain", "new_data": {"at_most": 1}})
    assert "1 retrainings were asked for within 7 days" in tick(free, instance, held.cursor).skip_message
    open_ = pipeline(written(folder), automation={"on_new_data": "retrain"})
    assert len(tick(open_, instance, held.cursor).run_requests) == 1
