"""Extremely randomised trees, grown by scikit-learn in one process."""

from synml_dagster.learners.extra_trees.model import ExtraTreesModel

__all__ = ["ExtraTreesModel"]
