"""Trained gradient boosted trees of pyspark.ml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from synml_dagster.learners.spark_ml.ensemble import SparkTreeModel


@dataclass
class SparkGBTModel(SparkTreeModel):
    """The sum of its trees: the log-odds of the second class, or a number. pyspark.ml's own raw prediction is half the log-odds."""

    learner: ClassVar[str] = "spark_gbt"
