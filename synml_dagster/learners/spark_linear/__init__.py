"""Linear and logistic regression of pyspark.ml, fitted across Spark's executors."""

from synml_dagster.learners.spark_linear.model import SparkLinearModel

__all__ = ["SparkLinearModel"]
