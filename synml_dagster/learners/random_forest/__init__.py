"""Random forest, grown by scikit-learn in one process."""

from synml_dagster.learners.random_forest.model import RandomForestModel

__all__ = ["RandomForestModel"]
