"""Families of trees of pyspark.ml: parameters, training, and the trained trees as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from synml_dagster.errors import ConfigError
from synml_dagster.features.fitting.precision import label_offset
from synml_dagster.learners.forests.text import read_forest, write_forest
from synml_dagster.learners.one_process.parameters import Parameter
from synml_dagster.learners.spark_ml.family import SparkLearner
from synml_dagster.learners.spark_ml.rows import TrainingRows
from synml_dagster.learners.tree_models.model import TreeModel

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyspark.sql import SparkSession

    from synml_dagster.features import FeaturePlan
    from synml_dagster.learners.link import LinkName
    from synml_dagster.learners.spark_ml.trees import SavedTrees
    from synml_dagster.learners.trained import TrainedModel
    from synml_dagster.learners.trees import TreeEnsemble

TREE_TABLE: dict[str, Parameter] = {
    "maxDepth": Parameter(low=0, high=30, whole=True, aliases=("max_depth",)),
    "maxBins": Parameter(low=2, high=1_000_000, whole=True, aliases=("max_bin", "max_bins")),
    "minInstancesPerNode": Parameter(low=1, high=1e9, whole=True, aliases=("min_samples_leaf",)),
    "minWeightFractionPerNode": Parameter(low=0, high=0.499),
    "minInfoGain": Parameter(low=0, high=1e12),
    "subsamplingRate": Parameter(low=0, high=1, above=True, aliases=("subsample",)),
    "featureSubsetStrategy": Parameter(
        low=0, high=1, above=True, values=("auto", "all", "onethird", "sqrt", "log2")
    ),
    "maxMemoryInMB": Parameter(low=1, high=1_000_000, whole=True),
    "cacheNodeIds": Parameter(values=(True, False)),
    "checkpointInterval": Parameter(low=-1, high=1e9, whole=True),
}
"""What forests and boosted trees of pyspark.ml both take, under its names."""


@dataclass
class SparkTreeModel(TreeModel):
    """Trees of pyspark.ml, without it.

    Attributes
    ----------
    text : str
        See `synml_dagster.learners.forests.text`.
    """

    text_file: ClassVar[str] = "trees.json"

    @property
    def iterations(self) -> int:
        """How many trees the model has."""
        return int(self.facts.get("trees", 1))


class SparkTreesLearner(SparkLearner):
    """A family of trees of pyspark.ml.

    Attributes
    ----------
    trees_parameter
        Which parameter says how many trees it has.
    """

    round_name: ClassVar[str] = "tree"
    importance_name: ClassVar[str] = "impurity that all splits took away"
    trees_parameter: ClassVar[str]

    def train(
        self,
        spark: SparkSession,
        plan: FeaturePlan,
        params: Mapping[str, Any],
        rows: TrainingRows,
        *,
        seed: int,
        place: str | None,
    ) -> TrainedModel:
        """Train the trees, and keep them as text."""
        from pyspark.sql import functions as sf

        from synml_dagster.learners.spark_ml.session import scratch
        from synml_dagster.learners.spark_ml.trees import as_categories, bins_for, saved_trees, vectors

        classifies = plan.task != "regression"
        count = len(plan.label.classes or []) if classifies else 0
        offset = label_offset(plan)
        frame = rows.frame
        if offset:
            frame = frame.withColumn("label", sf.col("label") - offset)
        data = vectors(frame, rows.features, rows.codes, count)
        given = {**params, "maxBins": bins_for(rows.codes, int(params["maxBins"]))}
        trained = self.estimator(plan.task, _as_spark_takes(given), seed).fit(data)
        with scratch(spark, place) as path:
            found = saved_trees(spark, trained, path, rows.codes, self.has_classes(plan.task))
        values, link = self.answers(found, plan.task, rows.classes, count)
        text = write_forest(
            [{**nodes, "value": value} for nodes, value in zip(found.nodes, values, strict=True)],
            objective=self.objective(plan.task, params),
            features=rows.features,
            classifies=classifies,
            link=link,
            categories=found.categories if as_categories(rows.codes) else None,
        )
        self.check_whole(found, params)
        assert issubclass(self.model, SparkTreeModel)
        return self.model(
            text=text,
            features=list(plan.feature_names),
            categorical=list(plan.categorical_features),
            objective=self.objective(plan.task, params),
            params={k: v for k, v in given.items() if v is not None},
            facts={
                "trees": len(found.nodes),
                "nodes": sum(len(nodes["left"]) for nodes in found.nodes),
                "notes": _notes(plan, rows, int(params["maxBins"]), given["maxBins"]),
            },
            label_offset=offset,
        )

    def check_whole(self, found: SavedTrees, params: Mapping[str, Any]) -> None:
        """Refuse a model that has fewer trees than were asked for.

        Raises
        ------
        TrainingError
            It has.
        """
        from synml_dagster.errors import TrainingError

        wanted = int(params[self.trees_parameter])
        if len(found.nodes) < wanted:
            raise TrainingError(
                f"learner {self.name}: Spark grew {len(found.nodes)} of {wanted} trees and stopped. Take fewer or smaller trees."
            )

    def form(self, text: str) -> TreeEnsemble:
        """Return the trees of a model's text."""
        return read_forest(text)

    def has_classes(self, task: str) -> bool:
        """Return whether a node's statistics are weights of classes, and not sums of numbers."""
        raise NotImplementedError

    def objective(self, task: str, params: Mapping[str, Any]) -> str:
        """Return what a split, or the whole model, minimises."""
        raise NotImplementedError

    def estimator(self, task: str, params: Mapping[str, Any], seed: int) -> Any:
        """Return pyspark.ml's estimator."""
        raise NotImplementedError

    def answers(
        self, found: SavedTrees, task: str, classes: tuple[int, ...], count: int
    ) -> tuple[list[NDArray[np.float64]], LinkName | None]:
        """Return by tree what its nodes answer, `[nodes, outputs]`, and the link of their sum; None for their mean."""
        raise NotImplementedError


def _as_spark_takes(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as pyspark.ml takes them: a share of the features is a text to it."""
    found = dict(params)
    if isinstance(share := found.get("featureSubsetStrategy"), int | float):
        found["featureSubsetStrategy"] = str(float(share))
    return found


def _notes(plan: FeaturePlan, rows: TrainingRows, asked: int, bins: int) -> list[str]:
    from synml_dagster.learners.spark_ml.trees import MOST_CODES

    notes = []
    large = [plan.feature_names[i] for i, n in rows.codes.items() if n > MOST_CODES]
    if large:
        notes.append(
            f"categories of {', '.join(map(repr, large[:5]))} are numbers to the trees, the most frequent one being 0: pyspark.ml looks at as many bins of every feature as one has categories, and these have more than {MOST_CODES:,}"
        )
    if bins > asked:
        notes.append(f"maxBins is {bins} and not {asked}: pyspark.ml needs a bin for each category")
    return notes


def check_criterion(said: Any, wanted: tuple[str, ...], task: str, label: str) -> None:
    """Refuse an impurity, or a loss, of another task.

    Raises
    ------
    ConfigError
        It is.
    """
    if said is not None and said not in wanted:
        raise ConfigError(
            f"train.params: {said!r} does not go with task {task!r} of label {label!r}; leave it out, or use {' or '.join(map(repr, wanted))}."
        )
