"""Tables of Spark's catalog: written once, and replaced whole or not at all."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from synml_dagster.errors import ConfigError, SourceError
from synml_dagster.spark.quoting import quoted
from synml_dagster.spark.tables import check_columns

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
    """Make `df` the catalog table `name`, whole or not at all; rows are counted while they are written.

    A catalog of a table format (Delta, Iceberg) replaces the table in one commit. In Spark's session catalog the rows
    are first written as a table beside the present one, which then takes its name: two changes of the catalog, and no
    reader ever sees half a table. A write that fails leaves the present table as it was.

    Raises
    ------
    DataError
        A column has a type that a table cannot hold, or two columns have one name.
    ConfigError
        The name is no table's name, or is a view's.
    """
    from pyspark.sql import Observation
    from pyspark.sql import functions as sf

    check_columns(df)
    spark = df.sparkSession
    parts = _parts(spark, name)
    observation = Observation(f"catalog-{uuid.uuid4().hex}")
    watched = df.observe(observation, sf.count(sf.lit(1)).alias(_ROWS))
    provider = _provider(spark, parts)
    if provider == "view":
        raise ConfigError(f"{name!r} is a view, and a table is to be written. Choose another name.")
    if len(parts) == 3 and parts[0] != "spark_catalog":
        watched.writeTo(quoted(*parts)).createOrReplace()
    elif (provider or _default_provider(spark)) in _TRANSACTIONAL:
        watched.write.mode("overwrite").option("overwriteSchema", "true").saveAsTable(quoted(*parts))
    else:
        _swap(spark, parts, watched.write.saveAsTable, exists=provider is not None)
    return CatalogTable(name, int(observation.get[_ROWS]), df.schema.json(), _provider(spark, parts) or "")


def open_catalog_table(spark: SparkSession, name: str) -> DataFrame:
    """Open the catalog table `name`.

    Raises
    ------
    SourceError
        There is no such table.
    """
    if not spark.catalog.tableExists(quoted(*_parts(spark, name))):
        raise SourceError(
            f"the catalog has no table {name!r} yet. Materialize the asset that writes it first."
        )
    return spark.table(quoted(*_parts(spark, name)))


def _parts(spark: SparkSession, name: str) -> list[str]:
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


def _provider(spark: SparkSession, parts: list[str]) -> str | None:
    """Return the present table's format, `view` for a view, None where there is no table."""
    if not spark.catalog.tableExists(quoted(*parts)):
        return None
    told = {
        str(row["col_name"]).strip().casefold(): str(row["data_type"])
        for row in spark.sql(f"DESCRIBE TABLE EXTENDED {quoted(*parts)}").collect()
    }
    return "view" if told.get("type") == "VIEW" else told.get("provider", "").casefold()


def _default_provider(spark: SparkSession) -> str:
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
