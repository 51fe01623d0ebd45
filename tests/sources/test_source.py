from __future__ import annotations

import os

import pytest
from pydantic import ValidationError

from synml_dagster.errors import SourceError
from synml_dagster.sources import Source, read_source
from synml_dagster.sources.format import log_beside
from synml_dagster.sources.version import source_version

PEOPLE = "age, job ,income\n39, clerk ,<=50K\n50,,>50K\n"


@pytest.fixture
def people(tmp_path):
    file = tmp_path / "people.csv"
    file.write_text(PEOPLE)
    return file


def test_a_csv_needs_nothing_but_its_path(spark, people):
    frame = read_source(spark, Source.model_validate(str(people)))
    assert frame.columns == ["age", "job", "income"]
    assert dict(frame.dtypes)["age"] == "bigint"  # whatever the largest value of this file is
    assert [tuple(r) for r in frame.collect()] == [(39, "clerk", "<=50K"), (50, None, ">50K")]


def test_a_folder_of_parquet_needs_no_format(spark, tmp_path):
    spark.range(3).write.parquet(str(tmp_path / "t"))
    source = Source.model_validate(str(tmp_path / "t"))
    assert source.resolved_format() == "parquet"
    assert read_source(spark, source).count() == 3


def test_sql_is_read(spark):
    assert read_source(spark, Source(sql="SELECT id AS x FROM range(4)")).columns == ["x"]


def test_a_query_that_does_not_parse_is_one_sentence(spark):
    with pytest.raises(SourceError, match=r"sql SELECT FROM WHERE cannot be read"):
        read_source(spark, Source(sql="SELECT FROM WHERE"))


def test_a_table_that_is_not_there_is_one_sentence(spark):
    with pytest.raises(SourceError, match="table no_such_table cannot be read"):
        read_source(spark, Source(table="no_such_table"))


def test_a_file_that_is_not_there_is_named_with_its_neighbours(classic_spark, people):
    with pytest.raises(SourceError, match=r"there is no '.*peeple\.csv'\. Did you mean 'people\.csv'"):
        read_source(classic_spark, Source(path=str(people.with_name("peeple.csv"))))


def test_a_folder_that_is_not_there_is_named(classic_spark, tmp_path):
    with pytest.raises(SourceError, match="does not exist either"):
        read_source(classic_spark, Source(path=str(tmp_path / "no" / "a.csv")))


def test_a_path_that_tells_no_format_asks_for_it(classic_spark, tmp_path):
    (tmp_path / "table.data").write_text("x")
    with pytest.raises(SourceError, match=r"Say source\.format"):
        read_source(classic_spark, Source(path=str(tmp_path / "table.data")))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({}, "exactly one of path, table, jdbc and sql"),
        ({"path": "a.csv", "sql": "SELECT 1"}, "this one has path and sql"),
        ({"sql": "SELECT 1", "format": "csv"}, "goes with source.path"),
        ({"jdbc": "jdbc:postgresql://h/db"}, "needs source.options.dbtable"),
        ({"pth": "a.csv"}, "pth"),
    ],
)
def test_a_source_that_makes_no_sense_is_refused(wrong, says):
    with pytest.raises(ValidationError, match=says):
        Source(**wrong)


def test_passwords_are_not_shown():
    source = Source(
        jdbc="jdbc:postgresql://me:secret@h/db?password=hidden", options={"dbtable": "t", "password": "p"}
    )
    assert source.describe() == "jdbc t of jdbc:postgresql://***@h/db?password=***"


def test_the_version_changes_with_the_file_and_only_then(people):
    source = Source(path=str(people))
    before = source_version(source)
    assert source_version(source) == before
    people.write_text(PEOPLE + "61,guard,<=50K\n")
    assert source_version(source) != before


def test_the_version_of_a_folder_sees_a_new_file_and_ignores_hidden_ones(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.csv").write_text(PEOPLE)
    source = Source(path=str(folder))
    before = source_version(source)
    (folder / "_SUCCESS").write_text("")
    (folder / ".a.crc").write_text("x")
    assert source_version(source) == before
    (folder / "b.csv").write_text(PEOPLE)
    assert source_version(source) != before


def test_the_version_of_a_glob_sees_a_rewritten_file(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text(PEOPLE)
    source = Source(path=str(tmp_path / "*.csv"))
    before = source_version(source)
    os.utime(file, (1, 1))
    assert source_version(source) != before


def test_the_version_of_a_delta_table_is_the_last_entry_of_its_log(tmp_path):
    log = tmp_path / "t" / "_delta_log"
    log.mkdir(parents=True)
    (log / "00000000000000000000.json").write_text("{}")
    (log / "00000000000000000012.json").write_text("{}")
    assert source_version(Source(path=str(tmp_path / "t"))) == "delta-12"


@pytest.fixture
def orders(classic_spark, tmp_path):
    """A table of a real database: Derby, which Spark carries for Hive's catalog."""
    address = f"jdbc:derby:{tmp_path / 'shop'};create=true"
    rows = classic_spark.range(5).selectExpr("id", "id * 1.5 AS total")
    rows.write.jdbc(address, "orders", properties={"driver": _DERBY})
    return address


_DERBY = "org.apache.derby.iapi.jdbc.AutoloadedDriver"


def test_a_table_of_a_database_is_read_by_jdbc(classic_spark, orders):
    whole = Source.model_validate({"jdbc": orders, "options": {"dbtable": "orders", "driver": _DERBY}})
    assert read_source(classic_spark, whole).count() == 5
    query = 'SELECT "total" FROM orders WHERE "id" > 2'
    some = Source.model_validate({"jdbc": orders, "options": {"query": query, "driver": _DERBY}})
    assert sorted(r[0] for r in read_source(classic_spark, some).collect()) == [4.5, 6.0]


def test_a_database_that_is_not_there_is_one_sentence(classic_spark, tmp_path):
    address = f"jdbc:derby:{tmp_path / 'none'}"
    source = Source.model_validate({"jdbc": address, "options": {"dbtable": "orders", "driver": _DERBY}})
    with pytest.raises(
        SourceError,
        match=r"^source: jdbc orders of jdbc:derby:.* cannot be read: Database '.*none' not found\.$",
    ):
        read_source(classic_spark, source)


def test_the_version_of_a_database_is_asked_in_its_own_sql(classic_spark, orders):
    source = Source.model_validate(
        {
            "jdbc": orders,
            "options": {"dbtable": "orders", "driver": _DERBY},
            "version_query": 'SELECT max("id") AS newest FROM orders',
        }
    )
    assert source_version(source, classic_spark) == "4"
    more = classic_spark.range(7, 8).selectExpr("id", "1.5 AS total")
    more.write.mode("append").jdbc(orders, "orders", properties={"driver": _DERBY})
    assert source_version(source, classic_spark) == "7"


def test_a_catalog_table_is_read_and_its_version_changes_with_it(classic_spark, tmp_path):
    classic_spark.range(3).write.option("path", str(tmp_path / "t")).saveAsTable("visits")
    try:
        source = Source(table="visits")
        assert read_source(classic_spark, source).count() == 3
        before = source_version(source, classic_spark)
        assert source_version(source, classic_spark) == before
        classic_spark.range(2).write.insertInto("visits")
        assert source_version(source, classic_spark) != before
    finally:
        classic_spark.sql("DROP TABLE visits")


def test_a_version_query_that_fails_is_one_sentence(classic_spark):
    source = Source(sql="SELECT 1 AS x", version_query="SELECT max(id) FROM nowhere")
    with pytest.raises(SourceError, match=r"source\.version_query .* failed: .*nowhere"):
        source_version(source, classic_spark)


def test_a_version_query_is_asked_of_spark(classic_spark):
    source = Source(sql="SELECT 1 AS x", version_query="SELECT max(id) FROM range(7)")
    assert source_version(source, classic_spark) == "6"


def test_a_source_whose_version_nothing_tells_says_what_to_give(classic_spark):
    with pytest.raises(SourceError, match=r"Give source\.version_query"):
        source_version(Source(sql="SELECT 1 AS x"), classic_spark)


def test_a_folder_with_the_log_of_a_table_format_is_never_read_by_its_bare_files(classic_spark, tmp_path):
    for kind, log in {
        "delta": "_delta_log/00000000000000000000.json",
        "iceberg": "metadata/v1.metadata.json",
        "hudi": ".hoodie/hoodie.properties",
    }.items():
        folder = tmp_path / f"{kind}.parquet"
        classic_spark.range(3).write.parquet(str(folder))
        (folder / log).parent.mkdir()
        (folder / log).write_text("{}")
        assert Source(path=str(folder)).resolved_format() == kind
        with pytest.raises(SourceError, match=f"is a {kind} table"):
            read_source(classic_spark, Source(path=str(folder), format="parquet"))
        with pytest.raises(SourceError, match=f"is a {kind} table"):
            read_source(classic_spark, Source(path=f"{folder}/*.parquet"))


@pytest.mark.parametrize(
    ("log", "kind"),
    [
        ("_delta_log/00000000000000000000.json", "delta"),
        ("metadata/v1.metadata.json", "iceberg"),
        (".hoodie/hoodie.properties", "hudi"),
        ("metadata/readme.txt", None),
    ],
)
def test_the_log_of_a_table_in_an_object_store_is_found(tmp_path, log, kind):
    import fsspec

    folder = f"memory://{tmp_path.name}/sales"
    with fsspec.open(f"{folder}/{log}", "w") as out:
        out.write("{}")
    assert log_beside(folder) == kind
    assert log_beside(f"{folder}/day=*/*.parquet") == kind
    assert log_beside("nosuch://bucket/sales") is None


def test_the_version_of_a_delta_folder_is_its_last_commit(tmp_path):
    log = tmp_path / "_delta_log"
    (log / "_staged_commits").mkdir(parents=True)
    for name in ("9", "10", "10.checkpoint.c0ffee", "_staged_commits/11.c0ffee"):
        number, _, rest = name.rpartition("/")[2].partition(".")
        (log / name).with_name(f"{number:0>20}{'.' if rest else ''}{rest}.json").write_text("{}")
    assert source_version(Source(path=str(tmp_path))) == "delta-10"
