"""LightGBM as stages of a `pyspark.ml.Pipeline`, on classic Spark: a thin face over `synml_dagster.learners.lightgbm`."""

from synml_dagster.ml.estimators import LightGBMClassifier, LightGBMRanker, LightGBMRegressor
from synml_dagster.ml.models import (
    LightGBMClassificationModel,
    LightGBMRankerModel,
    LightGBMRegressionModel,
)

__all__ = [
    "LightGBMClassificationModel",
    "LightGBMClassifier",
    "LightGBMRanker",
    "LightGBMRankerModel",
    "LightGBMRegressionModel",
    "LightGBMRegressor",
]
