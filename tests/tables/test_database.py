"""Tables of a real PostgreSQL: replaced whole or by partition, keeping what their owner has given them, by classic Spark and by Connect."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from synml_dagster.errors import ConfigError, DataError, SourceError
from synml_dagster.tables import Database, open_database_table, publish_database_table
from synml_dagster.testing import TableFormatContract
from tests.servers import connect_server as a_connect_server
from tests.servers import free_port, postgres_server

pytestmark = [pytest.mark.slow, pytest.mark.connect]

DRIVER = Path("/usr/share/java/postgresql.jar")
PASSWORD = "s3cr3t-word"


class Shop:
    """A database, and how one asks it without Spark."""

    def __init__(self, port: int) -> None:
        self.address = f"jdbc:postgresql://127.0.0.1:{port}/shop"
        self._psql = ["psql", f"postgresql://owner:{PASSWORD}@127.0.0.1:{port}/shop", "-AtqX", "-v", "ON_ERROR_STOP=1"]  # fmt: skip

    def place(self, table: str, **options: str) -> Database:
        return Database(self.address, table, {"user": "owner", "password": PASSWORD} | options)

    def sql(self, statement: str) -> list[str]:
        done = subprocess.run([*self._psql, "-c", statement], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()


@pytest.fixture(scope="module")
def shop():
    if not DRIVER.exists():
        pytest.skip("PostgreSQL's JDBC driver is not installed (libpostgresql-jdbc-java)")
    port = free_port()
    with postgres_server(port, "owner", PASSWORD) as psql:
        psql("--dbname=postgres", "--command=CREATE DATABASE shop")
        yield Shop(port)


@pytest.fixture(scope="module")
def remote(shop):
    with a_connect_server(more={"spark.jars": str(DRIVER.resolve())}) as address:
        yield address


@pytest.fixture(params=["classic", "connect"])
def spark(request, monkeypatch):
    classic = request.getfixturevalue("classic_spark")
    if request.param == "classic":
        classic.sql(f"ADD JAR '{DRIVER.resolve()}'")
        yield classic
        return
    from pyspark.sql.connect.session import SparkSession

    monkeypatch.setenv("SPARK_CONNECT_MODE_ENABLED", "1")
    session = SparkSession.builder.remote(request.getfixturevalue("remote")).create()
    yield session
    session.stop()


@pytest.fixture
def table(shop):
    """The name of a table that is not there yet; nothing that begins with it is left behind."""
    yield "scores"
    left = shop.sql("SELECT tablename FROM pg_tables WHERE tablename LIKE 'scores\\_\\_%'")
    shop.sql("DROP TABLE IF EXISTS scores CASCADE")
    assert left == []


class TestContract(TableFormatContract):
    @pytest.fixture
    def place(self, shop, table):
        return shop.place(table)

    def publish(self, frame, place):
        return publish_database_table(frame, place)

    def read(self, spark, place):
        return open_database_table(spark, place)


def test_a_table_keeps_its_rights_its_views_and_its_own_columns(spark, shop, table):
    shop.sql(
        "CREATE TABLE scores (id bigint PRIMARY KEY, word text NOT NULL, loaded timestamptz NOT NULL DEFAULT now());"
        "CREATE VIEW seen AS SELECT id FROM scores; GRANT SELECT ON scores TO PUBLIC"
    )
    rows = "SELECT id, concat('w', id) AS word FROM range({})"
    assert publish_database_table(spark.sql(rows.format(9)), shop.place(table)).rows == 9
    assert publish_database_table(spark.sql(rows.format(4)), shop.place(table)).rows == 4
    assert shop.sql("SELECT id FROM seen ORDER BY id") == ["0", "1", "2", "3"]
    assert shop.sql("SELECT count(*) FROM scores WHERE loaded IS NOT NULL AND word = 'w' || id") == ["4"]
    assert "=r/owner" in shop.sql("SELECT relacl FROM pg_class WHERE relname = 'scores'")[0]


def test_rows_that_the_table_refuses_leave_it_as_it_was(spark, request, shop, table):
    if "classic" in request.node.name:
        pytest.skip(
            "Spark cannot read an error whose class is in a jar that was added to a session that runs"
        )
    shop.sql("CREATE TABLE scores (id bigint PRIMARY KEY); INSERT INTO scores VALUES (7)")
    with pytest.raises(SourceError, match="duplicate key") as found:
        publish_database_table(spark.sql("SELECT id % 3 AS id FROM range(9)"), shop.place(table))
    assert PASSWORD not in "".join(traceback.format_exception(found.value))
    assert shop.sql("SELECT id FROM scores") == ["7"]


def test_the_rows_of_one_partition_are_replaced_and_no_others(spark, shop, table):
    place = shop.place(table)
    for day, rows in (
        ("2026-01-01", 5),
        ("2026-01-02", 3),
        ("2026-01-01", 2),
        ("it's", 1),
        ("2026-01-02", 0),
    ):
        assert publish_database_table(spark.range(rows), place, partition=day).rows == rows
    counts = shop.sql("SELECT partition, count(*) FROM scores GROUP BY 1 ORDER BY 1")
    assert counts == ["2026-01-01|2", "it's|1"]
    with pytest.raises(ConfigError, match="has no column 'word'"):
        publish_database_table(spark.sql("SELECT 1L AS id, 'x' AS word"), place, partition="2026-01-03")
    with pytest.raises(DataError, match="'Partition' is to hold the partition's key"):
        publish_database_table(spark.sql("SELECT 1 AS Partition"), place, partition="2026-01-03")


def test_names_with_capitals_and_schemas_are_those_that_are_written(spark, shop, table):
    shop.sql('CREATE SCHEMA IF NOT EXISTS "My Schema"')
    place = shop.place('"My Schema"."The Scores"')
    for rows in (3, 2):
        publish_database_table(spark.sql(f"SELECT id AS `An Id`, 'a' AS a FROM range({rows})"), place)
    assert shop.sql('SELECT "An Id" FROM "My Schema"."The Scores" ORDER BY 1') == ["0", "1"]
    assert shop.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'My Schema'") == ["The Scores"]


def test_two_that_write_at_once_leave_the_rows_of_one(spark, request, shop, table):
    if "classic" in request.node.name:
        pytest.skip("a jar that is added to a session that runs is there for one thread")
    place = shop.place(table)
    publish_database_table(spark.range(1), place)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda rows: publish_database_table(spark.range(rows), place).rows, (100, 200)))
    assert shop.sql("SELECT count(*) FROM scores")[0] in ("100", "200")


def test_what_a_killed_run_has_left_is_dropped_a_day_later(spark, shop, table):
    shop.sql(
        "CREATE TABLE scores__new_20200101000000_0123abcd (id int); CREATE TABLE scores__new_mine (id int);"
        "CREATE TABLE scores__new_20990101000000_0123abcd (id int)"
    )
    publish_database_table(spark.range(1), shop.place(table))
    left = shop.sql("SELECT tablename FROM pg_tables WHERE tablename LIKE 'scores%' ORDER BY 1")
    assert left == ["scores", "scores__new_20990101000000_0123abcd", "scores__new_mine"]
    shop.sql("DROP TABLE scores__new_20990101000000_0123abcd, scores__new_mine")


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ("SELECT named_struct('a', 1) AS both", "'both' is struct<a:int>"),
        (f"SELECT 1 AS {'x' * 64}", "longer name than the 63 bytes"),
    ],
)
def test_what_a_database_cannot_hold_is_named_before_the_work(spark, shop, rows, problem):
    with pytest.raises(DataError, match=problem):
        publish_database_table(spark.sql(rows), shop.place("scores"))


def test_a_database_that_is_not_there_or_refuses_is_named_and_keeps_its_password(spark, shop):
    nowhere = Database(f"jdbc:postgresql://127.0.0.1:{free_port()}/shop", "scores", {"user": "owner", "password": PASSWORD})  # fmt: skip
    refused = Database(shop.address, "scores", {"user": "owner", "password": PASSWORD + "x"})
    for place, why in ((nowhere, "refused"), (refused, "password authentication failed")):
        with pytest.raises(SourceError, match=why) as found:
            publish_database_table(spark.range(1), place)
        assert PASSWORD not in "".join(traceback.format_exception(found.value))
    with pytest.raises(SourceError, match="no such table yet"):
        open_database_table(spark, shop.place("absent"))


RUNS = """
import json, sys
import dagster as dg
from synml_dagster import MLPipeline
from synml_dagster.partitions.definition import RANGE_END, RANGE_START

job = MLPipeline(**json.loads(sys.argv[1])).definitions().resolve_job_def("shop_train")
days = {"tags": {RANGE_START: "2026-01-01", RANGE_END: "2026-01-03"}}
with dg.DagsterInstance.ephemeral() as instance:
    for over in (days, {"partition_key": "2026-01-02"}):
        done = job.execute_in_process(instance=instance, **over)
        print(*map(repr, instance.all_logs(done.run_id)))
    made = instance.get_latest_materialization_event(dg.AssetKey(["shop", "predictions"]))
told = made.asset_materialization.metadata
print(json.dumps({name: told[f"dagster/{name}"].value for name in ("table_name", "storage_kind", "uri")}))
"""


def test_a_pipeline_reads_one_table_and_writes_its_scores_by_day_to_another(remote, shop, tmp_path):
    """All of it from the description; the password is in no event."""
    shop.sql(
        "CREATE TABLE visits AS SELECT n AS id, DATE '2026-01-01' + (n / 100)::int AS day, (18 + n * 37 % 70)::float8 AS age,"
        " (ARRAY['Oslo', 'Bern', 'Rome'])[1 + n % 3] AS city, CASE WHEN n * 37 % 70 > 32 THEN 'yes' ELSE 'no' END AS buys"
        " FROM generate_series(0, 299) n"
    )
    login = {"user": "owner", "password": PASSWORD}
    description = {
        "name": "shop",
        "source": {"jdbc": shop.address, "options": login | {"dbtable": "visits"}},
        "label": "buys",
        "features": {"exclude": ["id", "day"]},
        "partitions": {"column": "day", "daily": "2026-01-01", "end": "2026-01-03"},
        "sweep": {"trials": 0},
        "train": {"rounds": 10, "early_stopping": 0},
        "explain": {"rows": 20},
        "score": {
            "keep": ["id"],
            "database": {"jdbc": shop.address, "table": "visit_scores", "options": login},
        },
    }
    done = subprocess.run(
        [sys.executable, "-c", RUNS, json.dumps(description)],
        env=os.environ | {"SPARK_REMOTE": remote, "SYNML_DATA_DIR": str(tmp_path / "data")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    assert PASSWORD not in done.stdout + done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told == {"table_name": "visit_scores", "storage_kind": "postgresql", "uri": shop.address}
    assert shop.sql(
        "SELECT partition, count(*), count(DISTINCT id), min(probability) >= 0 FROM visit_scores GROUP BY 1 ORDER BY max(scored_at), 1"
    ) == ["2026-01-01|100|100|t", "2026-01-03|100|100|t", "2026-01-02|100|100|t"]
    wrong = "SELECT count(*) FROM visit_scores JOIN visits USING (id) WHERE prediction <> buys"
    assert int(shop.sql(wrong)[0]) < 15
