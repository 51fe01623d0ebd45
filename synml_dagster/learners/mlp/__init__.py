"""A multilayer perceptron, trained with NumPy in one process."""

from synml_dagster.learners.mlp.model import PerceptronModel

__all__ = ["PerceptronModel"]
