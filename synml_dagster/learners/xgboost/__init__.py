"""XGBoost, trained in one process; its package comes with the extra `synml-dagster[xgboost]`."""

from synml_dagster.learners.xgboost.model import XGBoostModel

__all__ = ["XGBoostModel"]
