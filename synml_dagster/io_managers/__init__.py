"""How assets hand each other Spark tables and bundles of files, each replaced whole or not at all."""

from synml_dagster.io_managers.bundle import BundleIOManager
from synml_dagster.io_managers.spark_table import SparkTableIOManager

__all__ = ["BundleIOManager", "SparkTableIOManager"]
