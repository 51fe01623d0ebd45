"""Extremely randomised trees as a learner family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from synml_dagster.learners.extra_trees.model import ExtraTreesModel
from synml_dagster.learners.forests.family import DEFAULTS, ForestLearner
from synml_dagster.learners.space import ParameterRange
from synml_dagster.learners.trained import TrainedModel

if TYPE_CHECKING:
    from synml_dagster.learners.space import Value

# TabArena's ranges (Erickson et al. 2025, packages/tabarena).
_SPACE: dict[str, ParameterRange] = {
    "max_features": ParameterRange(choices=["auto", 0.5, 0.75, 1.0]),
    "min_samples_split": ParameterRange(low=2, high=32, log=True),
    "min_samples_leaf": ParameterRange(low=1, high=20, log=True),
    "min_impurity_decrease": ParameterRange(choices=[0.0, 1e-5, 1e-4, 1e-3]),
}


class ExtraTreesLearner(ForestLearner):
    """Each split is the best of some that are drawn at random, over all rows (Geurts, Ernst, Wehenkel 2006)."""

    name: ClassVar[str] = "extra_trees"
    title: ClassVar[str] = "Extremely randomised trees"
    summary: ClassVar[str] = "Extremely randomised trees of scikit-learn, grown in one process."
    precedence: ClassVar[int] = 30
    model: ClassVar[type[TrainedModel]] = ExtraTreesModel
    defaults: ClassVar[Mapping[str, Any]] = {**DEFAULTS, "bootstrap": False}
    classifier: ClassVar[str] = "ExtraTreesClassifier"
    regressor: ClassVar[str] = "ExtraTreesRegressor"

    def space(self) -> Mapping[str, ParameterRange]:
        """Return TabArena's ranges."""
        return _SPACE

    def start(self) -> Mapping[str, Value]:
        """Return the defaults."""
        return {name: self.defaults[name] for name in _SPACE}

    def portfolio(self, task: str) -> Mapping[str, Mapping[str, Value]]:
        """Return splits over most of the features, which noise misleads less."""
        return {"most_features": {"max_features": 0.75, "min_samples_split": 8, "min_samples_leaf": 2}}


LEARNER = ExtraTreesLearner()
