"""Tables of formats that keep a log, Delta and Iceberg: written, read and watched as such, never by their bare files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from pyspark.errors import PySparkException

from synml_dagster.errors import ConfigError, SourceError
from synml_dagster.sources import Source, read_source
from synml_dagster.sources.version import source_version
from synml_dagster.tables import append_catalog_table, open_catalog_table, publish_catalog_table
from synml_dagster.testing import AppendedTableContract, TableFormatContract
from tests.polling import Polling
from tests.servers import connect_server
from tests.tables.lake import HAS_ICEBERG, KINDS, MINOR, PACKAGES, PARTS, settings

pytestmark = [pytest.mark.slow, pytest.mark.connect, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
TWO = "SELECT id, 'x' AS word FROM range({})"
FAILS = "SELECT IF(id < 90, id, CAST(raise_error('boom') AS bigint)) AS id, 'x' AS word FROM range(100)"
NO_ICEBERG = f"there is no Iceberg runtime for Spark {MINOR}"


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    return tmp_path_factory.mktemp("warehouse")


@pytest.fixture(scope="module")
def server(warehouse):
    started = connect_server(packages=[PACKAGES[kind] for kind in KINDS], more=settings(warehouse))
    try:
        address = started.__enter__()
    except RuntimeError as problem:
        if "unresolved dependency" not in str(problem):
            raise
        pytest.skip("the jars cannot be fetched from here")
    yield address
    started.__exit__(None, None, None)


@pytest.fixture(scope="module")
def sessions(server):
    """Two for all: pyspark 4.1 can wait for itself for ever where a session is thrown away while another one begins its first query."""
    from pyspark.sql.connect.session import SparkSession

    opened = [SparkSession.builder.remote(server).create() for _ in range(2)]
    yield opened
    for session in opened:
        session.stop()


@pytest.fixture
def lake(sessions, monkeypatch):
    monkeypatch.setenv("SPARK_CONNECT_MODE_ENABLED", "1")
    return sessions[0]


@pytest.fixture(params=["delta", "iceberg"])
def table(request, lake):
    """A table of three rows, laid out by `word`, with a property that its owner has set."""
    if request.param == "iceberg" and not HAS_ICEBERG:
        pytest.skip(NO_ICEBERG)
    name = f"{request.node.originalname[:40]}_{uuid.uuid4().hex[:6]}"
    database = f"{'ice.' if request.param == 'iceberg' else ''}{name}"
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
        version = lake.sql(f"DESCRIBE HISTORY {table}").agg({"version": "max"}).first()[0]
    else:
        version = lake.sql(f"SELECT snapshot_id FROM {table}.snapshots").first()[0]
    then = lake.sql("SELECT CAST(current_timestamp() AS STRING)").first()[0]
    lake.sql(f"DELETE FROM {table} WHERE id = 1")
    assert read_source(lake, Source(table=table)).count() == 2
    for earlier in ({"versionAsOf": str(version)}, {"timestampAsOf": then}):
        assert read_source(lake, Source(table=table, options=earlier)).count() == 3
    publish_catalog_table(lake.sql(TWO.format(7)), table)
    assert read_source(lake, Source(table=table, options={"versionAsOf": str(version)})).count() == 3


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


class Lake:
    """Where tables may be that keep a log of their own."""

    kind: str

    @pytest.fixture
    def spark(self, lake):
        if self.kind == "delta":
            lake.conf.set("spark.sql.sources.default", "delta")
        yield lake
        lake.conf.unset("spark.sql.sources.default")

    @pytest.fixture
    def place(self, spark):
        name = f"{'ice.' if self.kind == 'iceberg' else ''}contract_{uuid.uuid4().hex[:8]}"
        spark.sql(f"CREATE NAMESPACE {name}")
        return f"{name}.kept"


class LakeContract(Lake, TableFormatContract):
    """The contract of all formats, on a table that a log of its own replaces."""

    def publish(self, frame, place):
        told = publish_catalog_table(frame, place)
        assert told.provider == self.kind
        return told

    def read(self, spark, place):
        return open_catalog_table(spark, place)


class TestDelta(LakeContract):
    kind = "delta"


@pytest.mark.skipif(not HAS_ICEBERG, reason=NO_ICEBERG)
class TestIceberg(LakeContract):
    kind = "iceberg"


class LakeAppends(Lake, AppendedTableContract):
    """The contract of tables to which runs append, on one that keeps a log of its own."""

    @pytest.fixture(autouse=True)
    def _reader(self, sessions):
        self.other = sessions[1]

    def append(self, frame, place, run, partition=None):
        told = append_catalog_table(frame, place, run=run, partition=partition)
        assert told.provider == self.kind
        return told

    def read(self, spark, place):
        return open_catalog_table(spark, place)

    def glimpse(self, spark, place):
        return self.counts(self.other, place)

    def test_a_run_is_one_version_of_the_table(self, spark, place):
        """So that one can go back to what was there before it."""
        self.append(spark.range(3), place, "a")
        before = self.versions(spark, place)
        for rows in (4, 5):
            self.append(spark.range(rows), place, "b")
        after = self.versions(spark, place)
        assert len(after) == len(before) + 2
        found = [
            read_source(spark, Source(table=place, options={"versionAsOf": v})).count() for v in after[-3:]
        ]
        assert found == [3, 7, 8]

    def versions(self, spark, place):
        if self.kind == "delta":
            return [str(row.version) for row in reversed(spark.sql(f"DESCRIBE HISTORY {place}").collect())]
        return [
            str(row[0])
            for row in spark.sql(f"SELECT snapshot_id FROM {place}.snapshots ORDER BY committed_at").collect()
        ]


class TestDeltaAppends(LakeAppends):
    kind = "delta"

    def test_a_table_that_its_owner_laid_out_otherwise_takes_runs(self, spark, place):
        spark.sql(
            f"CREATE TABLE {place} (id BIGINT NOT NULL, word STRING, run_id STRING) USING delta PARTITIONED BY (word)"
        )
        for run, rows in (("a", 3), ("b", 4), ("a", 2)):
            self.append(spark.range(rows), place, run)
        assert self.counts(spark, place) == {"a": 2, "b": 4}
        assert "word" in described(spark, place)
        with pytest.raises(ConfigError, match="would take the place of all"):
            publish_catalog_table(spark.range(3), place)


@pytest.mark.skipif(not HAS_ICEBERG, reason=NO_ICEBERG)
class TestIcebergAppends(LakeAppends):
    kind = "iceberg"

    def test_a_table_that_is_not_laid_out_by_runs_is_refused_and_told_how(self, spark, place):
        spark.sql(f"CREATE TABLE {place} (id BIGINT, run_id STRING) USING iceberg")
        with pytest.raises(ConfigError, match="ADD PARTITION FIELD run_id"):
            self.append(spark.range(3), place, "a")
        spark.sql(f"ALTER TABLE {place} ADD PARTITION FIELD run_id")
        for run, rows in (("a", 3), ("b", 4), ("a", 2)):
            self.append(spark.range(rows), place, run)
        assert self.counts(spark, place) == {"a": 2, "b": 4}


def looked_at(spark, table):
    """The columns of a table, how many rows it has, and the sum of their ids, for which every file has to be opened."""
    found = open_catalog_table(spark, table)
    return (*found.columns, *found.agg({"*": "count", "id": "sum"}).first())


class Reader(Polling):
    """Looks at a table again and again."""

    between = 0.2

    def __init__(self, spark, table):
        self.spark, self.table, self.seen, self.wrong = spark, table, [], []

    def look(self):
        try:
            self.seen.append(looked_at(self.spark, self.table))
        except Exception as problem:
            self.wrong.append(repr(problem))


def rows_below(column, rows):
    return ("id", column, rows, sum(range(rows)))


@pytest.mark.parametrize(
    ("column", "kills"),
    [("word", ["first file", "last but one file", "log"]), ("other", ["half of the files", "log"])],
    ids=["same columns", "other columns"],
)
def test_a_writer_that_is_killed_leaves_a_whole_table_and_the_next_one_replaces_it(
    sessions, lake, table, warehouse, request, column, kills
):
    """Rows of the same columns take another way to the table than those of other ones."""
    kind, parts = request.node.callspec.params["table"], table.split(".")
    folder = warehouse.joinpath(f"{parts[0]}.db", parts[1]) if kind == "delta" else warehouse.joinpath(*parts)
    logs = folder / ("_delta_log" if kind == "delta" else "metadata")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SPARK_CONNECT")}
    environment["SYNML_LAKE_JARS"] = lake.conf.get("spark.jars")

    def write(rows):
        command = [sys.executable, "-m", "tests.tables.lake", warehouse, kind, table, folder, column, rows]
        return subprocess.Popen([str(c) for c in command], cwd=ROOT, env=environment, start_new_session=True)

    def files(kill):
        found = {*logs.iterdir()} if kill == "log" else {*folder.rglob("*.parquet")} - {*logs.rglob("*")}
        return {path for path in found if not path.name.endswith(".crc")}

    whole, killed = {rows_below("word", 3)}, []
    with Reader(sessions[1], table) as reader:
        for rows, kill in enumerate(kills, 40):
            before, here, writer = files(kill), looked_at(lake, table), write(rows)
            most = {"half of the files": PARTS // 2, "last but one file": PARTS - 1}.get(kill, 1)
            while len(files(kill) - before) < most and writer.poll() is None:
                time.sleep(0.001 if kill == "log" else 0.02)
            os.killpg(writer.pid, signal.SIGKILL)
            ended = writer.wait(30)
            left, made = looked_at(lake, table), rows_below(column, rows)
            if ended == 0:  # Iceberg may lay all rows into one file, and there is no last but one
                assert left == made
                whole.add(made)
                continue
            assert ended == -signal.SIGKILL
            killed.append(kill)
            assert left in ({here, made} if kill in ("last but one file", "log") else {here}), kill
            whole.add(left)
        assert write(64).wait(300) == 0
    assert len(killed) >= len(kills) - (kind == "iceberg")
    whole.add(last := rows_below(column, 64))
    assert not reader.wrong, reader.wrong[:3]
    assert set(reader.seen) <= whole, set(reader.seen) - whole
    assert len(reader.seen) > 20
    assert looked_at(lake, table) == last
    assert sorted(row.id for row in open_catalog_table(lake, table).collect()) == list(range(64))


def of_runs(spark, table):
    found = open_catalog_table(spark, table).groupBy("run_id").agg({"*": "count", "id": "sum"}).collect()
    return {row[0]: (row[1], row[2]) for row in found}


def test_a_run_that_is_killed_as_it_appends_leaves_what_was_there_and_comes_again(
    sessions, lake, table, warehouse, request
):
    """The table of the others is of no run; this one is its neighbour."""
    kind, database = request.node.callspec.params["table"], table.rpartition(".")[0]
    table, last = f"{database}.log", database.rpartition(".")[2]
    lake.sql(
        f"CREATE TABLE {table} (id BIGINT, word STRING, run_id STRING) USING {kind} PARTITIONED BY (run_id)"
    )
    for run in ("a", "c"):
        append_catalog_table(lake.sql(TWO.format(3)), table, run=run)
    folder = warehouse / f"{last}.db" / "log" if kind == "delta" else warehouse / "ice" / last / "log"
    logs = folder / ("_delta_log" if kind == "delta" else "metadata")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SPARK_CONNECT")}
    environment["SYNML_LAKE_JARS"] = lake.conf.get("spark.jars")

    def write(rows):
        command = [sys.executable, "-m", "tests.tables.lake", warehouse, kind, table, folder, "run_id", rows]
        return subprocess.Popen([str(c) for c in command], cwd=ROOT, env=environment, start_new_session=True)

    def files():
        return {*folder.rglob("*.parquet")} - {*logs.rglob("*")}

    there, before, writer = of_runs(lake, table), files(), write(40)
    assert there == {"a": (3, 3), "c": (3, 3)}
    while len(files() - before) < 1 and writer.poll() is None:
        assert of_runs(sessions[1], table) == there
        time.sleep(0.02)
    os.killpg(writer.pid, signal.SIGKILL)
    assert writer.wait(30) == -signal.SIGKILL
    assert of_runs(lake, table) == there
    assert write(64).wait(300) == 0
    assert of_runs(lake, table) == {"a": (3, 3), "c": (64, sum(range(64)))}
