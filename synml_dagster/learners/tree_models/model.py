"""A trained model of trees that answers by its neutral form, and so needs no library of its family to be opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from synml_dagster.learners.base import learner_of
from synml_dagster.learners.trained import TrainedModel
from synml_dagster.learners.trees import TreeEnsemble

if TYPE_CHECKING:
    pass


@dataclass
class TreeModel(TrainedModel):
    """A model whose text is trees.

    Predictions are sums of the leaves in float64; the library that grew them may sum in float32 and differ in the seventh
    digit.
    """

    def __repr__(self) -> str:
        """Say what it is in one line."""
        return f"{type(self).__name__}({self.objective}, {len(self.features)} features, {self.iterations} {learner_of(self.learner).round_name}s)"

    @property
    def form(self) -> TreeEnsemble:
        """The trees as arrays, read once."""
        known: TreeEnsemble | None = self.__dict__.get("_form")
        if known is None:
            found = learner_of(self.learner).form(self.text)
            assert isinstance(found, TreeEnsemble)
            known = self.__dict__["_form"] = found
        return known

    def importance(self) -> dict[str, float]:
        """Return each feature's gain over all splits, greatest first."""
        total = np.zeros(len(self.features))
        for tree in self.form.trees:
            np.add.at(total, tree.split_feature, np.maximum(tree.split_gain, 0))
        order = np.argsort(-total, kind="stable")
        return {self.features[i]: float(total[i]) for i in order}
