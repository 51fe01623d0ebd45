"""A trained forest: its trees, packed, and the number of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from synml_dagster.learners.tree_models.model import TreeModel


@dataclass
class ForestModel(TreeModel):
    """A forest of scikit-learn, without it: class probabilities, or the values of a regression, averaged over the trees.

    Raw scores are probabilities themselves, and so are explanations: they add up from the mean probability.

    Attributes
    ----------
    text : str
        See `synml_dagster.learners.forests.text`.
    """

    text_file: ClassVar[str] = "forest.json"

    @property
    def iterations(self) -> int:
        """How many trees the forest has."""
        return int(self.facts.get("trees", 1))
