"""Delta and Iceberg: the jars and the settings that tests have them by, and a writer in a process of its own for whoever kills it.

`python -m tests.tables.lake <warehouse> <kind> <table> <folder> <column> <rows>` replaces the table by the numbers below `rows` in `id`, and beside
them the column `word`, which is there already, or another one, an eighth of them at a time; where `column` is `run_id` it appends them as run `c` in place of that. The variable `SYNML_LAKE_JARS` says where the jars are.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyspark

MINOR = ".".join(pyspark.__version__.split(".")[:2])
HAS_ICEBERG = MINOR in ("4.0", "4.1")  # the runtime for 4.1 does not load on 4.2, whose views are classes
KINDS = ["delta", "iceberg"] if HAS_ICEBERG else ["delta"]
PACKAGES = {
    "delta": f"io.delta:delta-spark_{MINOR}_2.13:4.4.0",
    "iceberg": f"org.apache.iceberg:iceberg-spark-runtime-{MINOR}_2.13:1.11.0",
}
PARTS = 8
_EXTENSIONS = {
    "delta": "io.delta.sql.DeltaSparkSessionExtension",
    "iceberg": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
}


def settings(warehouse: Path) -> dict[str, str]:
    """Return Spark's settings for the formats that there are: Delta in Spark's own catalog, Iceberg in the catalog `ice`."""
    told = {
        "spark.sql.extensions": ",".join(_EXTENSIONS[kind] for kind in KINDS),
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.warehouse.dir": str(warehouse),
        "spark.databricks.delta.snapshotPartitions": "2",
    }
    if HAS_ICEBERG:
        told |= {
            "spark.sql.catalog.ice": "org.apache.iceberg.spark.SparkCatalog",
            "spark.sql.catalog.ice.type": "hadoop",
            "spark.sql.catalog.ice.warehouse": str(warehouse / "ice"),
            "spark.sql.catalog.ice.cache-enabled": "false",  # readers see at once what another process has written
        }
    return told


def _slowly(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    import time

    for batch in batches:
        time.sleep(0.2)
        yield batch


def main(warehouse: str, kind: str, table: str, folder: str, column: str, rows: str) -> None:
    """Replace the table, whose files another process has laid into `folder`."""
    from synml_dagster.spark import SparkSettings, open_session
    from synml_dagster.tables import append_catalog_table, publish_catalog_table

    conf = settings(Path(warehouse)) | {"spark.jars": os.environ["SYNML_LAKE_JARS"]}
    session = open_session(SparkSettings(master="local[1]", conf=conf))
    if kind == "delta":  # Spark's own catalog is each process's: only the files are shared
        session.sql(f"CREATE NAMESPACE {table.rpartition('.')[0]}")
        session.sql(f"CREATE TABLE {table} USING delta LOCATION '{folder}'")
    named = "word" if column == "run_id" else column
    made = session.range(0, int(rows), 1, PARTS).selectExpr("id", f"'x' AS {named}")
    slow = made.mapInArrow(_slowly, made.schema)
    if column == "run_id":
        append_catalog_table(slow, table, run="c")
    else:
        publish_catalog_table(slow, table)
    session.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
