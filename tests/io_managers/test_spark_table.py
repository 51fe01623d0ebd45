"""Spark tables go from asset to asset, whole or not at all."""

# No `from __future__ import annotations`: Dagster reads the annotation of `context` as it stands.
from collections.abc import Iterator

import dagster as dg
import pytest
from pyspark.ml.linalg import MatrixUDT, VectorUDT
from pyspark.sql import DataFrame
from pyspark.sql.types import (
    ArrayType,
    DecimalType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
)

from synml_dagster.errors import DataError
from synml_dagster.files import ParquetFiles
from synml_dagster.io_managers import SparkTableIOManager
from synml_dagster.io_managers.metadata import described
from synml_dagster.io_managers.partition_cut import cut_otherwise
from synml_dagster.resources import SparkResource
from synml_dagster.spark import is_connect
from synml_dagster.tables import MarkedRows, Table, TableUnion, open_table, publish_table

DAYS = dg.StaticPartitionsDefinition(["2026-01-01", "2026-01-02", "a/b c"])


@pytest.fixture
def resources(spark, connect_server, tmp_path) -> dict:
    resource = SparkResource(remote=connect_server) if is_connect(spark) else SparkResource(master="local[2]")
    return {
        "spark": resource,
        "io_manager": SparkTableIOManager(spark=resource, data_dir=str(tmp_path / "data")),
    }


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def run(assets, resources, instance, **options):
    return dg.materialize(assets, resources=resources, instance=instance, raise_on_error=False, **options)


def message(result) -> str:
    (event,) = [e for e in result.all_events if e.is_step_failure]
    error = event.step_failure_data.error
    return error.to_string()


@pytest.mark.parametrize("layout", [[], ["kind"]])
@pytest.mark.parametrize("with_schema", [True, False])
def test_files_that_an_asset_returns_are_stored(resources, instance, tmp_path, layout, with_schema):
    seen = {}

    @dg.asset(metadata={"partition_by": layout})
    def raw(spark: SparkResource) -> ParquetFiles:
        frame = spark.session.sql("SELECT id, IF(id % 2 = 0, 'even', 'odd') AS kind FROM range(10)")
        frame.write.parquet(str(tmp_path / "made"))
        paths = tuple(sorted(map(str, (tmp_path / "made").glob("*.parquet"))))
        return ParquetFiles(paths, schema_json=frame.schema.json() if with_schema else None)

    @dg.asset
    def read(raw: DataFrame) -> DataFrame:
        seen["rows"] = sorted(raw.toPandas().itertuples(index=False, name=None))
        return raw

    assert run([raw, read], resources, instance).success
    assert seen["rows"] == [(i, "odd" if i % 2 else "even") for i in range(10)]
    table = open_table(tmp_path / "data" / "raw")
    assert (table.rows, list(table.partition_by)) == (10, layout)


def test_a_frame_is_stored_and_comes_back_as_table_or_as_frame(resources, instance, tmp_path):
    seen = {}

    @dg.asset(key_prefix="shop", metadata={"partition_by": ["kind"]})
    def raw(spark: SparkResource) -> DataFrame:
        return spark.session.sql(
            "SELECT id, '2026-01-31' AS day, IF(id % 2 = 0, 'even', 'odd') AS kind FROM range(10)"
        )

    @dg.asset(ins={"raw": dg.AssetIn(["shop", "raw"])})
    def as_table(raw: Table) -> Table:
        seen["table"] = raw
        return raw

    @dg.asset(ins={"raw": dg.AssetIn(["shop", "raw"])})
    def as_frame(raw: DataFrame) -> DataFrame:
        seen["frame"] = raw
        return raw.where("id > 7")

    @dg.asset(ins={"raw": dg.AssetIn(["shop", "raw"], metadata={"load_as": "dataframe"})})
    def asked(raw) -> DataFrame:
        return raw.where("id > 5")

    result = run([raw, as_table, as_frame, asked], resources, instance)
    assert result.success
    assert isinstance(seen["table"], Table)
    assert seen["table"].root == f"{tmp_path}/data/shop/raw"
    assert seen["table"].files(kind="odd").count() == 5
    assert seen["frame"].dtypes == [("id", "bigint"), ("day", "string"), ("kind", "string")]
    assert open_table(tmp_path / "data" / "as_table").rows == 10
    assert open_table(tmp_path / "data" / "as_table").partition_by == ("kind",)
    assert open_table(tmp_path / "data" / "as_frame").rows == 2
    assert open_table(tmp_path / "data" / "asked").rows == 4


def test_the_output_carries_what_dagsters_pages_show(resources, instance, tmp_path):
    @dg.asset(key_prefix="shop")
    def raw(spark: SparkResource) -> DataFrame:
        return spark.session.sql("SELECT 1L AS id, array(named_struct('a', 1.5BD)) AS `x.y`, 2S AS s")

    result = run([raw], resources, instance)
    metadata = result.asset_materializations_for_node("shop__raw")[0].metadata
    assert metadata["dagster/row_count"].value == 1
    columns = {c.name: c.type for c in metadata["dagster/column_schema"].value.columns}
    assert columns == {"id": "bigint", "x.y": "array<struct<a:decimal(2,1)>>", "s": "smallint"}
    assert metadata["dagster/uri"].value == f"{tmp_path}/data/shop/raw"
    assert metadata["dagster/table_name"].value == "shop.raw"
    assert metadata["dagster/storage_kind"].value == "parquet"


def test_types_are_named_as_data_frames_name_them():
    """The check `columns` compares them with the names that the feature plan keeps."""
    lower = StringType("UTF8_LCASE")
    kinds = [
        StringType(),
        lower,
        VectorUDT(),
        MatrixUDT(),
        ArrayType(VectorUDT()),
        MapType(lower, ArrayType(lower)),
        ArrayType(StructType([StructField("a b", lower), StructField("v", VectorUDT())])),
        DecimalType(10, 2),
        TimestampNTZType(),
    ]
    fields = [StructField(f"c.{i}", kind) for i, kind in enumerate(kinds)]
    table = Table("/nowhere", "v", 1, StructType(fields).json())
    told = described(dg.build_output_context(), {None: table})["dagster/column_schema"]
    assert [c.type for c in told.columns] == [kind.simpleString() for kind in kinds]
    assert told.columns[2].type == "vector"


def test_a_run_of_one_partition_replaces_that_one_only(spark, resources, instance, tmp_path):
    session = spark  # the assets' own `spark` is the resource
    factor = {"value": 1}

    @dg.asset(partitions_def=DAYS)
    def raw(context: dg.AssetExecutionContext, spark: SparkResource) -> DataFrame:
        rows = (DAYS.get_partition_keys().index(context.partition_key) + 1) * factor["value"]
        return spark.session.range(rows).selectExpr("id", f"'{context.partition_key}' AS day")

    for key in DAYS.get_partition_keys():
        result = run([raw], resources, instance, partition_key=key)
        assert result.success
    metadata = result.asset_materializations_for_node("raw")[0].metadata
    assert metadata["dagster/partition_row_count"].value == 3
    assert "dagster/row_count" not in metadata

    factor["value"] = 0  # a partition that has become empty is empty, and no stale row stays
    assert run([raw], resources, instance, partition_key="2026-01-02").success

    @dg.asset
    def total(raw: Table) -> Table:
        assert isinstance(raw, TableUnion)
        return raw

    @dg.asset(partitions_def=DAYS)
    def each(raw: DataFrame) -> DataFrame:
        return raw

    assert run([raw, total], resources, instance, selection=[total]).success
    stored = open_table(tmp_path / "data" / "total")
    days = [r["day"] for r in stored.dataframe(session).collect()]
    assert sorted(days) == ["2026-01-01"] + ["a/b c"] * 3
    assert run([raw, each], resources, instance, selection=[each], partition_key="a/b c").success
    assert [p.name for p in (tmp_path / "data" / "each" / "partitions").iterdir()] == ["a%2Fb c"]


def test_a_partition_that_was_never_made_is_named(resources, instance):
    @dg.asset(partitions_def=DAYS)
    def raw(spark: SparkResource) -> DataFrame:
        return spark.session.range(2)

    @dg.asset
    def strict(raw: DataFrame) -> None: ...

    @dg.asset(ins={"raw": dg.AssetIn(metadata={"allow_missing_partitions": True})})
    def lenient(raw: DataFrame) -> DataFrame:
        return raw

    assert run([raw], resources, instance, partition_key="2026-01-02").success
    result = run([raw, strict], resources, instance, selection=[strict])
    assert "raw, partition '2026-01-01': nothing has been published" in message(result)
    assert run([raw, lenient], resources, instance, selection=[lenient]).success


def test_a_day_is_no_week_of_the_same_key(resources, instance):
    def build(definition):
        @dg.asset(name="raw", partitions_def=definition)
        def raw(spark: SparkResource) -> DataFrame:
            return spark.session.range(2)

        @dg.asset(partitions_def=definition)
        def own(raw: DataFrame) -> None:
            assert raw.count() == 2

        @dg.asset(ins={"raw": dg.AssetIn(metadata={"allow_missing_partitions": True})})
        def lenient(raw: DataFrame) -> None: ...

        return raw, own, lenient

    raw, own, _ = build(dg.DailyPartitionsDefinition("2026-01-05"))
    assert run([raw, own], resources, instance, partition_key="2026-01-12").success
    # Weeks that begin on Mondays: their keys are days, too.
    weeks = dg.WeeklyPartitionsDefinition("2026-01-05", day_offset=1, end_date="2026-01-19")
    raw, own, lenient = build(weeks)
    refused = message(run([raw, own], resources, instance, partition_key="2026-01-12", selection=[own]))
    assert "raw, partition '2026-01-12'" in refused
    assert "those of '0 0 * * * UTC', and they are those of '0 0 * * 1 UTC' now" in refused
    # Where partitions may be missing a day is none of them.
    alone = message(run([raw, lenient], resources, instance, selection=[lenient]))
    assert "none of its 2 partitions has been materialized" in alone
    assert run([raw, own], resources, instance, partition_key="2026-01-12").success
    assert run([raw, lenient], resources, instance, selection=[lenient]).success


def test_partitions_beside_that_were_cut_otherwise_are_named(classic_spark, tmp_path):
    roots = {key: f"{tmp_path}/partitions/{key}" for key in ("2026-01-05", "2026-01-06", "2026-01-12")}
    for key, cut in zip(roots, ("weekly", "daily", ""), strict=True):
        publish_table(classic_spark.range(1), roots[key], cut=cut)
    assert cut_otherwise([roots["2026-01-05"]], "weekly") == ["2026-01-06"]
    assert cut_otherwise([roots["2026-01-05"]], "") == []
    assert cut_otherwise([f"{tmp_path}/whole"], "weekly") == []


def test_several_partitions_in_one_run_are_told_apart_by_a_column(resources, instance, tmp_path):
    def build(metadata, rows):
        @dg.asset(
            name="raw",
            partitions_def=DAYS,
            metadata=metadata,
            backfill_policy=dg.BackfillPolicy.single_run(),
        )
        def raw(spark: SparkResource) -> DataFrame:
            return spark.session.createDataFrame(rows, "x int, day string")

        return raw

    tags = {
        "dagster/asset_partition_range_start": "2026-01-01",
        "dagster/asset_partition_range_end": "2026-01-02",
    }
    rows = [(1, "2026-01-01"), (2, "2026-01-02"), (3, "2026-01-02")]
    result = run([build({}, rows)], resources, instance, tags=tags)
    assert "nothing says which row belongs to which" in message(result)
    assert run([build({"partition_expr": "day"}, rows)], resources, instance, tags=tags).success
    base = tmp_path / "data" / "raw" / "partitions"
    assert [open_table(base / day).rows for day in ("2026-01-01", "2026-01-02")] == [1, 2]
    stray = [*rows, (4, "1999-01-01"), (5, None)]
    result = run([build({"partition_expr": "day"}, stray)], resources, instance, tags=tags)
    assert "2 rows belong to none of the run's 2 partitions" in message(result)


def test_partitions_whose_columns_differ_are_read_together_or_refused_by_name(spark, tmp_path):
    one = publish_table(spark.sql("SELECT 1 AS a, 'x' AS b"), tmp_path / "1")
    two = publish_table(spark.sql("SELECT 2 AS a, 3.5D AS c"), tmp_path / "2")
    union = TableUnion.of([one, two])
    assert union.columns == ["a", "b", "c"]
    assert sorted(union.dataframe(spark).collect()) == [(1, "x", None), (2, None, 3.5)]
    assert union.files().count() == union.rows == 2
    other = publish_table(spark.sql("SELECT '2' AS a"), tmp_path / "3")
    with pytest.raises(DataError, match=r"column 'a' is string in .* and integer in"):
        TableUnion.of([one, other])


def test_the_asset_may_say_where_its_table_goes(resources, instance, tmp_path):
    @dg.asset(metadata={"root": str(tmp_path / "elsewhere")})
    def scores(spark: SparkResource) -> DataFrame:
        return spark.session.range(3)

    @dg.asset
    def after(scores: Table) -> Table:
        return scores

    assert run([scores], resources, instance).success
    assert run([scores, after], resources, instance, selection=[after]).success
    assert open_table(tmp_path / "elsewhere").rows == 3
    assert open_table(tmp_path / "data" / "after").rows == 3


def test_a_table_that_the_asset_published_in_its_place_is_not_written_again(resources, instance, tmp_path):
    made = {}

    @dg.asset
    def raw(spark: SparkResource) -> Table:
        made["table"] = publish_table(spark.session.range(4), tmp_path / "data" / "raw")
        return made["table"]

    assert run([raw], resources, instance).success
    assert open_table(tmp_path / "data" / "raw") == made["table"]


def test_a_failed_asset_leaves_the_former_table(resources, instance, tmp_path):
    query = {"sql": "SELECT id FROM range(5)"}

    @dg.asset
    def raw(spark: SparkResource) -> DataFrame:
        return spark.session.sql(query["sql"])

    assert run([raw], resources, instance).success
    query["sql"] = "SELECT IF(id < 90, id, CAST(raise_error('boom') AS bigint)) AS id FROM range(100)"
    result = run([raw], resources, instance)
    assert "boom" in message(result)
    assert open_table(tmp_path / "data" / "raw").rows == 5


def test_what_is_no_table_is_refused_by_name(resources, instance):
    @dg.asset
    def numbers():
        return [1, 2, 3]

    @dg.asset(ins={"numbers": dg.AssetIn(metadata={"load_as": "pandas"})})
    def after(numbers) -> None: ...

    assert "numbers returned a builtins.list" in message(run([numbers], resources, instance))
    result = run([numbers, after], resources, instance, selection=[after])
    assert "numbers: nothing has been published under" in message(result)


def test_nothing_is_refused_when_nothing_is_returned(resources, instance):
    @dg.asset
    def quiet():
        return None

    assert "quiet returned None" in message(run([quiet], resources, instance))


def test_rows_with_a_reason_go_to_a_table_beside_and_are_computed_once(resources, instance, tmp_path):
    @dg.asset
    def scores(spark: SparkResource) -> MarkedRows:
        # Drawn anew each time it is computed: the two tables fit together only where that was once.
        frame = spark.session.sql("SELECT id, IF(rand() < 0.5, 'unlucky', NULL) AS why FROM range(1000)")
        return MarkedRows(frame, "why", columns=("id",), aside=("id",))

    result = run([scores], resources, instance)
    assert result.success
    told = result.asset_materializations_for_node("scores")[0].metadata
    good, bad = open_table(tmp_path / "data" / "scores"), open_table(tmp_path / "data" / "scores_rejected")
    assert (good.columns, bad.columns) == (["id"], ["id", "why"])
    session = resources["spark"].session
    ids = [sorted(r.id for r in table.dataframe(session).collect()) for table in (good, bad)]
    assert sorted(ids[0] + ids[1]) == list(range(1000))
    assert told["rows set aside"].value == bad.rows == len(ids[1]) > 0
    assert told["dagster/row_count"].value == good.rows
    assert told["rows set aside/reasons"].value == f"- {bad.rows}: unlucky"
    assert told["rows set aside/path"].value == bad.path


def test_a_catalog_table_is_the_only_place_and_goes_on_as_a_frame(resources, instance, tmp_path):
    @dg.asset(metadata={"table": "handed_on"})
    def scores(spark: SparkResource) -> DataFrame:
        return spark.session.range(4)

    @dg.asset
    def after(scores: DataFrame) -> DataFrame:
        return scores.where("id > 0")

    result = run([scores, after], resources, instance)
    assert result.success
    told = result.asset_materializations_for_node("scores")[0].metadata
    assert told["dagster/table_name"].value == "handed_on"
    assert told["dagster/row_count"].value == 4
    assert open_table(tmp_path / "data" / "after").rows == 3
    assert not (tmp_path / "data" / "scores").exists()
    resources["spark"].session.sql("DROP TABLE handed_on")
