"""Tables of a real PostgreSQL: replaced whole or by partition, keeping what their owner has given them, by classic Spark and by Connect."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from synml_dagster.errors import ConfigError, DataError, SourceError
from synml_dagster.tables import (
    Database,
    append_database_table,
    open_database_table,
    publish_database_table,
)
from synml_dagster.testing import AppendedTableContract, TableFormatContract
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


def of_runs(shop):
    """How many rows of `scores` each run has."""
    counted = shop.sql("SELECT run_id, count(*) FROM scores GROUP BY 1")
    return {run: int(rows) for run, rows in (line.rsplit("|", 1) for line in counted)}


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
def spark(request):
    classic = request.getfixturevalue("classic_spark")
    if request.param == "classic":
        classic.sql(f"ADD JAR '{DRIVER.resolve()}'")
        return classic
    return request.getfixturevalue("connect_only")


@pytest.fixture
def connect_only(remote, monkeypatch):
    from pyspark.sql.connect.session import SparkSession

    monkeypatch.setenv("SPARK_CONNECT_MODE_ENABLED", "1")
    session = SparkSession.builder.remote(remote).create()
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


class TestAppends(AppendedTableContract):
    @pytest.fixture
    def place(self, shop, table):
        self.shop = shop
        return shop.place(table)

    def glimpse(self, spark, place):  # a jar that is added to a session that runs is there for one thread
        return of_runs(self.shop)

    def append(self, frame, place, run, partition=None):
        return append_database_table(frame, place, run=run, partition=partition)

    def read(self, spark, place):
        return open_database_table(spark, place)

    def test_runs_that_begin_and_end_at_once_lose_no_rows(self, spark, place, request):
        if "classic" in request.node.name:
            pytest.skip("a jar that is added to a session that runs is there for one thread")
        super().test_runs_that_begin_and_end_at_once_lose_no_rows(spark, place)


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


@pytest.mark.parametrize("partition", [None, "a"])
@pytest.mark.parametrize(("kind", "kept"), [("integer", None), ("numeric(10, 2)", "0.67"), ("real", "0.666")])
def test_a_table_that_would_round_to_whole_numbers_is_refused_and_one_of_two_digits_is_not(
    spark, shop, table, kind, kept, partition
):
    """A decimal without digits behind its point loses nothing as a whole number; a column that fills itself is the owner's."""
    shop.sql(
        f"CREATE TABLE scores (id bigint, probability {kind}, partition text, run_id text DEFAULT 'mine'); INSERT INTO scores VALUES (7, 1, 'a')"
    )
    rows = spark.sql("SELECT CAST(1 AS decimal(20, 0)) AS id, 2/3D AS probability")
    if kept is None:
        with pytest.raises(DataError, match=r"'probability' is double \(double precision\) and integer"):
            publish_database_table(rows, shop.place(table), partition=partition)
        assert shop.sql("SELECT id, probability FROM scores") == ["7|1"]
    else:
        publish_database_table(rows, shop.place(table), partition=partition)
        (found,) = shop.sql("SELECT id, run_id, probability FROM scores")
        assert found.startswith(f"1|mine|{kept}")


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


def test_a_table_of_its_owner_takes_the_rows_of_runs_and_keeps_what_it_has(spark, shop, table):
    """Its rights, its indexes and its own columns; what its columns take without loss they take."""
    shop.sql(
        "CREATE DOMAIN run AS text; CREATE TABLE scores (number serial, id numeric, word varchar(9), run_id run, loaded timestamptz NOT NULL DEFAULT now());"
        "CREATE INDEX ON scores (run_id); GRANT SELECT ON scores TO PUBLIC"
    )
    rows = spark.sql("SELECT id, concat('w', id) AS word FROM range(4)")
    for run in ("a", "b", "a"):
        assert append_database_table(rows, shop.place(table), run=run).rows == 4
    assert shop.sql("SELECT run_id, count(loaded), max(number) FROM scores GROUP BY 1 ORDER BY 1") == ["a|4|12", "b|4|8"]  # fmt: skip
    assert shop.sql("SELECT count(*) FROM pg_indexes WHERE tablename = 'scores'") == ["1"]
    shop.sql("ALTER TABLE scores ALTER COLUMN id TYPE integer")
    with pytest.raises(DataError, match=r"'id' is bigint \(bigint\) and integer in the table"):
        append_database_table(rows, shop.place(table), run="c")
    shop.sql("DROP TABLE scores; DROP DOMAIN run")


def test_a_table_that_is_replaced_and_one_that_grows_are_not_the_same(spark, shop, table):
    place = shop.place(table)
    publish_database_table(spark.range(3), place)
    with pytest.raises(ConfigError, match=r"no column 'run_id'.*ALTER TABLE .* ADD COLUMN run_id text"):
        append_database_table(spark.range(3), place, run="a")
    shop.sql("ALTER TABLE scores ADD COLUMN run_id text")
    append_database_table(spark.range(4), place, run="a")
    for partition in (None, "2026-01-01"):
        with pytest.raises(ConfigError, match="holds the rows of earlier runs"):
            publish_database_table(spark.range(5), place, partition=partition)
    assert of_runs(shop) == {"": 3, "a": 4}
    with pytest.raises(ConfigError, match="run is the id of who appends"):
        append_database_table(spark.range(3), place, run="")


def test_partitions_that_make_the_table_at_once_lose_none_of_their_rows(spark, request, shop, table):
    if "classic" in request.node.name:
        pytest.skip("a jar that is added to a session that runs is there for one thread")
    place = shop.place(table)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda day: publish_database_table(spark.range(5), place, partition=day), ("mon", "tue")))  # fmt: skip
    assert shop.sql("SELECT partition, count(*) FROM scores GROUP BY 1 ORDER BY 1") == ["mon|5", "tue|5"]


WRITER = """
import sys, time
from pyspark.sql import functions as sf
from synml_dagster.spark import SparkSettings, open_session
from synml_dagster.tables import Database, append_database_table
driver, address, password, run = sys.argv[1:]
spark = open_session(SparkSettings(master="local[2]", conf={"spark.jars": driver}))
slow = sf.udf(lambda value: time.sleep(0.002) or value, "long")
place = Database(address, "scores", {"user": "owner", "password": password, "batchsize": "100"})
append_database_table(spark.range(4000, numPartitions=4).select(slow("id").alias("id")), place, run=run)
"""


def test_a_run_that_is_killed_in_mid_write_leaves_what_readers_saw_and_is_made_good_by_the_next(
    connect_only, shop, table
):
    place = shop.place(table)
    for run in ("a", "b"):
        append_database_table(connect_only.range(3), place, run=run)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SPARK_CONNECT")}
    left = []

    def beside():
        found = shop.sql("SELECT tablename FROM pg_tables WHERE tablename LIKE 'scores\\_\\_new%'")
        return [name for name in found if name not in left]

    for run in ("a", "c"):  # one that comes again, and one that is new
        command = [sys.executable, "-c", WRITER, str(DRIVER.resolve()), shop.address, PASSWORD, run]
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, start_new_session=True) as writer:  # fmt: skip
            deadline = time.monotonic() + 120
            # Whoever of its tasks has ended has committed its rows, where nobody reads them.
            while not (found := beside()) or shop.sql(f"SELECT count(*) FROM {found[0]}") == ["0"]:
                assert writer.poll() is None, writer.stderr.read()[-3000:]
                assert time.monotonic() < deadline
                assert of_runs(shop) == {"a": 3, "b": 3}
                time.sleep(0.1)
            os.killpg(writer.pid, signal.SIGKILL)
        left += found
        assert of_runs(shop) == {"a": 3, "b": 3}
    append_database_table(connect_only.range(7), place, run="c")
    assert of_runs(shop) == {"a": 3, "b": 3, "c": 7}
    shop.sql(f"DROP TABLE {', '.join(left)}")  # a day later the next run would have done so


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
    log = json.loads(sys.argv[1])
    log["score"] |= {"append": True}
    log["score"]["database"] |= {"table": "visit_log"}
    job = MLPipeline(**log).definitions().resolve_job_def("shop_score")
    for over in ({"tags": {RANGE_START: "2026-01-01", RANGE_END: "2026-01-02"}}, {"partition_key": "2026-01-02"}):
        done = job.execute_in_process(instance=instance, **over)
        print(*map(repr, instance.all_logs(done.run_id)))
    made = instance.get_latest_materialization_event(dg.AssetKey(["shop", "predictions"]))
told = made.asset_materialization.metadata
assert told["run_id"].value == done.run_id
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
    assert told == {"table_name": "visit_log", "storage_kind": "postgresql", "uri": shop.address}
    assert shop.sql(
        "SELECT partition, count(*), count(DISTINCT id), min(probability) >= 0 FROM visit_scores GROUP BY 1 ORDER BY max(scored_at), 1"
    ) == ["2026-01-01|100|100|t", "2026-01-03|100|100|t", "2026-01-02|100|100|t"]
    log = "SELECT partition, count(*), count(DISTINCT id), min(run_id) FROM visit_log GROUP BY partition, run_id ORDER BY max(scored_at), 1"
    *first, last = (line.split("|") for line in shop.sql(log))
    assert [line[:3] for line in first] == [[day, "100", "100"] for day in ("2026-01-01", "2026-01-02")]
    assert last[:3] == ["2026-01-02", "100", "100"]
    assert first[0][3] == first[1][3] != last[3]
    wrong = "SELECT count(*) FROM visit_scores JOIN visits USING (id) WHERE prediction <> buys"
    assert int(shop.sql(wrong)[0]) < 15
