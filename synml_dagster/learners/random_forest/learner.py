"""Random forests as a learner family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from synml_dagster.learners.forests.family import DEFAULTS, ForestLearner
from synml_dagster.learners.random_forest.model import RandomForestModel
from synml_dagster.learners.space import ParameterRange
from synml_dagster.learners.trained import TrainedModel

if TYPE_CHECKING:
    from synml_dagster.learners.space import Value

# TabArena's ranges (Erickson et al. 2025, packages/tabarena); leaves of one row are left to those who ask for them.
_SPACE: dict[str, ParameterRange] = {
    "max_features": ParameterRange(choices=["auto", 0.4, 0.6, 0.8, 1.0]),
    "max_samples": ParameterRange(low=0.5, high=1.0),
    "min_samples_leaf": ParameterRange(low=1, high=20, log=True),
    "min_impurity_decrease": ParameterRange(choices=[0.0, 1e-5, 1e-4, 1e-3]),
}


class RandomForestLearner(ForestLearner):
    """Each tree sees a bootstrap sample of the rows, each split some of the features (Breiman 2001)."""

    name: ClassVar[str] = "random_forest"
    title: ClassVar[str] = "A random forest"
    summary: ClassVar[str] = "A random forest of scikit-learn, grown in one process."
    precedence: ClassVar[int] = 40
    model: ClassVar[type[TrainedModel]] = RandomForestModel
    defaults: ClassVar[Mapping[str, Any]] = {**DEFAULTS, "bootstrap": True, "max_samples": 1.0}
    classifier: ClassVar[str] = "RandomForestClassifier"
    regressor: ClassVar[str] = "RandomForestRegressor"

    def space(self) -> Mapping[str, ParameterRange]:
        """Return TabArena's ranges."""
        return _SPACE

    def start(self) -> Mapping[str, Value]:
        """Return the defaults."""
        return {name: self.defaults[name] for name in _SPACE}

    def portfolio(self, task: str) -> Mapping[str, Mapping[str, Value]]:
        """Return trees of more features a split on part of the rows, which differ more."""
        return {"varied": {"max_features": 0.6, "max_samples": 0.7, "min_samples_leaf": 2}}


LEARNER = RandomForestLearner()
