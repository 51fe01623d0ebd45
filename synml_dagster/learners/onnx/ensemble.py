"""Trees as ONNX nodes: features in, raw score out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from synml_dagster.learners.onnx.tree_nodes import node_arrays
from synml_dagster.onnx.graph import Graph

if TYPE_CHECKING:
    from synml_dagster.learners.trees import TreeEnsemble


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
