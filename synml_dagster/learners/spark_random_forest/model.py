"""A trained random forest of pyspark.ml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from synml_dagster.learners.spark_ml.ensemble import SparkTreeModel


@dataclass
class SparkRandomForestModel(SparkTreeModel):
    """The mean of its trees: probabilities of classes, which raw scores and explanations are in, too, or numbers."""

    learner: ClassVar[str] = "spark_random_forest"
