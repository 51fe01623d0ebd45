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
from synml_dagster.tables.append import check_partition_column, check_run_column
from synml_dagster.tables.opening import check_run
from synml_dagster.tables.plain_folder import PARTITION, RUN
from synml_dagster.tables.publish import check_columns
from synml_dagster.tables.takeover import (
    LONGEST,
    joined,
    literal,
    loss,
    misfit,
    name_beside,
    name_parts,
    name_read,
    quoted_name,
    replaced_all,
    start_of_beside,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_ROWS = "__rows"
_LEFT_BEHIND = timedelta(days=1)
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
        if name_parts(self.table) is None:
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
        The present table cannot hold the rows, or runs have appended to it.
    SourceError
        The database cannot be reached, or refuses; the message is its own.
    """
    df = _of_partition(df, place, partition)
    _check(df, place)
    with _told(place):
        present = _columns(df.sparkSession, place)
        appended = RUN in present and RUN not in df.columns and not _fills_itself(df.sparkSession, place, RUN)
    if appended:
        raise ConfigError(
            f"{place.describe()} has the column {RUN!r}: it holds the rows of earlier runs, which appended them, and these are to replace them. Name another table, or drop that column."
        )
    keys = {} if partition is None else {PARTITION: partition}
    return _published(df, place, present, keys)


def append_database_table(
    df: DataFrame, place: Database, *, run: str, partition: str | None = None, stamped: bool = False
) -> DatabaseTable:
    """Make the rows of `df` those of one run in the database's table, whole or not at all; rows of other runs stay.

    They come as those of `publish_database_table`. The column `run_id` holds the run; what it has appended before, to this
    partition where one is given, is replaced. Runs may append at the same time.

    Parameters
    ----------
    df, place, partition
        As for `publish_database_table`.
    run
        Whose rows they are.
    stamped
        Whether `df` has the column `run_id` already.

    Raises
    ------
    DataError
        A column is called `run_id`, or has another type than in the table; or as for `publish_database_table`.
    ConfigError
        The present table has a column less, `run_id` among them, or the run has no name.
    SourceError
        As for `publish_database_table`.
    """
    from pyspark.sql import functions as sf

    check_run(run)
    check_run_column([name for name in df.columns if not (stamped and name == RUN)])
    df = _of_partition(df.withColumn(RUN, sf.lit(run)), place, partition)
    _check(df, place)
    with _told(place):
        present = _columns(df.sparkSession, place)
    if present and RUN not in present:
        raise ConfigError(
            f"{place.describe()} has no column {RUN!r}, and its rows are not those of runs that append. Name another table, or add the column there "
            f"(ALTER TABLE ... ADD COLUMN {RUN} text): the rows that it has then stay, and are of no run."
        )
    return _published(df, place, present, {RUN: run} | ({} if partition is None else {PARTITION: partition}))


def _of_partition(df: DataFrame, place: Database, partition: str | None) -> DataFrame:
    from pyspark.sql import functions as sf

    if partition is None:
        return df
    check_partition_column(df.columns, place.describe())
    return df.withColumn(PARTITION, sf.lit(partition))


def _published(df: DataFrame, place: Database, present: list[str], keys: dict[str, str]) -> DatabaseTable:
    """Let the rows take the place of those that have the values of `keys`, or of all where there are none."""
    from pyspark.sql import Observation
    from pyspark.sql import functions as sf

    spark, columns, beside = df.sparkSession, list(df.columns), name_beside(place.table)
    if present and keys and (missing := [c for c in columns if c not in present]):
        alike = next((c for c in present if c.casefold() == missing[0].casefold()), None)
        raise ConfigError(
            f"{place.describe()} holds rows of other {'runs' if RUN in keys else 'partitions'} and has no column {missing[0]!r}. "
            + (f"Its {alike!r} is another one: rename yours" if alike else "Add it there (ALTER TABLE ... ADD COLUMN)")
            + ", or name another table."
        )  # fmt: skip
    try:
        observation = Observation(f"database-{uuid.uuid4().hex}")
        watched = df.observe(observation, sf.count(sf.lit(1)).alias(_ROWS))
        with _told(place):
            _drop_left_behind(spark, place)
            # The table is made first and the rows then come to it: so it is there, too, where there are none.
            empty = _nullable(df) if keys else df.limit(0)
            empty.write.format("jdbc").options(**_options(place, beside)).mode("error").save()
            fits = bool(present) and set(columns) <= set(present)
            refused = (misfit if RUN in keys else loss)(place.table, beside)
            if present and RUN in keys:
                _check_types(df, place, refused, ", where the rows of earlier runs are")
            elif fits:
                _check_types(df, place, refused, ", which would round or cut its values")
            watched.write.format("jdbc").options(**_options(place, beside)).mode("append").save()
            rows = int(observation.get[_ROWS])
            _execute(
                spark,
                place,
                joined(place.table, beside, columns, rows, keys, refused)
                if keys
                else replaced_all(place.table, beside, columns, rows, keeps_definition=fits),
            )
    except BaseException:  # an interrupt too
        with contextlib.suppress(Exception):  # the first error is the one to see
            _execute(spark, place, f"DROP TABLE IF EXISTS {beside}")
        raise
    return DatabaseTable(place.table, redacted(place.address, place.secrets), rows, df.schema.json())


def _nullable(df: DataFrame) -> DataFrame:
    """No rows of these columns, each of which may be missing: it is in rows of other keys that come later."""
    from pyspark.sql import types as t

    schema = t.StructType([t.StructField(f.name, f.dataType, True) for f in df.schema.fields])
    return df.sparkSession.createDataFrame([], schema)


def _check_types(df: DataFrame, place: Database, asked: str, why: str) -> None:
    """Refuse rows, before they are scored, of which the table would make something else: the columns that `asked` finds."""
    for other in _read(df.sparkSession, place, query=asked).collect():
        name, here = other["name"], df.schema[other["name"]].dataType.simpleString()
        raise DataError(
            f"{place.describe()}: the column {name!r} is {here} ({other['here']}) and {other['there']} in the table{why}. "
            "Cast it, change it there (ALTER TABLE ... ALTER COLUMN ... TYPE), or name another table."
        )


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
        if len(column.name.encode()) > LONGEST:
            raise DataError(f"{place.describe()}: the column {column.name!r} has a longer name than the {LONGEST} bytes that PostgreSQL keeps; rename it, or leave it out by score.keep")  # fmt: skip


def _drop_left_behind(spark: SparkSession, place: Database) -> None:
    """Drop what runs have left that were killed more than a day ago."""
    parts = name_parts(place.table)
    assert parts is not None
    schema, start = parts[0], start_of_beside(place.table)
    known = "current_schemas(false)" if not schema else f"ARRAY[{literal(name_read(schema[:-1]))}]::name[]"
    asked = f"SELECT tablename::text AS name FROM pg_tables WHERE schemaname = ANY ({known}) AND starts_with(tablename, {literal(start)})"
    oldest = datetime.now(UTC) - _LEFT_BEHIND
    for row in _read(spark, place, query=asked).collect():
        mark = re.fullmatch(r"(\d{14})_[0-9a-f]{8}", row["name"][len(start) :])
        if mark and datetime.strptime(mark[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC) < oldest:
            _execute(spark, place, f"DROP TABLE IF EXISTS {schema}{quoted_name(row['name'])}")


def _columns(spark: SparkSession, place: Database) -> list[str]:
    """The present table's columns; none where there is no table."""
    there = f"SELECT to_regclass({literal(place.table)}) IS NOT NULL AS there"
    if not _read(spark, place, query=there).collect()[0]["there"]:
        return []
    return list(_read(spark, place, dbtable=place.table).columns)


def _fills_itself(spark: SparkSession, place: Database, column: str) -> bool:
    """Whether the database gives a column its values: then it is its owner's."""
    asked = (
        "SELECT bool_or(atthasdef OR attidentity <> '') AS own FROM pg_attribute"
        f" WHERE attrelid = to_regclass({literal(place.table)}) AND attname = {literal(column)}"
    )
    return bool(_read(spark, place, query=asked).collect()[0]["own"])


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
        said = redacted(database_reason(problem), place.secrets)
        shown = without_secrets(problem, place.secrets)
        if "synml: " in said:
            raise DataError(f"{place.describe()}: {said.split('synml: ', 1)[1]}; the former rows were kept. Run it again.") from shown  # fmt: skip
        raise SourceError(f"{place.describe()}: {said}.{package_for(problem, place.address)}") from shown
