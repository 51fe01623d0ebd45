"""Tables of Spark's catalog: written once, and replaced whole or not at all."""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from synml_dagster.errors import ConfigError, SourceError
from synml_dagster.spark.quoting import quoted
from synml_dagster.tables.plain_folder import RUN
from synml_dagster.tables.publish import check_columns

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_ROWS = "__rows"
# Their own log makes an overwrite one commit. Spark's own formats drop the table first and then write the new one.
_TRANSACTIONAL = {"delta", "iceberg", "hudi", "paimon"}


@dataclass(frozen=True)
class CatalogTable:
    """A table of Spark's catalog as it was written.

    Attributes
    ----------
    name
        `table`, `db.table` or `catalog.db.table`.
    rows
        How many rows were written.
    schema_json
        Spark's own JSON schema.
    provider
        The format, as Spark names it; empty where the catalog does not say.
    """

    name: str
    rows: int
    schema_json: str
    provider: str = ""

    def dataframe(self, spark: SparkSession) -> DataFrame:
        """Open the table as it is now."""
        return open_catalog_table(spark, self.name)


def publish_catalog_table(df: DataFrame, name: str) -> CatalogTable:
    """Make `df` the catalog table `name`, whole or not at all, and count its rows.

    A table of a format with a log of its own (Delta, Iceberg) is replaced in one commit, and stays of that format. It
    keeps its partitioning where `df` has the columns that it has; with other columns it gets a new definition. Any
    other table of Spark's session catalog is first written beside the present one and then takes its name: two
    changes of the catalog, and no reader ever sees half a table. A write that fails leaves the present table as it was.

    Raises
    ------
    DataError
        A column has a type that a table cannot hold, or two columns have one name.
    ConfigError
        The name is no table's name, or is a view's, or runs have appended to the table.
    """
    from pyspark.sql import Observation
    from pyspark.sql import functions as sf

    check_columns(df)
    spark = df.sparkSession
    parts = table_parts(spark, name)
    provider = provider_of(spark, parts)
    if provider == "view":
        raise ConfigError(f"{name!r} is a view, and a table is to be written. Choose another name.")
    if provider and RUN not in df.columns and RUN in spark.table(quoted(*parts)).columns:
        raise ConfigError(
            f"{name!r} has the column {RUN!r}, as tables have to which runs append, and these rows, which have none, would take the place of all of them. Name another table, or remove that one."
        )
    elsewhere = len(parts) == 3 and parts[0] != "spark_catalog"
    own = provider or default_provider(spark)
    if not elsewhere and own not in _TRANSACTIONAL:
        observation = Observation(f"catalog-{uuid.uuid4().hex}")
        watched = df.observe(observation, sf.count(sf.lit(1)).alias(_ROWS))
        _swap(spark, parts, watched.write.saveAsTable, exists=provider is not None)
        rows = observation.get[_ROWS]
    else:
        if provider in _TRANSACTIONAL and _fits(df, spark.table(quoted(*parts))):
            df.writeTo(quoted(*parts)).overwrite(sf.lit(True))
        elif elsewhere:
            df.writeTo(quoted(*parts)).createOrReplace()
        else:
            # Without its format Spark drops a Delta table and writes one of the session's default format in its place.
            writer = df.write.format(own).mode("overwrite").option("overwriteSchema", "true")
            writer.saveAsTable(quoted(*parts))
        # Delta replaces a table in a query of its own, and nothing that this one observes comes back. Delta and
        # Iceberg count from their logs.
        rows = spark.table(quoted(*parts)).count()
    return CatalogTable(name, int(rows), df.schema.json(), provider_of(spark, parts) or "")


def open_catalog_table(spark: SparkSession, name: str) -> DataFrame:
    """Open the catalog table `name`.

    Raises
    ------
    SourceError
        There is no such table; where a write is replacing it, or was killed as it did, it says where former rows are.
    """
    parts = table_parts(spark, name)
    if not spark.catalog.tableExists(quoted(*parts)):
        if former := _former(spark, parts):
            raise SourceError(
                f"the catalog has no table {name!r} now: a write is replacing it, or was killed as it did. Where it does not come back, materialize the asset that writes it; "
                f"former rows of it are in {' and '.join(repr('.'.join([*parts[:-1], one])) for one in former)}."
            )
        raise SourceError(
            f"the catalog has no table {name!r} yet. Materialize the asset that writes it first."
        )
    return spark.table(quoted(*parts))


def table_parts(spark: SparkSession, name: str) -> list[str]:
    """Split a name into database and table, before them a catalog where the name or the session says another one."""
    parts = [part.strip("`") for part in name.split(".")]
    if not all(parts) or len(parts) > 3:
        raise ConfigError(f"{name!r} is no name of a table; write table, db.table or catalog.db.table")
    present = spark.catalog.currentCatalog()
    if len(parts) == 1:
        parts = [spark.catalog.currentDatabase(), *parts]
    if len(parts) == 2:
        parts = [present, *parts]
    return parts[1:] if parts[0] == present == "spark_catalog" else parts


def provider_of(spark: SparkSession, parts: list[str]) -> str | None:
    """Return the present table's format, `view` for a view, None where there is no table."""
    if not spark.catalog.tableExists(quoted(*parts)):
        return None
    told = described_table(spark, quoted(*parts))
    return "view" if told.get("type") == "VIEW" else told.get("provider", "").casefold()


def described_table(spark: SparkSession, name: str) -> dict[str, str]:
    """Return what the catalog tells of a table beside its columns (`provider`, `type`, `table properties`, ...)."""
    rows = [(str(r[0]).strip(), str(r[1])) for r in spark.sql(f"DESCRIBE TABLE EXTENDED {name}").collect()]
    # The columns come first, and one of them may be called `provider`.
    start = next((i for i, (key, _) in enumerate(rows) if key == "# Detailed Table Information"), len(rows))
    return {key.casefold(): value for key, value in rows[start + 1 :]}


def _fits(df: DataFrame, present: DataFrame) -> bool:
    """Whether the rows of `df` can be those of the present table as it is defined."""
    mine, theirs = df.schema.fields, present.schema.fields
    return [(f.name, f.dataType) for f in mine] == [(f.name, f.dataType) for f in theirs] and all(
        field.nullable or not mine[i].nullable for i, field in enumerate(theirs)
    )


def default_provider(spark: SparkSession) -> str:
    """Return the format of tables that are made in Spark's own catalog."""
    return str(spark.conf.get("spark.sql.sources.default", "parquet")).casefold()


def _swap(spark: SparkSession, parts: list[str], write: Callable[[str], None], *, exists: bool) -> None:
    def beside(word: str) -> str:
        return quoted(*parts[:-1], f"{parts[-1]}__{word}_{mark}")

    # Names that no other run uses: two that write at once each bring a whole table, and the last one stays.
    mark = uuid.uuid4().hex[:8]
    name, new, old = quoted(*parts), beside("new"), beside("old")
    try:
        write(new)
        if exists:
            spark.sql(f"ALTER TABLE {name} RENAME TO {old}")
        try:
            spark.sql(f"ALTER TABLE {new} RENAME TO {name}")
        except BaseException:
            if exists:
                spark.sql(f"ALTER TABLE {old} RENAME TO {name}")
            raise
    except BaseException:  # an interrupt too
        with contextlib.suppress(Exception):  # the first error is the one to see
            spark.sql(f"DROP TABLE IF EXISTS {new}")
        raise
    spark.sql(f"DROP TABLE IF EXISTS {old}")
    # The table is there, and who may write it need not be allowed to drop others.
    with contextlib.suppress(Exception):
        for left in _former(spark, parts):
            for word in (left, left.replace("__old_", "__new_")):
                spark.sql(f"DROP TABLE IF EXISTS {quoted(*parts[:-1], word)}")


def _former(spark: SparkSession, parts: list[str]) -> list[str]:
    """Return the names, without their database, of tables that writes have put aside which were killed before theirs had the name."""
    if len(parts) != 2 or not spark.catalog.databaseExists(quoted(parts[0])):  # others have logs of their own
        return []
    there = spark.sql(f"SHOW TABLES IN {quoted(*parts[:-1])} LIKE '*__old_*'").collect()
    named = re.compile(re.escape(parts[-1]) + "__old_[0-9a-f]{8}", re.IGNORECASE)
    return sorted(row["tableName"] for row in there if named.fullmatch(row["tableName"]))
