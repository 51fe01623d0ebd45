"""Tables of formats that keep a log, Delta and Iceberg: written, read and watched as such, never by their bare files."""

from __future__ import annotations

import pyspark
import pytest
from pyspark.errors import PySparkException

from synml_dagster.errors import SourceError
from synml_dagster.sources import Source, read_source
from synml_dagster.sources.version import source_version
from synml_dagster.tables import open_catalog_table, publish_catalog_table
from tests.servers import connect_server

pytestmark = [pytest.mark.slow, pytest.mark.connect]

MINOR = ".".join(pyspark.__version__.split(".")[:2])
PACKAGES = {
    "delta": f"io.delta:delta-spark_{MINOR}_2.13:4.4.0",
    "iceberg": f"org.apache.iceberg:iceberg-spark-runtime-{MINOR}_2.13:1.11.0",
}
HAS_ICEBERG = MINOR in ("4.0", "4.1")  # the runtime for 4.1 does not load on 4.2, whose views are classes
TWO = "SELECT id, 'x' AS word FROM range({})"
FAILS = "SELECT IF(id < 90, id, CAST(raise_error('boom') AS bigint)) AS id, 'x' AS word FROM range(100)"


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    return tmp_path_factory.mktemp("warehouse")


@pytest.fixture(scope="module")
def server(warehouse):
    kinds = ["delta", "iceberg"] if HAS_ICEBERG else ["delta"]
    extensions = {
        "delta": "io.delta.sql.DeltaSparkSessionExtension",
        "iceberg": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
    }
    conf = {
        "spark.sql.extensions": ",".join(extensions[kind] for kind in kinds),
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.warehouse.dir": str(warehouse),
        "spark.databricks.delta.snapshotPartitions": "2",
    }
    if HAS_ICEBERG:
        conf |= {
            "spark.sql.catalog.ice": "org.apache.iceberg.spark.SparkCatalog",
            "spark.sql.catalog.ice.type": "hadoop",
            "spark.sql.catalog.ice.warehouse": str(warehouse / "ice"),
        }
    started = connect_server(packages=[PACKAGES[kind] for kind in kinds], more=conf)
    try:
        address = started.__enter__()
    except RuntimeError as problem:
        if "unresolved dependency" not in str(problem):
            raise
        pytest.skip("the jars cannot be fetched from here")
    yield address
    started.__exit__(None, None, None)


@pytest.fixture
def lake(server, monkeypatch):
    from pyspark.sql.connect.session import SparkSession

    monkeypatch.setenv("SPARK_CONNECT_MODE_ENABLED", "1")
    session = SparkSession.builder.remote(server).create()
    yield session
    session.stop()


@pytest.fixture(params=["delta", "iceberg"])
def table(request, lake):
    """A table of three rows, laid out by `word`, with a property that its owner has set."""
    if request.param == "iceberg" and not HAS_ICEBERG:
        pytest.skip(f"there is no Iceberg runtime for Spark {MINOR}")
    database = f"{'ice.' if request.param == 'iceberg' else ''}{request.node.originalname[:40]}"
    lake.sql(f"CREATE NAMESPACE {database}")
    properties = "'made.by' = 'us'"
    if request.param == "delta":
        properties += ", 'delta.enableDeletionVectors' = 'true'"
    lake.sql(
        f"CREATE TABLE {database}.scores (id BIGINT, word STRING) USING {request.param} "
        f"PARTITIONED BY (word) TBLPROPERTIES ({properties})"
    )
    lake.sql(f"INSERT INTO {database}.scores {TWO.format(3)}")
    return f"{database}.scores"


def described(spark, table):
    return {row[0]: row[1] for row in spark.sql(f"DESCRIBE TABLE EXTENDED {table}").collect()}


def test_a_table_stays_of_its_format_and_its_layout(lake, table, request):
    told = publish_catalog_table(lake.sql(TWO.format(7)), table)
    kind = request.node.callspec.params["table"]
    assert (told.rows, told.provider) == (7, kind)
    assert lake.table(table).count() == 7
    assert "# Partition Information" in described(lake, table)
    assert "made.by=us" in described(lake, table)["Table Properties"]


def test_a_table_with_other_columns_is_replaced_in_one_commit(lake, table, request):
    told = publish_catalog_table(lake.sql("SELECT id, 1.5D AS more FROM range(4)"), table)
    assert (told.rows, told.provider) == (4, request.node.callspec.params["table"])
    assert open_catalog_table(lake, table).columns == ["id", "more"]


def test_a_table_is_made_of_its_own_rows(lake, table):
    rows = open_catalog_table(lake, table).where("id > 0")
    assert publish_catalog_table(rows, table).rows == 2
    assert sorted(row.id for row in lake.table(table).collect()) == [1, 2]


def test_a_write_that_fails_leaves_the_rows_that_were_there(lake, table):
    for query in (FAILS, FAILS.replace("word", "other")):
        with pytest.raises(PySparkException, match=r"boom|TASK_WRITE_FAILED"):
            publish_catalog_table(lake.sql(query), table)
        assert open_catalog_table(lake, table).columns == ["id", "word"]
        assert lake.table(table).count() == 3


def test_a_row_that_is_deleted_is_seen_and_not_read(lake, table):
    source = Source(table=table)
    before = source_version(source, lake)
    assert source_version(source, lake) == before
    lake.sql(f"DELETE FROM {table} WHERE id = 1")
    assert source_version(source, lake) != before
    assert sorted(row.id for row in read_source(lake, source).collect()) == [0, 2]


def test_an_earlier_version_is_read_where_the_source_asks_for_one(lake, table, request):
    if request.node.callspec.params["table"] == "delta":
        earlier = {"versionAsOf": "1"}
    else:
        row = lake.sql(f"SELECT snapshot_id FROM {table}.snapshots ORDER BY committed_at").first()
        earlier = {"snapshot-id": str(row[0])}
    lake.sql(f"DELETE FROM {table} WHERE id = 1")
    assert read_source(lake, Source(table=table)).count() == 2
    assert read_source(lake, Source(table=table, options=earlier)).count() == 3


def test_the_folder_of_a_table_is_read_as_the_table(lake, table, warehouse, request):
    lake.sql(f"DELETE FROM {table} WHERE id = 1")
    kind = request.node.callspec.params["table"]
    parts = table.split(".")
    folder = warehouse.joinpath(f"{parts[0]}.db", parts[1]) if kind == "delta" else warehouse.joinpath(*parts)
    source = Source(path=str(folder))
    assert source.resolved_format() == kind
    assert read_source(lake, source).count() == 2
    with pytest.raises(SourceError, match=f"is a {kind} table.*source.format: {kind}, not parquet"):
        read_source(lake, Source(path=str(folder), format="parquet"))
