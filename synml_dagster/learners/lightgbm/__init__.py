"""Distributed LightGBM on Spark: exact, bounded in time, resumable; classic and Connect."""

from synml_dagster.learners.lightgbm.estimator import LightGBM
from synml_dagster.learners.lightgbm.model import LightGBMModel
from synml_dagster.learners.lightgbm.params import check_params
from synml_dagster.learners.progress import Progress

__all__ = ["LightGBM", "LightGBMModel", "Progress", "check_params"]
