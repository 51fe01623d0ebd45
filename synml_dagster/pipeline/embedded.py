"""The resources of a pipeline that is given none."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any


@cache
def default_resources() -> Mapping[str, Any]:
    """Return the embedded resources: Spark in the step's process, MLflow on SQLite, tables under one data directory.

    The environment moves them without a change of code: SPARK_REMOTE, SPARK_MASTER, MLFLOW_TRACKING_URI and
    SYNML_DATA_DIR. The same objects are returned each time, so that any number of pipelines merge into one code
    location.
    """
    from synml_dagster.io_managers import BundleIOManager, SparkTableIOManager
    from synml_dagster.resources import MLflowResource, SparkResource

    spark = SparkResource()
    return {
        "spark": spark,
        "mlflow": MLflowResource(),
        "spark_tables": SparkTableIOManager(spark=spark),
        "bundles": BundleIOManager(),
    }
