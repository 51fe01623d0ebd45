"""Trees laid out for the SHAP kernels: flat arrays of nodes, and of every leaf's path by distinct feature.

A leaf's *slots* are the distinct features that the path to it looks at. A row *passes* a slot when it goes the leaf's
way at each of the path's splits on that feature; the slot's `cover` is the product of those splits' shares of the
training rows. The Shapley value of a leaf depends on a row only through which slots it passes (see `kernels`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ModelError
from synml_dagster.learners import Tree, TreeEnsemble
from synml_dagster.learners.trees import MISSING_NAN, MISSING_ZERO

MAX_SLOTS = 63
"""Distinct features on one path that fit the kernels' bit pattern."""

_NO_COVER = 1e-12  # in place of a share of 0, which no formula can divide by; below every real share


class Forest(NamedTuple):
    """Every array that the kernels read. `*_start` arrays have one entry more than there are things."""

    # nodes, of all trees
    feature: NDArray[np.int32]
    threshold: NDArray[np.float32]
    """Rounded down from LightGBM's doubles, which decides every float32 the same way."""
    kind: NDArray[np.uint8]
    """0 numeric, 1 categorical."""
    missing: NDArray[np.uint8]
    default_left: NDArray[np.uint8]
    word_start: NDArray[np.int32]
    """[nodes] first word of a categorical node's bit set."""
    word_count: NDArray[np.int32]
    words: NDArray[np.uint32]
    # trees
    node_start: NDArray[np.int64]
    leaf_start: NDArray[np.int64]
    output: NDArray[np.int32]
    """[trees] which output the tree adds to."""
    # leaves
    value: NDArray[np.float64]
    slot_start: NDArray[np.int64]
    # slots
    slot_feature: NDArray[np.int32]
    slot_cover: NDArray[np.float64]
    step_start: NDArray[np.int64]
    # steps: the splits of a slot
    step_node: NDArray[np.int32]
    """Number of the node within its tree."""
    step_left: NDArray[np.uint8]
    """Whether the leaf lies to the left."""


def lay_out(ensemble: TreeEnsemble) -> tuple[Forest, NDArray[np.float64]]:
    """Return the arrays of `ensemble` and the mean output of its trees, float64 [outputs].

    The mean is over the training rows that the model counted in its leaves; it is what the SHAP values add up from.

    Raises
    ------
    ModelError
        When the trees' leaves hold linear models, or a path looks at more features than fit.
    """
    trees = ensemble.trees
    if any(tree.is_linear for tree in trees):
        raise ModelError(
            "The model has linear trees: exact tree SHAP is defined for constant leaves. Train with linear_tree=false to explain it."
        )
    scale = 1.0 / max(ensemble.iterations, 1) if ensemble.average_output else 1.0
    base = np.zeros(ensemble.trees_per_iteration)
    lists: dict[str, list] = {
        name: [] for name in ("value", "slots", "features", "covers", "steps", "nodes", "left")
    }
    words: list[NDArray[np.uint32]] = [np.zeros(0, dtype=np.uint32)]
    word_start, word_count, used = [], [], 0
    for number, tree in enumerate(trees):
        output = number % ensemble.trees_per_iteration
        cover = _covers(tree)
        share = (
            cover[1] / cover[1].sum() if cover[1].sum() > 0 else np.full(tree.num_leaves, 1 / tree.num_leaves)
        )
        base[output] += scale * float(share @ tree.leaf_value)
        _add_paths(tree, cover, scale, lists)
        for node in range(tree.num_leaves - 1):
            size = 0
            if tree.is_categorical[node]:
                split = int(tree.threshold[node])
                first, end = int(tree.cat_boundaries[split]), int(tree.cat_boundaries[split + 1])
                word_start.append(used + first)
                size = end - first
            else:
                word_start.append(0)
            word_count.append(size)
        words.append(tree.cat_threshold)
        used += len(tree.cat_threshold)

    def joined(arrays: list[NDArray], dtype: type) -> NDArray:
        return np.ascontiguousarray(np.concatenate([np.zeros(0), *arrays]), dtype=dtype)

    threshold = joined([tree.threshold for tree in trees], np.float64)
    categorical = joined([tree.is_categorical for tree in trees], np.uint8)
    forest = Forest(
        feature=joined([tree.split_feature for tree in trees], np.int32),
        threshold=_rounded_down(np.where(categorical == 1, 0.0, threshold)),
        kind=categorical,
        missing=joined([tree.missing_type for tree in trees], np.uint8),
        default_left=joined([tree.default_left for tree in trees], np.uint8),
        word_start=np.array(word_start, dtype=np.int32),
        word_count=np.array(word_count, dtype=np.int32),
        words=np.concatenate(words).astype(np.uint32),
        node_start=_starts([tree.num_leaves - 1 for tree in trees]),
        leaf_start=_starts([tree.num_leaves for tree in trees]),
        output=np.array([n % ensemble.trees_per_iteration for n in range(len(trees))], dtype=np.int32),
        value=np.array(lists["value"], dtype=np.float64),
        slot_start=_starts(lists["slots"]),
        slot_feature=np.array(lists["features"], dtype=np.int32),
        slot_cover=np.array(lists["covers"], dtype=np.float64),
        step_start=_starts(lists["steps"]),
        step_node=np.array(lists["nodes"], dtype=np.int32),
        step_left=np.array(lists["left"], dtype=np.uint8),
    )
    return forest, base


def _covers(tree: Tree) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return training rows of the nodes and of the leaves, the nodes' added up from the leaves'.

    LightGBM states the nodes' too, but only sums of leaves add up, and values that add up is what SHAP promises.
    """
    leaves = tree.leaf_count.astype(np.float64)
    nodes = np.zeros(tree.num_leaves - 1)
    for node in range(tree.num_leaves - 2, -1, -1):  # children have larger numbers than their parent
        for child in (tree.left_child[node], tree.right_child[node]):
            nodes[node] += nodes[child] if child >= 0 else leaves[~child]
    return nodes, leaves


def _add_paths(
    tree: Tree, cover: tuple[NDArray[np.float64], NDArray[np.float64]], scale: float, lists: dict[str, list]
) -> None:
    paths: list[list[tuple[int, bool, float]]] = [[] for _ in range(tree.num_leaves)]
    pending: list[tuple[int, list[tuple[int, bool, float]]]] = [(0, [])] if tree.num_leaves > 1 else []
    while pending:
        node, path = pending.pop()
        whole = cover[0][node]
        for child, left in ((int(tree.left_child[node]), True), (int(tree.right_child[node]), False)):
            part = cover[0][child] if child >= 0 else cover[1][~child]
            step = (node, left, max(part / whole, _NO_COVER) if whole > 0 else 0.5)
            if child >= 0:
                pending.append((child, [*path, step]))
            else:
                paths[~child] = [*path, step]
    for leaf, path in enumerate(paths):
        by_feature: dict[int, list[tuple[int, bool, float]]] = {}
        for step in path:
            by_feature.setdefault(int(tree.split_feature[step[0]]), []).append(step)
        if len(by_feature) > MAX_SLOTS:
            raise ModelError(
                f"A path of the model looks at {len(by_feature)} features; explanations go up to {MAX_SLOTS}. Train with a max_depth up to {MAX_SLOTS}."
            )
        lists["value"].append(scale * float(tree.leaf_value[leaf]))
        lists["slots"].append(len(by_feature))
        for feature, steps in by_feature.items():
            lists["features"].append(feature)
            lists["covers"].append(float(np.prod([share for _, _, share in steps])))
            lists["steps"].append(len(steps))
            lists["nodes"] += [node for node, _, _ in steps]
            lists["left"] += [left for _, left, _ in steps]


def _starts(sizes: list[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]).astype(np.int64)


def _rounded_down(threshold: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the largest float32 not above each threshold: for a float32 x, `x <= threshold` holds for both alike."""
    with np.errstate(over="ignore"):
        near = threshold.astype(np.float32)
    above = near.astype(np.float64) > threshold
    return np.where(above, np.nextafter(near, np.float32(-np.inf)), near).astype(np.float32)


assert (MISSING_ZERO, MISSING_NAN) == (
    1,
    2,
)  # written as numbers in the kernels, which are compiled on their own
