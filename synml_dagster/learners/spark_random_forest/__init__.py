"""Random forest of pyspark.ml, grown across Spark's executors."""

from synml_dagster.learners.spark_random_forest.model import SparkRandomForestModel

__all__ = ["SparkRandomForestModel"]
