"""Distributed LightGBM on Spark: exact, bounded in time, resumable; classic and Connect."""

from synml_dagster.lightgbm.model import LightGBMModel
from synml_dagster.lightgbm.params import check_params
from synml_dagster.lightgbm.progress import Progress
from synml_dagster.lightgbm.trainer import LightGBM

__all__ = ["LightGBM", "LightGBMModel", "Progress", "check_params"]
