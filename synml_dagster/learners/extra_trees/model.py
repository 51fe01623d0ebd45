"""A trained model of extremely randomised trees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from synml_dagster.learners.forests.model import ForestModel


@dataclass
class ExtraTreesModel(ForestModel):
    """A model of extremely randomised trees; see `ForestModel`."""

    learner: ClassVar[str] = "extra_trees"
