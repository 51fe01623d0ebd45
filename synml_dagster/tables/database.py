"""Tables of a database that Spark reaches by JDBC: their rows are replaced all at once, or those of one partition."""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from synml_dagster.errors import ConfigError, DataError, SourceError
from synml_dagster.redaction import redacted, secret_values, without_secrets
from synml_dagster.spark.messages import database_reason
from synml_dagster.spark.packages import driver_options, package_for
from synml_dagster.tables.publish import check_columns

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

PARTITION = "partition"
"""The column that holds the partition's key, where there are partitions."""

_ROWS = "__rows"
_LONGEST = 63  # bytes of a name; PostgreSQL cuts what is longer, and says so to nobody
_WAIT = "300s"
_LEFT_BEHIND = timedelta(days=1)
_NAME = r'(?:[A-Za-z_][A-Za-z0-9_$]*|"(?:[^"]|"")+")'
_TABLE = re.compile(rf"(?:(?P<schema>{_NAME})\.)?(?P<name>{_NAME})")
_SET_BY_US = {
    "url",
    "query",
    "prepareQuery",
    "sessionInitStatement",
    "partitionColumn",
    "lowerBound",
    "upperBound",
}
_DEFAULTS = driver_options("jdbc:postgresql:") | {"reWriteBatchedInserts": "true", "batchsize": "10000", "tcpKeepAlive": "true"}  # fmt: skip


@dataclass(frozen=True)
class Database:
    """A table of a PostgreSQL database, and how Spark reaches it.

    Attributes
    ----------
    address
        `jdbc:postgresql://host:port/database`.
    table
        `table` or `schema.table`, as SQL writes them; in double quotes where capitals or blanks count.
    options
        Options of Spark's JDBC writer and of the driver: `user`, `password`, `numPartitions`, `sslmode`, ...

    Raises
    ------
    ConfigError
        The address is no PostgreSQL's, or the table's name or an option cannot be.
    """

    address: str
    table: str
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not self.address.startswith("jdbc:postgresql:"):
            kind = ":".join(self.address.split(":")[:2])
            raise ConfigError(
                f"rows are written to PostgreSQL alone (jdbc:postgresql://host/database) but got {redacted(kind)!r}: no other database was tried. "
                "Write a folder or a catalog table, and load it from there."
            )
        if _TABLE.fullmatch(self.table) is None:
            raise ConfigError(
                f"{self.table!r} is no name of a table: write table or schema.table, in double quotes where capitals or blanks count"
            )
        if kept := sorted(_SET_BY_US & set(self.options)):
            raise ConfigError(f"the option {kept[0]!r} cannot be set for a table that is written")

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values of options whose names say that they are secret."""
        return secret_values(self.options)

    def describe(self) -> str:
        """Return the table and its database in a few words, without what is secret."""
        return redacted(f"{self.table} of {self.address}", self.secrets)


@dataclass(frozen=True)
class DatabaseTable:
    """A table of a database as it was written.

    Attributes
    ----------
    name
        `table` or `schema.table`.
    address
        The database's address, without what is secret.
    rows
        How many rows were written.
    schema_json
        Spark's own JSON schema of them.
    """

    name: str
    address: str
    rows: int
    schema_json: str
    provider: str = "postgresql"


def publish_database_table(df: DataFrame, place: Database, *, partition: str | None = None) -> DatabaseTable:
    """Make the rows of `df` those of the database's table, whole or not at all.

    The rows are first written to a table beside it, by as many connections as `df` has partitions (`numPartitions` at most).
    Then one statement of the database takes them over, so that readers see the former rows or the new ones. A table that
    holds all columns of `df` keeps its definition, rights, indexes and views, and columns of its own take their
    defaults. Where columns are missing it is replaced by a new one, unless it is for several partitions.

    Parameters
    ----------
    df
        The rows; classic or Connect.
    place
        The table and how to reach it. It is made where there is none.
    partition
        Where given, the rows of this key alone are replaced; the column `partition` holds it.

    Raises
    ------
    DataError
        A column has a type or a name that the database cannot hold, or rows were lost or doubled on the way.
    ConfigError
        The present table cannot hold the rows.
    SourceError
        The database cannot be reached, or refuses; the message is its own.
    """
    from pyspark.sql import Observation
    from pyspark.sql import functions as sf

    if partition is not None:
        if taken := [c for c in df.columns if c.casefold() == PARTITION]:
            raise DataError(f"{place.describe()}: the column {taken[0]!r} is to hold the partition's key; rename yours, or leave it out by score.keep")  # fmt: skip
        df = df.withColumn(PARTITION, sf.lit(partition))
    _check(df, place)
    spark, columns = df.sparkSession, list(df.columns)
    with _told(place):
        present = _columns(spark, place)
    if present and partition is not None and (missing := [c for c in columns if c not in present]):
        raise ConfigError(
            f"{place.describe()} holds rows of other partitions and has no column {missing[0]!r}. Add it there (ALTER TABLE ... ADD COLUMN), or name another table."
        )
    beside = _beside(place.table)
    try:
        observation = Observation(f"database-{uuid.uuid4().hex}")
        watched = df.observe(observation, sf.count(sf.lit(1)).alias(_ROWS))
        with _told(place):
            _drop_left_behind(spark, place)
            # The table is made first and the rows then come to it: so it is there, too, where there are none.
            df.limit(0).write.format("jdbc").options(**_options(place, beside)).mode("error").save()
            watched.write.format("jdbc").options(**_options(place, beside)).mode("append").save()
            rows = int(observation.get[_ROWS])
            _execute(spark, place, _takes_over(place, beside, columns, present, rows, partition))
    except BaseException:  # an interrupt too
        with contextlib.suppress(Exception):  # the first error is the one to see
            _execute(spark, place, f"DROP TABLE IF EXISTS {beside}")
        raise
    return DatabaseTable(place.table, redacted(place.address, place.secrets), rows, df.schema.json())


def open_database_table(spark: SparkSession, place: Database) -> DataFrame:
    """Open the database's table as it is now.

    Raises
    ------
    SourceError
        The database cannot be reached, or has no such table.
    """
    with _told(place):
        if not _columns(spark, place):
            raise SourceError(f"{place.describe()}: there is no such table yet. Materialize the asset that writes it first.")  # fmt: skip
        return _read(spark, place, dbtable=place.table)


def _check(df: DataFrame, place: Database) -> None:
    from pyspark.sql import types as t

    check_columns(df)
    for column in df.schema.fields:
        kind = column.dataType
        if isinstance(kind, t.ArrayType):
            kind = kind.elementType
        if isinstance(kind, t.StructType | t.MapType | t.ArrayType):
            raise DataError(
                f"{place.describe()}: the column {column.name!r} is {column.dataType.simpleString()}, which a database's table does not hold. "
                "Make columns of its parts, or leave it out by score.keep."
            )
        if len(column.name.encode()) > _LONGEST:
            raise DataError(f"{place.describe()}: the column {column.name!r} has a longer name than the {_LONGEST} bytes that PostgreSQL keeps; rename it, or leave it out by score.keep")  # fmt: skip


def _beside(table: str) -> str:
    """A name beside the table's that no other run uses, and that tells its age."""
    schema, name = _parts(table)
    mark = f"__new_{datetime.now(UTC):%Y%m%d%H%M%S}_{uuid.uuid4().hex[:8]}"
    return f"{schema}{_quoted(_cut(name, _LONGEST - len(mark)) + mark)}"


def _cut(name: str, most: int) -> str:
    return name.encode()[:most].decode(errors="ignore")


def _parts(table: str) -> tuple[str, str]:
    """The schema as it is written, with its dot, and the table's name as the database keeps it."""
    found = _TABLE.fullmatch(table)
    assert found is not None
    return f"{found['schema']}." if found["schema"] else "", _unquoted(found["name"])


def _drop_left_behind(spark: SparkSession, place: Database) -> None:
    """Drop what runs have left that were killed more than a day ago."""
    schema, name = _parts(place.table)
    start = f"{_cut(name, _LONGEST - 28)}__new_"
    known = "current_schemas(false)" if not schema else f"ARRAY[{_text(_unquoted(schema[:-1]))}]::name[]"
    asked = f"SELECT tablename::text AS name FROM pg_tables WHERE schemaname = ANY ({known}) AND starts_with(tablename, {_text(start)})"
    oldest = datetime.now(UTC) - _LEFT_BEHIND
    for row in _read(spark, place, query=asked).collect():
        mark = re.fullmatch(r"(\d{14})_[0-9a-f]{8}", row["name"][len(start) :])
        if mark and datetime.strptime(mark[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC) < oldest:
            _execute(spark, place, f"DROP TABLE IF EXISTS {schema}{_quoted(row['name'])}")


def _columns(spark: SparkSession, place: Database) -> list[str]:
    """The present table's columns; none where there is no table."""
    there = f"SELECT to_regclass({_text(place.table)}) IS NOT NULL AS there"
    if not _read(spark, place, query=there).collect()[0]["there"]:
        return []
    return list(_read(spark, place, dbtable=place.table).columns)


def _takes_over(
    place: Database, beside: str, columns: list[str], present: list[str], rows: int, partition: str | None
) -> str:
    """One statement, so that all of it happens or nothing, whatever the driver makes of several."""
    steps = [f"PERFORM set_config('lock_timeout', '{_WAIT}', true);"]
    counted = f"RAISE EXCEPTION 'synml: % rows came and {rows} were written', n;"
    if present and set(columns) <= set(present):
        names = ", ".join(_quoted(c) for c in columns)
        which = "" if partition is None else f" WHERE {_quoted(PARTITION)} = {_text(partition)}"
        steps += [
            # Two that replace the rows at once would each keep the other's.
            f"LOCK TABLE {place.table} IN SHARE ROW EXCLUSIVE MODE;",
            f"DELETE FROM {place.table}{which};",
            f"INSERT INTO {place.table} ({names}) SELECT {names} FROM {beside};",
            "GET DIAGNOSTICS n = ROW_COUNT;",
            f"IF n <> {rows} THEN {counted} END IF;",
            f"DROP TABLE {beside};",
        ]
    else:
        name = _parts(place.table)[1]
        steps += [
            f"SELECT count(*) INTO n FROM {beside};",
            f"IF n <> {rows} THEN {counted} END IF;",
            f"DROP TABLE IF EXISTS {place.table};",
            f"ALTER TABLE {beside} RENAME TO {_quoted(name)};",
        ]
    return f"DO $synml$ DECLARE n bigint; BEGIN {' '.join(steps)} END $synml$"


def _execute(spark: SparkSession, place: Database, statement: str) -> None:
    """Have the database run a statement; Spark offers that on Connect, too, in front of a query."""
    _read(spark, place, query="SELECT 1 AS done", sessionInitStatement=statement).collect()


def _read(spark: SparkSession, place: Database, **asked: str) -> DataFrame:
    given = {k: v for k, v in place.options.items() if k not in ("dbtable", "numPartitions")}
    # With a fetch size the driver commits when the query has ended.
    options = _DEFAULTS | given | {"url": place.address, "fetchsize": "1000"} | asked
    return spark.read.format("jdbc").options(**options).load()


def _options(place: Database, table: str) -> dict[str, str]:
    return _DEFAULTS | dict(place.options) | {"url": place.address, "dbtable": table}


@contextlib.contextmanager
def _told(place: Database) -> Iterator[None]:
    """Say what the database refuses in its own first line, and nothing of what is secret."""
    try:
        yield
    except (SourceError, DataError, ConfigError):
        raise
    except Exception as problem:
        text = redacted(database_reason(problem), place.secrets)
        shown = without_secrets(problem, place.secrets)
        if "synml: " in text:
            raise DataError(f"{place.describe()}: {text.split('synml: ', 1)[1]}; the former rows were kept. Run it again.") from shown  # fmt: skip
        raise SourceError(f"{place.describe()}: {text}.{package_for(problem, place.address)}") from shown


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
