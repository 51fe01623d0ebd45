"""Delta and Iceberg: the jars and the settings that tests have them by."""

from __future__ import annotations

from pathlib import Path

import pyspark

MINOR = ".".join(pyspark.__version__.split(".")[:2])
HAS_ICEBERG = MINOR in ("4.0", "4.1")  # the runtime for 4.1 does not load on 4.2, whose views are classes
KINDS = ["delta", "iceberg"] if HAS_ICEBERG else ["delta"]
PACKAGES = {
    "delta": f"io.delta:delta-spark_{MINOR}_2.13:4.4.0",
    "iceberg": f"org.apache.iceberg:iceberg-spark-runtime-{MINOR}_2.13:1.11.0",
}
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
        }
    return told
