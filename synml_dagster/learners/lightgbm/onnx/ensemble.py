"""One LightGBM model as ONNX nodes: features in, raw score, prediction and label out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from synml_dagster.errors import ModelError
from synml_dagster.learners.lightgbm.onnx.links import CLASSIFIERS, add_link
from synml_dagster.learners.lightgbm.onnx.tree_nodes import node_arrays
from synml_dagster.onnx.graph import Graph

if TYPE_CHECKING:
    from synml_dagster.learners.trees import TreeEnsemble

CLASS_TYPES = ("string", "int64", "boolean")
"""What a class label is in the user's table; booleans are the int64 0 and 1 in the graph, which has no better."""


@dataclass(frozen=True)
class Classes:
    """The classes of a model in the order of its scores.

    Attributes
    ----------
    values
        As text, whatever their type.
    type
        One of `CLASS_TYPES`, or a wider Spark type (`double`, `date`, ...) that is carried as text.
    """

    values: tuple[str, ...]
    type: str = "string"

    @property
    def in_graph(self) -> list[str] | list[int]:
        """The labels that the graph answers: int64 for whole numbers and booleans, else text."""
        if self.type == "boolean":
            return [int(value.lower() == "true") for value in self.values]
        if self.type in ("int64", "tinyint", "smallint", "int", "bigint"):
            return [int(value) for value in self.values]
        return list(self.values)


def add_ensemble(
    graph: Graph, ensemble: TreeEnsemble, features: str, *, whole_categories: bool = False
) -> str:
    """Add one tree node over the float32 `features` `[N, F]`; return the float32 raw score `[N, k]`.

    Features, thresholds and leaves are float64 inside, which costs next to nothing and sums without drift: a float32
    sum of 500 trees over a target of 500,000 is off by 0.1.
    """
    from onnx import TensorProto, helper

    if ensemble.num_features == 0 or not ensemble.trees:
        return _constant_score(graph, ensemble, features)
    nodes = node_arrays(ensemble, whole_categories=whole_categories)
    values = graph.cast(features, "double")
    if nodes.raised:
        ones = np.zeros((1, ensemble.num_features))
        ones[0, nodes.raised] = 1
        values = graph.node("Add", values, graph.constant(ones, "double"))
    return graph.node(
        "TreeEnsembleRegressor",
        values,
        domain="ai.onnx.ml",
        n_targets=ensemble.trees_per_iteration,
        aggregate_function="SUM",
        post_transform="NONE",
        nodes_treeids=nodes.tree,
        nodes_nodeids=nodes.node,
        nodes_featureids=nodes.feature,
        nodes_modes=nodes.mode,
        nodes_values_as_tensor=helper.make_tensor(
            "thresholds", TensorProto.DOUBLE, [len(nodes.threshold)], nodes.threshold
        ),
        nodes_truenodeids=nodes.when_true,
        nodes_falsenodeids=nodes.when_false,
        nodes_missing_value_tracks_true=nodes.missing_true,
        target_treeids=nodes.leaf_tree,
        target_nodeids=nodes.leaf_node,
        target_ids=nodes.leaf_target,
        target_weights_as_tensor=helper.make_tensor(
            "leaves", TensorProto.DOUBLE, [len(nodes.leaf_value)], nodes.leaf_value
        ),
    )


def _constant_score(graph: Graph, ensemble: TreeEnsemble, features: str) -> str:
    rows = graph.node("Slice", graph.node("Shape", features), *(graph.constant([i], "int64") for i in (0, 1)))
    shape = graph.concat([rows, graph.constant([ensemble.trees_per_iteration], "int64")], axis=0)
    return graph.node("Expand", graph.constant(np.zeros((1, 1)), "float32"), shape)


@dataclass(frozen=True)
class ModelOutputs:
    """The names of a model's result tensors: `label` and `probabilities` of a classifier, `prediction` of the others."""

    raw_score: str
    label: str | None = None
    probabilities: str | None = None
    prediction: str | None = None


def add_model(
    graph: Graph,
    ensemble: TreeEnsemble,
    features: str,
    classes: Classes | None,
    *,
    whole_categories: bool = False,
    offset: float = 0.0,
) -> ModelOutputs:
    """Add the ensemble, its link and, for a classifier, the labels.

    With an `offset` the prediction is it and the link's result, in float64: a float32 far from zero has no fractions.

    Raises
    ------
    ModelError
        The number of classes does not fit the model.
    """
    raw = add_ensemble(graph, ensemble, features, whole_categories=whole_categories)
    score = graph.cast(raw, "double")
    if ensemble.average_output:  # a random forest answers the mean of its trees; its raw score is their sum
        score = graph.node("Div", score, graph.constant(float(max(1, ensemble.iterations)), "float64"))
    predicted = add_link(graph, ensemble, score)
    if ensemble.objective not in CLASSIFIERS:
        if offset:
            shifted = graph.node("Add", predicted, graph.constant(offset, "float64"))
            return ModelOutputs(raw_score=raw, prediction=shifted)
        return ModelOutputs(raw_score=raw, prediction=graph.cast(predicted, "float"))
    count = 2 if ensemble.objective == "binary" else ensemble.num_class
    classes = classes or Classes(tuple(str(i) for i in range(count)), "int64")
    if len(classes.values) != count:
        raise ModelError(f"The model tells {count} classes apart, but {len(classes.values)} are named.")
    if ensemble.objective == "binary":
        one = graph.constant(1.0, "float64")
        predicted = graph.concat([graph.node("Sub", one, predicted), predicted])
    best = graph.node("ArgMax", predicted, axis=1, keepdims=0)
    return ModelOutputs(
        raw_score=raw,
        label=_labels(graph, best, classes.in_graph),
        probabilities=graph.cast(predicted, "float"),
    )


def _labels(graph: Graph, best: str, labels: Sequence[Any]) -> str:
    numbers = all(isinstance(label, int) for label in labels)
    return graph.node("Gather", graph.constant(labels, "int64" if numbers else None), best, axis=0)
