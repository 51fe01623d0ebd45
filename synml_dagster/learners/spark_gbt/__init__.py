"""Gradient boosted trees of pyspark.ml, trained across Spark's executors."""

from synml_dagster.learners.spark_gbt.model import SparkGBTModel

__all__ = ["SparkGBTModel"]
