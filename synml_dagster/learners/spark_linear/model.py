"""A trained linear model of pyspark.ml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from synml_dagster.learners.linear.model import LinearModel


@dataclass
class SparkLinearModel(LinearModel):
    """A linear regression, or a logistic one of two or more classes, that pyspark.ml has fitted."""

    learner: ClassVar[str] = "spark_linear"

    def __repr__(self) -> str:
        """Say what it is in one line."""
        return f"SparkLinearModel({self.objective}, {len(self.features)} features)"
