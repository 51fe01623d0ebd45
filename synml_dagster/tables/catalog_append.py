"""Tables of Spark's catalog to which each run appends its rows: Delta, Iceberg, and plain Parquet of Spark's own catalog.

A table of Delta or Iceberg replaces the rows of one run in one commit of its log. A plain one has a folder of versions for
each run, and the catalog says of each run's partition where its rows lie: a change of that is one step, on object stores, too.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from synml_dagster.errors import ConfigError, DataError
from synml_dagster.files.filesystems import is_remote
from synml_dagster.spark.quoting import quoted
from synml_dagster.tables.append import check_partition_column, check_run_column
from synml_dagster.tables.catalog import (
    CatalogTable,
    default_provider,
    described_table,
    provider_of,
    table_parts,
)
from synml_dagster.tables.opening import check_run, folder_name, run_root
from synml_dagster.tables.plain_folder import PARTITION, RUN
from synml_dagster.tables.publish import check_columns, publish_table

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import DataType, StructType

_LOGGED = ("delta", "iceberg")
_PLAIN = "parquet"
_RUNS = "_appended"
_FIRST_OF_TWO = 5.0  # seconds
# What a column takes beside its own type; another one would be rounded, cut or made text of.
_WIDER = {
    "tinyint": ("smallint", "int", "bigint"),
    "smallint": ("int", "bigint"),
    "int": ("bigint",),
    "float": ("double",),
}


def append_catalog_table(
    df: DataFrame,
    name: str,
    *,
    run: str,
    partition: str | None = None,
    stamped: bool = False,
    keep: int = 3,
) -> CatalogTable:
    """Make the rows of `df` those of one run in the catalog table `name`, whole or not at all; rows of other runs stay.

    The column `run_id` holds the run; what it has appended before, to this partition where one is given, is replaced. Runs may
    append at the same time. Where there is no table it is made, laid out by the run and the partition.

    Parameters
    ----------
    df
        The rows; classic or Connect.
    name
        `table`, `db.table` or `catalog.db.table`, as for `publish_catalog_table`.
    run
        Whose rows they are.
    partition
        Of which partition they are, where there are any; the column `partition` holds it.
    stamped
        Whether `df` has the column `run_id` already.
    keep
        How many versions of a run's rows stay in a table that has no log of its own.

    Returns
    -------
    CatalogTable
        With the count and the columns of this run's rows.

    Raises
    ------
    DataError
        A column is called `run_id` or `partition`, or has another type than in the table, or one that no table holds.
    ConfigError
        The table is none that runs append to, or has a column less, or is of another format; or the run has no name.
    SetupError
        The files of a plain table lie where this process cannot see them.
    """
    from pyspark.sql import functions as sf

    check_run(run)
    check_run_column([column for column in df.columns if not (stamped and column == RUN)])
    if partition is not None:
        check_partition_column(df.columns, repr(name))
    keys = ({} if partition is None else {PARTITION: partition}) | {RUN: run}
    rows = df.drop(RUN)
    check_columns(rows)
    spark, parts = df.sparkSession, table_parts(df.sparkSession, name)
    provider = provider_of(spark, parts) or _made(rows, name, parts, list(keys))
    _check_format(name, provider, parts)
    present = spark.table(quoted(*parts)).schema
    fitted = _fitted(rows, present, name, keys)
    if provider == _PLAIN:
        count = _by_location(fitted, name, parts, keys, keep)
    else:
        if provider == "iceberg":
            _check_layout(spark, name, parts, keys)
        whole = fitted.select(
            *(
                sf.lit(keys[c]).alias(c)
                if c in keys
                else sf.col(quoted(c))
                if c in fitted.columns
                else sf.lit(None).cast(present[c].dataType).alias(c)
                for c in present.names
            )
        )
        whole.writeTo(quoted(*parts)).overwrite(_whose(keys))
        count = spark.table(quoted(*parts)).where(_whose(keys)).count()
    stamp = {key: sf.lit(value) for key, value in keys.items()}
    return CatalogTable(name, int(count), rows.withColumns(stamp).schema.json(), provider)


def _whose(keys: Mapping[str, str]) -> Column:
    from pyspark.sql import functions as sf

    # In the order in which a table of ours is laid out.
    first, *others = [sf.col(quoted(key)) == sf.lit(value) for key, value in keys.items()]
    for other in others:
        first = first & other
    return first


def _made(rows: DataFrame, name: str, parts: list[str], keys: list[str]) -> str:
    """Make the table, without rows, and return its format; another run may have been first."""
    spark, using = rows.sparkSession, ""
    if _is_sessions(parts):
        provider = default_provider(spark)
        _check_format(name, provider, parts)
        using = f"USING {provider}"
    columns = [f"{quoted(f.name)} {_sql_type(f.dataType)}" for f in rows.schema.fields]
    columns += [f"{quoted(key)} STRING" for key in keys]
    by = ", ".join(map(quoted, keys))
    try:
        # By a statement alone: a write without rows leaves traces in the folder, over which two that come at once fall.
        spark.sql(
            f"CREATE TABLE IF NOT EXISTS {quoted(*parts)} ({', '.join(columns)}) {using} PARTITIONED BY ({by})"
        )
    except Exception:
        # Each format refuses the second of two in its own words, and may do so before the catalog knows of the first.
        end = time.monotonic() + _FIRST_OF_TWO
        while provider_of(spark, parts) is None:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)
    return provider_of(spark, parts) or ""


def _sql_type(kind: DataType) -> str:
    """Write a type as SQL does, in which any column may be missing and a field have any name."""
    from pyspark.sql import types as t

    if isinstance(kind, t.StructType):
        return f"STRUCT<{', '.join(f'{quoted(f.name)}: {_sql_type(f.dataType)}' for f in kind.fields)}>"
    if isinstance(kind, t.ArrayType):
        return f"ARRAY<{_sql_type(kind.elementType)}>"
    if isinstance(kind, t.MapType):
        return f"MAP<{_sql_type(kind.keyType)}, {_sql_type(kind.valueType)}>"
    return kind.simpleString()


def _is_sessions(parts: list[str]) -> bool:
    """Whether a table is of Spark's own catalog."""
    return len(parts) < 3 or parts[0] == "spark_catalog"


def _check_format(name: str, provider: str, parts: list[str]) -> None:
    if provider == "view":
        raise ConfigError(f"{name!r} is a view, and a table is to be written. Choose another name.")
    if provider not in _LOGGED and not (provider == _PLAIN and _is_sessions(parts)):
        raise ConfigError(
            f"runs append to tables of Delta and Iceberg, and to those of Parquet in Spark's own catalog, but {name!r} is of {provider or 'a format that its catalog does not tell'}. "
            "Name another table, or a folder by score.path."
        )


def _check_layout(spark: SparkSession, name: str, parts: list[str], keys: Mapping[str, str]) -> None:
    """Refuse a table of Iceberg that keeps rows of several runs in one file: it replaces whole files alone, or none."""
    by = _partition_columns(spark, quoted(*parts))
    if absent := [key for key in keys if key not in by]:
        raise ConfigError(
            f"{name!r} is a table of Iceberg that is not partitioned by {absent[0]!r}, and could not replace the rows of one run in one commit. "
            f"Say so there (ALTER TABLE ... ADD PARTITION FIELD {absent[0]}), or name another table."
        )


def _fitted(rows: DataFrame, present: StructType, name: str, keys: Mapping[str, str]) -> DataFrame:
    """Return the rows with the types that the table has; refuse those that cannot stand beside the ones that are there."""
    from pyspark.sql import functions as sf

    there = {field.name: field.dataType for field in present.fields}
    cased = {column.casefold(): column for column in there}
    for key in keys:
        if key not in there:
            raise ConfigError(
                f"{name!r} has no column {key!r}, and its rows are not those of {'runs' if key == RUN else 'partitions of runs'} that append. Name another table, or remove that one."
            )
        if there[key].simpleString() != "string":
            raise DataError(
                f"{name!r}: the column {key!r} is {there[key].simpleString()}, and is to be a string. Name another table."
            )
    chosen = []
    for field in rows.schema.fields:
        written, here = cased.get(field.name.casefold()), field.dataType.simpleString()
        if written is None:
            raise ConfigError(
                f"{name!r} holds rows of other runs and has no column {field.name!r}. Add it there (ALTER TABLE ... ADD COLUMNS), or name another table."
            )
        if written != field.name:
            raise DataError(
                f"{name!r}: the column {field.name!r} is called {written!r} in the rows of earlier runs, and Spark does not tell the two apart. Rename it, or name another table."
            )
        other = there[written].simpleString()
        if here != other and other not in _WIDER.get(here, ()):
            raise DataError(
                f"{name!r}: the column {field.name!r} is {here} and {other} in the table, where the rows of earlier runs are. Cast it, or name another table."
            )
        column = sf.col(quoted(written))
        chosen.append(column if here == other else column.cast(there[written]).alias(written))
    return rows.select(*chosen)


def _by_location(rows: DataFrame, name: str, parts: list[str], keys: Mapping[str, str], keep: int) -> int:
    """Write the rows into a folder of this run, and let the catalog say that they are there."""
    spark, table = rows.sparkSession, quoted(*parts)
    told = described_table(spark, table)
    by = _partition_columns(spark, table)
    if set(by) != set(keys) or told.get("partition provider") != "Catalog":
        raise ConfigError(
            f"{name!r} is laid out by {by}, and one to which these runs append is by {list(keys)}, by partitions that the catalog knows. Name another table, or remove that one."
        )
    place = _path(told["location"])
    home = f"{place}/{_RUNS}" + (f"/partitions/{folder_name(keys[PARTITION])}" if PARTITION in keys else "")
    # Whatever is kept of it: the version that the catalog names is read until it names this one, also after a kill in between.
    written = publish_table(rows, run_root(home, keys[RUN]), keep=max(keep, 3))
    which = ", ".join(f"{quoted(key)} = {_literal(value)}" for key, value in keys.items())
    where = f"LOCATION {_literal(written.path)}"
    spark.sql(f"ALTER TABLE {table} ADD IF NOT EXISTS PARTITION ({which}) {where}")
    spark.sql(f"ALTER TABLE {table} PARTITION ({which}) SET {where}")
    return written.rows


def _partition_columns(spark: SparkSession, table: str) -> list[str]:
    names = [str(row[0]) for row in spark.sql(f"DESCRIBE TABLE {table}").collect()]
    if "# Partition Information" not in names:
        return []
    return [n for n in names[names.index("# Partition Information") + 1 :] if n and not n.startswith("#")]


def _path(location: str) -> str:
    """The catalog's URI of a folder as a path; those of object stores are as they are."""
    return location.rstrip("/") if is_remote(location) else unquote(urlparse(location).path).rstrip("/")


def _literal(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
