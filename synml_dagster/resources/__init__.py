"""Spark and MLflow as Dagster resources, and the one data directory that everything embedded lives in."""

from synml_dagster.resources.data_directory import DataDirectory
from synml_dagster.resources.mlflow import MLflowResource
from synml_dagster.resources.mlflow_run import MLflowRun
from synml_dagster.resources.model_registry import ModelVersion
from synml_dagster.resources.spark import SparkResource

__all__ = ["DataDirectory", "MLflowResource", "MLflowRun", "ModelVersion", "SparkResource"]
