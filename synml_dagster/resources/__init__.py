"""Spark and MLflow as Dagster resources, and the one data directory that everything embedded lives in."""

from typing import TYPE_CHECKING

from synml_dagster.lazy import lazy

if TYPE_CHECKING:
    from synml_dagster.resources.data_directory import DataDirectory
    from synml_dagster.resources.mlflow import MLflowResource
    from synml_dagster.resources.mlflow_run import MLflowRun
    from synml_dagster.resources.model_registry import ModelVersion
    from synml_dagster.resources.spark import SparkResource

__all__ = ["DataDirectory", "MLflowResource", "MLflowRun", "ModelVersion", "SparkResource"]

# When they are asked for: the server reads the registry and knows nothing of Dagster.
__getattr__ = lazy(
    __name__,
    {
        "data_directory": "DataDirectory",
        "mlflow": "MLflowResource",
        "mlflow_run": "MLflowRun",
        "model_registry": "ModelVersion",
        "spark": "SparkResource",
    },
)
