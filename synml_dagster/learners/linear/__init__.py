"""Linear and logistic regression, fitted by scikit-learn."""

from synml_dagster.learners.linear.model import LinearModel

__all__ = ["LinearModel"]
