"""A trained model of a random forest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from synml_dagster.learners.forests.model import ForestModel


@dataclass
class RandomForestModel(ForestModel):
    """A model of a random forest; see `ForestModel`."""

    learner: ClassVar[str] = "random_forest"
