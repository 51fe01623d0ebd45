"""The neutral forms of trained models, and that of several which answer together: the weighted mean of their answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from synml_dagster.learners.additive import AdditiveForm
from synml_dagster.learners.link import Link
from synml_dagster.learners.network import NetworkForm
from synml_dagster.learners.raw_scores import RawScores, scorer_of
from synml_dagster.learners.trees import TreeEnsemble


@dataclass(frozen=True, eq=False)
class MixtureForm:
    """Answer = the sum over members of weight times the member's own answer, its link applied and its offset added.

    Probabilities are mixed and not raw scores: those of different families are no common unit.
    """

    members: tuple[Form, ...]
    weights: NDArray[np.float64]
    """[members], adding up to 1."""
    offsets: NDArray[np.float64]
    """[members] what a member's answer has added."""
    background: NDArray[np.float32]
    """[rows, features] training rows that stand for what is not known of a row, when it is explained."""
    places: tuple[NDArray[np.int64] | None, ...]
    """[members] the columns of a row that a member takes, in its order; None where it takes the row as it is."""

    @property
    def link(self) -> Link:
        """The raw score of a mixture is its answer, and a probability but for the last digit of a sum."""
        return Link("probability") if self.classifies else Link()

    @property
    def classifies(self) -> bool:
        """The answers are probabilities of classes."""
        return self.members[0].classifies

    @property
    def num_features(self) -> int:
        """How many columns a row has."""
        return int(self.background.shape[1])

    @property
    def num_outputs(self) -> int:
        """How many answers a row has: one for two classes."""
        return self.members[0].num_outputs

    @cached_property
    def _scorers(self) -> list[RawScores]:
        return [scorer_of(member) for member in self.members]

    def raw_scores(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the answers, float64 `[rows, outputs]`, of float32 `X` `[rows, features]`."""
        found = np.zeros((len(X), self.num_outputs))
        for scorer, form, weight, offset, places in zip(
            self._scorers, self.members, self.weights, self.offsets, self.places, strict=True
        ):
            own = X if places is None else X[:, places]
            found += weight * ((form.link or Link()).apply(scorer.raw_scores(own)) + offset)
        return found


Form = TreeEnsemble | AdditiveForm | NetworkForm | MixtureForm
"""What a trained model is, whichever library trained it: what the graph, the explainers and the parity gate read."""
