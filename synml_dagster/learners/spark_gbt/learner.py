"""Gradient boosted trees of pyspark.ml as a learner family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from synml_dagster.learners.one_process.parameters import Parameter, Parameters
from synml_dagster.learners.space import ParameterRange
from synml_dagster.learners.spark_gbt.model import SparkGBTModel
from synml_dagster.learners.spark_ml.ensemble import TREE_TABLE, SparkTreesLearner, check_criterion
from synml_dagster.learners.spark_ml.family import NO_SUCH
from synml_dagster.learners.trained import TrainedModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from synml_dagster.features import FeaturePlan
    from synml_dagster.learners.base import Settings
    from synml_dagster.learners.link import LinkName
    from synml_dagster.learners.space import Value
    from synml_dagster.learners.spark_ml.trees import SavedTrees

_OF_CLASSES, _OF_NUMBERS = ("logistic",), ("squared", "absolute")
_SPACE: dict[str, ParameterRange] = {
    "maxIter": ParameterRange(low=10, high=100, log=True),
    "stepSize": ParameterRange(low=0.02, high=0.3, log=True),
    "maxDepth": ParameterRange(low=3, high=8),
    "minInstancesPerNode": ParameterRange(low=1, high=64, log=True),
    "subsamplingRate": ParameterRange(low=0.5, high=1.0),
}


class SparkGBTLearner(SparkTreesLearner):
    """Trees one after another, each on what those before left (Friedman 2001); pyspark.ml knows two classes, or numbers."""

    name: ClassVar[str] = "spark_gbt"
    title: ClassVar[str] = "Gradient boosted trees of Spark"
    summary: ClassVar[str] = (
        "Gradient boosted trees of pyspark.ml, trained across Spark's executors on the whole table."
    )
    tasks: ClassVar[frozenset[str]] = frozenset({"binary", "regression"})
    no_such_keys: ClassVar[Mapping[str, str]] = {
        **NO_SUCH,
        "rounds": "params.maxIter says how many trees it has",
    }
    model: ClassVar[type[TrainedModel]] = SparkGBTModel
    table: ClassVar[Parameters] = {
        **TREE_TABLE,
        "maxIter": Parameter(low=1, high=100_000, whole=True, aliases=("n_estimators", "max_iter")),
        "stepSize": Parameter(low=0, high=1, above=True, aliases=("learning_rate",)),
        "lossType": Parameter(values=(*_OF_CLASSES, *_OF_NUMBERS)),
    }
    defaults: ClassVar[Mapping[str, Any]] = {
        "maxIter": 20,
        "stepSize": 0.1,
        "maxDepth": 5,
        "maxBins": 64,
        "minInstancesPerNode": 3,
        "subsamplingRate": 1.0,
        "featureSubsetStrategy": "all",
    }
    trees_parameter: ClassVar[str] = "maxIter"

    def space(self) -> Mapping[str, ParameterRange]:
        """Return numbers of trees that Spark, with some jobs a tree, can pay for."""
        return _SPACE

    def start(self) -> Mapping[str, Value]:
        """Return the defaults."""
        return {name: self.defaults[name] for name in _SPACE}

    def params(self, plan: FeaturePlan, spec: Settings, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters.

        Raises
        ------
        ConfigError
            The loss is another task's.
        """
        params = super().params(plan, spec, chosen)
        wanted = _OF_NUMBERS if plan.task == "regression" else _OF_CLASSES
        check_criterion(params.get("lossType"), wanted, plan.task, plan.label.column)
        return params

    def has_classes(self, task: str) -> bool:
        """Return whether its trees tell classes apart: all are trees of numbers."""
        return False

    def objective(self, task: str, params: Mapping[str, Any]) -> str:
        """Return the loss."""
        return str(params.get("lossType") or (_OF_NUMBERS if task == "regression" else _OF_CLASSES)[0])

    def estimator(self, task: str, params: Mapping[str, Any], seed: int) -> Any:
        """Return pyspark.ml's boosted trees."""
        from pyspark.ml.classification import GBTClassifier
        from pyspark.ml.regression import GBTRegressor

        kind = GBTRegressor if task == "regression" else GBTClassifier
        return kind(weightCol="weight", seed=seed, **params)

    def answers(
        self, found: SavedTrees, task: str, classes: tuple[int, ...], count: int
    ) -> tuple[list[NDArray[np.float64]], LinkName | None]:
        """Return each node's part of the sum: of classes twice of it, because pyspark.ml boosts half the log-odds."""
        times = 1.0 if task == "regression" else 2.0
        values = [
            times * weight * value[:, None]
            for weight, value in zip(found.weight, found.prediction, strict=True)
        ]
        return values, "identity" if task == "regression" else "logistic"


LEARNER = SparkGBTLearner()
