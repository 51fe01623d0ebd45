"""Vectors go to a real PostgreSQL by their key: whole writes, nothing twice, and values as they were."""

from __future__ import annotations

import json
import time
from datetime import UTC, date, datetime
from decimal import Decimal

import psycopg2
import pyarrow as pa
import pytest

from synml_dagster.errors import ConfigError, DataError, SetupError
from synml_dagster.services import vectors
from synml_dagster.services.vectors.settings import Settings
from synml_dagster.services.vectors.staging import Staging
from synml_dagster.services.vectors.table import Table
from tests.servers import free_port, postgres_server

PASSWORD = "s3cr3t-word"
ROWS = "id bigint, text string, vector array<float>"


class Shop:
    def __init__(self, port, folder):
        self.host = f"127.0.0.1:{port}"
        (folder / "passfile").write_text(f"*:*:*:*:{PASSWORD}\n")
        (folder / "passfile").chmod(0o600)
        self.url = f"postgresql://owner@{self.host}/shop?passfile={folder / 'passfile'}"

    def sql(self, statement):
        lent = psycopg2.connect(self.url)
        try:
            with lent, lent.cursor() as asking:
                asking.execute(statement)
                return asking.fetchall() if asking.description else None
        finally:
            lent.close()

    def options(self, **more):
        return {"url": self.url, "table": "reviews", "key": "id"} | more

    def left(self):
        return self.sql("SELECT relname FROM pg_class WHERE relname LIKE '%\\_\\_rows\\_%'")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    port = free_port()
    with postgres_server(port, "owner", PASSWORD) as psql:
        end = time.monotonic() + 60
        while True:  # its port is open before it answers
            try:
                psycopg2.connect(f"postgresql://owner:{PASSWORD}@127.0.0.1:{port}/postgres").close()
                break
            except psycopg2.OperationalError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)
        psql("--dbname=postgres", "--command=CREATE DATABASE shop")
        yield Shop(port, tmp_path_factory.mktemp("shop"))


@pytest.fixture
def table(shop):
    shop.sql(
        "CREATE TABLE reviews (id bigint PRIMARY KEY, text text, vector real[], note text DEFAULT 'own')"
    )
    yield shop
    assert shop.left() == []
    shop.sql("DROP TABLE IF EXISTS reviews")


@pytest.fixture
def pgvector(shop):
    try:
        shop.sql("CREATE EXTENSION IF NOT EXISTS vector")
    except psycopg2.Error as problem:
        pytest.skip(f"pgvector is not installed: {problem}".strip())
    shop.sql("DROP TABLE IF EXISTS reviews")
    yield shop
    assert shop.left() == []
    shop.sql("DROP TABLE IF EXISTS reviews")


def struct(ddl):
    """Spark's own reader of such texts needs a session."""
    from pyspark.sql import types as t

    kinds = {
        "string": t.StringType(), "bigint": t.LongType(), "int": t.IntegerType(), "boolean": t.BooleanType(), "float": t.FloatType(),
        "double": t.DoubleType(), "decimal(20,5)": t.DecimalType(20, 5), "date": t.DateType(), "timestamp": t.TimestampType(),
        "timestamp_ntz": t.TimestampNTZType(), "binary": t.BinaryType(), "struct<a:int>": t.StructType().add("a", "integer"),
    }  # fmt: skip
    kinds |= {f"array<{name}>": t.ArrayType(kind) for name, kind in kinds.items()}
    return t.StructType(
        [t.StructField(name, kinds[kind]) for name, kind in (one.split(" ") for one in ddl.split(", "))]
    )


def staging(shop, schema=ROWS, **more):
    return Staging.of(Table.found(Settings.of(shop.options(**more)), struct(schema)))


def batch(rows, schema=ROWS):
    from pyspark.sql.pandas.types import to_arrow_schema

    arrow = to_arrow_schema(struct(schema), timezone="UTC")
    return pa.RecordBatch.from_pylist([dict(zip(arrow.names, row, strict=True)) for row in rows], arrow)


def write(shop, rows, schema=ROWS, overwrite=False, **more):
    place = staging(shop, schema, **more)
    try:
        task, count = place.put([batch(rows, schema)])
        place.take_over([task], count, overwrite=overwrite)
    except BaseException:
        place.drop()
        raise


def test_rows_are_added_or_changed_by_their_key_and_equal_ones_left_alone(table):
    write(table, [(1, "a\tb\\N\nc", [0.1, -0.0]), (2, None, None), (3, "x", [1.0])])
    assert table.sql("SELECT * FROM reviews ORDER BY id") == [
        (1, "a\tb\\N\nc", [0.1, 0.0], "own"), (2, None, None, "own"), (3, "x", [1.0], "own"),
    ]  # fmt: skip
    touched = dict(table.sql("SELECT id, xmin::text FROM reviews"))
    write(table, [(1, "a\tb\\N\nc", [0.1, -0.0]), (2, "now", [2.0]), (4, "new", [])])
    after = dict(table.sql("SELECT id, xmin::text FROM reviews"))
    assert [id for id in touched if touched[id] != after[id]] == [2]
    assert table.sql("SELECT text, vector FROM reviews WHERE id IN (2, 4) ORDER BY id") == [
        ("now", [2.0]),
        ("new", []),
    ]
    write(table, [(4, "new", [])], overwrite=True)
    assert table.sql("SELECT id FROM reviews") == [(4,)]
    write(table, [], overwrite=True)
    assert table.sql("SELECT id FROM reviews") == []


def test_tries_that_do_not_count_write_nothing(table):
    place = staging(table)
    lost, _ = place.put([batch([(1, "half", [1.0])])])  # its worker was killed, and the task ran again
    one, n = place.put([batch([(1, "whole", [1.0]), (2, "b", [1.0])])])
    other, m = place.put([batch([(3, "c", [1.0])]), batch([])])
    none, zero = place.put([batch([])])
    assert zero == 0
    assert table.sql("SELECT count(*) FROM reviews") == [(0,)]  # nobody sees half
    with pytest.raises(SetupError, match="copied 9 rows, and 3 are there"):
        place.take_over([one, other], 9, overwrite=False)
    place.take_over([one, other, none], n + m, overwrite=False)
    assert table.sql("SELECT id, text FROM reviews ORDER BY id") == [(1, "whole"), (2, "b"), (3, "c")]
    assert lost not in (one, other)
    place.put([batch([(9, "late", [1.0])])])
    place.drop()
    assert table.sql("SELECT count(*) FROM reviews WHERE id = 9") == [(0,)]


def test_what_a_killed_write_has_left_goes_a_day_later(table):
    place = staging(table)
    place.put([batch([(1, "a", [1.0])])])
    staging(table)
    assert len(table.left()) == 1
    table.sql(f"COMMENT ON TABLE {place.name} IS 'synml_vectors 1000'")
    staging(table)
    assert table.left() == []


def test_different_rows_of_one_key_are_refused_unless_one_is_the_latest(table):
    same = [(1, "a", [1.0]), (1, "a", [1.0])]
    write(table, same)
    with pytest.raises(DataError, match="different rows have the same id, such as 1; name a column"):
        write(table, [*same, (1, "b", [1.0])])
    schema = "id bigint, note string, at timestamp"
    table.sql("ALTER TABLE reviews ADD COLUMN at timestamptz")
    day = [datetime(2026, 1, d, tzinfo=UTC) for d in (1, 2, 3)]
    write(
        table,
        [(1, "old", day[0]), (1, "new", day[2]), (1, "mid", day[1]), (1, "none", None)],
        schema,
        latest="at",
    )
    write(table, [(1, "late to come", day[1])], schema, latest="at")
    assert table.sql("SELECT note FROM reviews WHERE id = 1") == [("new",)]
    with pytest.raises(DataError, match="such as 1, and the same at"):
        write(table, [(1, "x", day[2]), (1, "y", day[2])], schema, latest="at")


def test_values_stay_what_they_are(shop):
    schema = (
        "k string, i int, b boolean, f float, d double, n decimal(20,5), day date, at timestamp, local timestamp_ntz, raw binary, "
        "tags array<string>, ids array<bigint>, told string"
    )
    types = (
        "k varchar(9), i bigint, b boolean, f double precision, d double precision, n numeric, day date, at timestamptz, "
        "local timestamp, raw bytea, tags text[], ids bigint[], told jsonb, UNIQUE (k, i)"
    )
    shop.sql(f'CREATE SCHEMA "My"; CREATE TABLE "My"."Kinds" ({types})')
    row = (
        "é'\\", -5, True, 0.5, 1e-300, Decimal("123456789012345.00001"), date(2026, 1, 31), datetime(2026, 1, 31, 1, 2, 3, 456789, UTC),
        datetime(2026, 1, 31, 1, 2, 3), b"\x00\xff\\", ['a"b\\', None, "{,}"], [2**60, -1], '{"a": "\\n"}',
    )  # fmt: skip
    nothing = ("k", 0, *[None] * 11)
    for _ in range(2):
        write(shop, [row, nothing], schema, table='"My"."Kinds"', key="k,i")
    got = shop.sql('SELECT * FROM "My"."Kinds" ORDER BY i')
    read = tuple(bytes(v) if isinstance(v, memoryview) else v for v in got[0])
    assert read[:-1] == row[:-1]
    assert read[-1] == json.loads(row[-1])
    assert got[1] == nothing


def test_vectors_have_their_type_and_their_neighbours(pgvector):
    write(pgvector, [(1, "a", [1.0, 0.0]), (2, "b", [0.1, 0.9])], dimensions="2")
    assert pgvector.sql("SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'reviews'::regclass AND attname = 'vector'") == [("vector(2)",)]  # fmt: skip
    assert pgvector.sql("SELECT text FROM reviews ORDER BY vector <-> '[0,1]' LIMIT 1") == [("b",)]
    write(pgvector, [(1, "a", [1.0, 0.0]), (2, "b", [0.3, 0.9])])
    assert pgvector.sql("SELECT vector::real[] FROM reviews ORDER BY id") == [([1.0, 0.0],), ([0.3, 0.9],)]
    with pytest.raises(DataError, match=r"expected 2 dimensions, not 3 \(column vector\)"):
        write(pgvector, [(3, "c", [1.0, 2.0, 3.0])])
    with pytest.raises(DataError, match="NaN not allowed"):
        write(pgvector, [(3, "c", [1.0, float("nan")])])
    assert pgvector.sql("SELECT count(*) FROM reviews") == [(2,)]


REFUSED = {
    "no option 'tabel'.*Did you mean 'table'": ({"tabel": "x"}, ROWS),
    "the option key is missing": ({"key": " "}, ROWS),
    "a password does not belong into options": ({"password": "x"}, ROWS),
    "a password does not belong": ({"url": "postgresql://me:pw@h/d"}, ROWS),
    "is no name of a table": ({"table": "reviews; DROP TABLE x"}, ROWS),
    "no address of PostgreSQL": ({"url": "mysql://h/d"}, ROWS),
    "cannot be reached": ({"url": "postgresql://me@127.0.0.1:1/d"}, ROWS),
    "there is no table other": ({"table": "other"}, ROWS),
    "has no column 'txt'.*Did you mean 'text'": ({}, "id bigint, txt string"),
    "the rows have no column 'uid'": ({"key": "uid"}, ROWS),
    "no unique index on text.*unique keys are: id.*ADD PRIMARY KEY": ({"key": "text"}, ROWS),
    "'vector' is array of double, and the table's is real": ({}, "id bigint, vector array<double>"),
    "'id' is double, and the table's is bigint": ({}, "id double, text string"),
    "'text' is struct": ({}, "id bigint, text struct<a:int>"),
    "NO_SUCH_VARIABLE holds no key": ({"password_env": "NO_SUCH_VARIABLE"}, ROWS),
}


@pytest.mark.parametrize("said", REFUSED)
def test_what_cannot_be_is_refused_before_a_row_is_copied(table, said):
    options, schema = REFUSED[said]
    with pytest.raises((ConfigError, SetupError), match=said) as refused:
        staging(table, schema, **options)
    assert PASSWORD not in str(refused.value)


def test_rows_that_cannot_be_are_refused_with_their_column(table):
    place = staging(table)
    with pytest.raises(DataError, match="the key 'id' holds nothing"):
        place.put([batch([(None, "a", [1.0])])])
    with pytest.raises(DataError, match="'vector' holds a list in which a number is missing"):
        place.put([batch([(1, "a", [1.0, None])])])
    with pytest.raises(DataError, match=r"invalid byte sequence .* \(column text\)|invalid byte sequence"):
        place.put([batch([(1, "a\0", [1.0])])])
    place.drop()


@pytest.mark.slow
def test_spark_writes_a_table_and_a_stream(spark, table, tmp_path):
    vectors.register(spark)
    wanted = "id", "concat('t', id) AS text", "array(float(id), float(0.5)) AS vector"
    frame = spark.range(0, 1000, 1, 3).selectExpr(*wanted)
    for _ in range(2):
        frame.write.format("synml_vectors").options(**table.options()).mode("append").save()
    assert table.sql("SELECT count(*), sum(vector[1]), min(note) FROM reviews") == [(1000, 499500.0, "own")]
    frame.limit(10).write.format("synml_vectors").options(**table.options()).mode("overwrite").save()
    assert table.sql("SELECT count(*) FROM reviews") == [(10,)]
    with pytest.raises(Exception, match="different rows have the same id"):
        frame.union(frame.selectExpr("id", "'other'", "vector")).write.format("synml_vectors").options(
            **table.options()
        ).mode("append").save()
    assert table.sql("SELECT count(*) FROM reviews") == [(10,)]
    frame.write.parquet(str(tmp_path / "rows"))
    for _ in range(2):  # the second query has another memory, and reads all of it again
        stream = (
            spark.readStream.schema(frame.schema)
            .option("maxFilesPerTrigger", 1)
            .parquet(str(tmp_path / "rows"))
        )
        query = stream.writeStream.format("synml_vectors").options(**table.options()).outputMode("append")
        query = (
            query.option("checkpointLocation", str(tmp_path / f"memory{_}"))
            .trigger(availableNow=True)
            .start()
        )
        assert query.awaitTermination(300)
    assert table.sql("SELECT count(*), sum(vector[1]) FROM reviews") == [(1000, 499500.0)]
