"""Random forests of pyspark.ml as a learner family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from synml_dagster.learners.one_process.parameters import Parameter, Parameters
from synml_dagster.learners.space import ParameterRange
from synml_dagster.learners.spark_ml.ensemble import TREE_TABLE, SparkTreesLearner, check_criterion
from synml_dagster.learners.spark_ml.family import NO_SUCH
from synml_dagster.learners.spark_random_forest.model import SparkRandomForestModel
from synml_dagster.learners.trained import TrainedModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from synml_dagster.features import FeaturePlan
    from synml_dagster.learners.base import Settings
    from synml_dagster.learners.link import LinkName
    from synml_dagster.learners.space import Value
    from synml_dagster.learners.spark_ml.trees import SavedTrees

_OF_CLASSES, _OF_NUMBERS = ("gini", "entropy"), ("variance",)
_SPACE: dict[str, ParameterRange] = {
    "maxDepth": ParameterRange(low=4, high=12),
    "minInstancesPerNode": ParameterRange(low=1, high=64, log=True),
    "featureSubsetStrategy": ParameterRange(choices=["auto", "sqrt", "onethird", "all"]),
    "subsamplingRate": ParameterRange(low=0.5, high=1.0),
}


class SparkRandomForestLearner(SparkTreesLearner):
    """Each tree sees a bootstrap sample of the rows, each split some of the features (Breiman 2001)."""

    name: ClassVar[str] = "spark_random_forest"
    title: ClassVar[str] = "A random forest of Spark"
    summary: ClassVar[str] = (
        "A random forest of pyspark.ml, grown across Spark's executors on the whole table."
    )
    no_such_keys: ClassVar[Mapping[str, str]] = {
        **NO_SUCH,
        "rounds": "params.numTrees says how many trees it has",
    }
    model: ClassVar[type[TrainedModel]] = SparkRandomForestModel
    table: ClassVar[Parameters] = {
        **TREE_TABLE,
        "numTrees": Parameter(low=1, high=100_000, whole=True, aliases=("n_estimators", "num_trees")),
        "impurity": Parameter(values=(*_OF_CLASSES, *_OF_NUMBERS), aliases=("criterion",)),
        "bootstrap": Parameter(values=(True, False)),
    }
    defaults: ClassVar[Mapping[str, Any]] = {
        "numTrees": 50,
        "maxDepth": 8,
        "maxBins": 64,
        "minInstancesPerNode": 3,
        "featureSubsetStrategy": "auto",
        "subsamplingRate": 1.0,
    }
    trees_parameter: ClassVar[str] = "numTrees"

    def space(self) -> Mapping[str, ParameterRange]:
        """Return depths and leaves that Spark's level-wise growing can pay for."""
        return _SPACE

    def start(self) -> Mapping[str, Value]:
        """Return the defaults."""
        return {name: self.defaults[name] for name in _SPACE}

    def params(self, plan: FeaturePlan, spec: Settings, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Return the forest's parameters.

        Raises
        ------
        ConfigError
            The impurity is another task's.
        """
        params = super().params(plan, spec, chosen)
        wanted = _OF_NUMBERS if plan.task == "regression" else _OF_CLASSES
        check_criterion(params.get("impurity"), wanted, plan.task, plan.label.column)
        return params

    def has_classes(self, task: str) -> bool:
        """Return whether its trees tell classes apart: those of a classifier do."""
        return task != "regression"

    def objective(self, task: str, params: Mapping[str, Any]) -> str:
        """Return the impurity."""
        return str(params.get("impurity") or (_OF_NUMBERS if task == "regression" else _OF_CLASSES)[0])

    def estimator(self, task: str, params: Mapping[str, Any], seed: int) -> Any:
        """Return pyspark.ml's forest."""
        from pyspark.ml.classification import RandomForestClassifier
        from pyspark.ml.regression import RandomForestRegressor

        kind = RandomForestRegressor if task == "regression" else RandomForestClassifier
        return kind(weightCol="weight", seed=seed, **params)

    def answers(
        self, found: SavedTrees, task: str, classes: tuple[int, ...], count: int
    ) -> tuple[list[NDArray[np.float64]], LinkName | None]:
        """Return each node's shares of the classes, or its mean."""
        from synml_dagster.learners.spark_ml.trees import shares_of

        if task == "regression":
            return [values[:, None] for values in found.prediction], None
        return [shares_of(one, count) for one in found.statistics], None


LEARNER = SparkRandomForestLearner()
