"""The nodes of a `TreeEnsembleRegressor` as this package exports it, read back as plain lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synml_dagster.onnx.forest.bins import last_float

if TYPE_CHECKING:
    import onnx

_AT_MOST, _EQUAL, _LEAF = b"BRANCH_LEQ", b"BRANCH_EQ", b"LEAF"
_FORM = {"aggregate_function": b"SUM", "post_transform": b"NONE"}
_LISTS = {
    "nodes_treeids",
    "nodes_nodeids",
    "nodes_featureids",
    "nodes_modes",
    "nodes_values_as_tensor",
    "nodes_truenodeids",
    "nodes_falsenodeids",
    "nodes_missing_value_tracks_true",
    "target_treeids",
    "target_nodeids",
    "target_ids",
    "target_weights_as_tensor",
    "n_targets",
}

_MOST_NODES = 1_000_000
"""Reading them takes some seconds; only sets of thousands of categories make so many."""


@dataclass(frozen=True)
class Nodes:
    """All nodes of all trees; a node is known by its place in the lists.

    Attributes
    ----------
    trees
        The places of each tree's nodes, its root first.
    feature
        The feature that a node asks for, -1 at a leaf.
    above, at_most
        The float32 values that answer true: `above < x <= at_most`, without a lower end where `above` is None, none at
        all where `at_most` is.
    missing_true
        Whether NaN goes the way of true.
    when_true, when_false
        The places of a node's children.
    weight, target
        What a leaf adds, and to which score.
    targets
        How many scores there are.
    """

    trees: list[range]
    feature: list[int]
    above: list[float | None]
    at_most: list[float | None]
    missing_true: list[bool]
    when_true: list[int]
    when_false: list[int]
    weight: list[float]
    target: list[int]
    targets: int

    def settled(self, node: int) -> int:
        """Return the node that every row reaches from `node`: the export sets nodes in between that always answer true."""
        while self.feature[node] >= 0 and self.at_most[node] == np.inf and self.missing_true[node]:
            node = self.when_true[node]
        return node


def read_nodes(ensemble: onnx.NodeProto, added: dict[int, float]) -> Nodes | None:
    """Return the nodes of `ensemble`; None where it is of another form than this package exports, or too large.

    Parameters
    ----------
    ensemble
        The node of the graph.
    added
        What the graph adds to a feature, in float64, before the trees compare it.
    """
    from onnx import helper, numpy_helper

    own: dict[str, Any] = {a.name: helper.get_attribute_value(a) for a in ensemble.attribute}
    if ensemble.op_type != "TreeEnsembleRegressor" or set(own) != _LISTS | set(_FORM):
        return None
    modes = own["nodes_modes"]
    if any(own[name] != value for name, value in _FORM.items()) or set(modes) - {_AT_MOST, _EQUAL, _LEAF}:
        return None
    tree_ids, node_ids = own["nodes_treeids"], own["nodes_nodeids"]
    if len(tree_ids) > _MOST_NODES:
        return None
    places = {key: place for place, key in enumerate(zip(tree_ids, node_ids, strict=True))}
    starts = [i for i, tree in enumerate(tree_ids) if i == 0 or tree != tree_ids[i - 1]]
    trees = [range(a, b) for a, b in zip(starts, [*starts[1:], len(tree_ids)], strict=True)]
    leaves = list(zip(own["target_treeids"], own["target_nodeids"], strict=True))
    if len(places) != len(tree_ids) or len(set(leaves)) != len(leaves) or len(leaves) != modes.count(_LEAF):
        return None
    if len({tree_ids[tree.start] for tree in trees}) != len(trees):
        return None
    weight, target = [0.0] * len(tree_ids), [0] * len(tree_ids)
    weights = numpy_helper.to_array(own["target_weights_as_tensor"]).tolist()
    for key, score, value in zip(leaves, own["target_ids"], weights, strict=True):
        weight[places[key]], target[places[key]] = value, score
    feature = [-1 if m == _LEAF else f for f, m in zip(own["nodes_featureids"], modes, strict=True)]
    asked = numpy_helper.to_array(own["nodes_values_as_tensor"]).astype(np.float64)
    above, at_most = _true_values(asked, np.array([added.get(f, 0.0) for f in feature]), modes)
    return Nodes(
        trees=trees,
        feature=feature,
        above=above,
        at_most=at_most,
        missing_true=[bool(one) for one in own["nodes_missing_value_tracks_true"]],
        when_true=[places.get((t, n), -1) for t, n in zip(tree_ids, own["nodes_truenodeids"], strict=True)],
        when_false=[places.get((t, n), -1) for t, n in zip(tree_ids, own["nodes_falsenodeids"], strict=True)],
        weight=weight,
        target=target,
        targets=own["n_targets"],
    )


def _true_values(
    asked: NDArray[np.float64], added: NDArray[np.float64], modes: list[bytes]
) -> tuple[list[float | None], list[float | None]]:
    """Return `Nodes.above` and `Nodes.at_most` of questions for `x + added`."""
    equal = np.array([mode == _EQUAL for mode in modes])
    last = last_float(asked, added, below=False)
    before = np.full(len(asked), np.nan, np.float32)
    before[equal] = last_float(asked[equal], added[equal], below=True)
    never = np.isnan(last) | (before >= last)
    # 0.0 for -0.0: they are one value.
    above = [None if np.isnan(value) else value + 0.0 for value in before.tolist()]
    at_most = [None if n else value + 0.0 for n, value in zip(never.tolist(), last.tolist(), strict=True)]
    return above, at_most
