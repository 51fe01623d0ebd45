"""Neutral trees from tables of nodes, as most libraries keep them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ModelError
from synml_dagster.learners.trees import MISSING_NAN, Tree

_NUMERIC, _CATEGORICAL, _DEFAULT_LEFT = MISSING_NAN << 2, 1 | MISSING_NAN << 2, 2
LARGEST_CATEGORY = 1 << 24
"""Codes from here on a float32 does not tell apart."""


@dataclass(frozen=True)
class NodeTable:
    """A tree as one row a node, leaves among them; node 0 is the root.

    Attributes
    ----------
    left, right
        Children by their place in the table, negative for a leaf.
    feature, threshold
        Of inner nodes: `x <= threshold` goes left.
    missing_left
        Of inner nodes: whether a missing value goes left.
    value
        Of leaves.
    cover
        How much of the training rows reached the node: rows or a weight, all that explanations ask is that children add up
        to their parent.
    gain
        Of inner nodes: what the split was worth.
    categories
        By inner node, the codes that go left, for splits by category; other codes go right. None where only a missing value
        goes left.
    """

    left: NDArray[np.integer]
    right: NDArray[np.integer]
    feature: NDArray[np.integer]
    threshold: NDArray[np.float64]
    missing_left: NDArray[np.bool_]
    value: NDArray[np.float64]
    cover: NDArray[np.float64]
    gain: NDArray[np.float64]
    categories: Mapping[int, Sequence[int]]


def tree_of(table: NodeTable, where: str) -> Tree:
    """Return the neutral tree of a table of nodes.

    Parameters
    ----------
    where
        Which tree it is, for messages.

    Raises
    ------
    ModelError
        The nodes are no tree, or a split names a category that a float32 cannot tell from its neighbour.
    """
    inner, leaves = _walk(table, where)
    place = np.zeros(len(table.left), np.int32)
    place[inner] = np.arange(len(inner))
    place[leaves] = ~np.arange(len(leaves), dtype=np.int32)
    threshold = table.threshold[inner].astype(np.float64)
    decision = np.where(table.missing_left[inner], _NUMERIC | _DEFAULT_LEFT, _NUMERIC).astype(np.uint8)
    bounds, words = [0], [np.zeros(0, np.uint32)]
    for old in sorted(table.categories):
        codes, new = table.categories[old], int(place[old])
        if new < 0 or (new == 0 and old != inner[:1]):
            continue  # a node that is not part of the tree any more
        decision[new] = _CATEGORICAL | (_DEFAULT_LEFT if table.missing_left[old] else 0)
        threshold[new] = len(bounds) - 1
        words.append(_bits(codes, where, allow_none=bool(table.missing_left[old])))
        bounds.append(bounds[-1] + len(words[-1]))
    return Tree(
        num_leaves=len(leaves),
        split_feature=table.feature[inner].astype(np.int32),
        threshold=threshold,
        decision_type=decision,
        left_child=place[table.left[inner]],
        right_child=place[table.right[inner]],
        split_gain=table.gain[inner].astype(np.float64),
        internal_count=table.cover[inner].astype(np.float64),
        leaf_value=table.value[leaves].astype(np.float64),
        leaf_count=table.cover[leaves].astype(np.float64),
        cat_boundaries=np.array(bounds, np.int32),
        cat_threshold=np.concatenate(words),
        shrinkage=1.0,
        is_linear=False,
        tiny_is_zero=False,
    )


def leaf(value: float, cover: float = 1.0) -> Tree:
    """Return a tree that always answers `value`."""
    nothing = np.zeros(0)
    one = NodeTable(
        np.array([-1]),
        np.array([-1]),
        np.array([0]),
        np.zeros(1),
        np.zeros(1, bool),
        np.array([value]),
        np.array([cover]),
        nothing,
        {},
    )
    return tree_of(one, "a constant")


def _walk(table: NodeTable, where: str) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return inner nodes and leaves, parents before their children."""
    if _is_in_order(table):
        return np.flatnonzero(table.left >= 0), np.flatnonzero(table.left < 0)
    inner: list[int] = []
    leaves: list[int] = []
    waiting, size = [0], len(table.left)
    while waiting:
        node = waiting.pop()
        if not 0 <= node < size or len(inner) + len(leaves) >= size:
            raise ModelError(f"the model's text is damaged: the nodes of {where} do not form a tree.")
        if table.left[node] < 0:
            leaves.append(node)
        else:
            inner.append(node)
            waiting += [int(table.right[node]), int(table.left[node])]
    return np.array(inner, np.intp), np.array(leaves, np.intp)


def _is_in_order(table: NodeTable) -> bool:
    """Whether each node but the root is one node's child, and stands behind it."""
    parents = np.flatnonzero(table.left >= 0)
    children = np.concatenate([table.left[parents], table.right[parents]])
    size = len(table.left)
    if size == 0 or len(children) != size - 1 or np.any(children >= size):
        return False
    every_one_once = bool(np.all(np.bincount(np.maximum(children, 0), minlength=size)[1:] == 1))
    return every_one_once and bool(np.all(children > np.tile(parents, 2)))


def _bits(codes: Sequence[int], where: str, *, allow_none: bool) -> NDArray[np.uint32]:
    """Return the codes as a bit set, 32 to a word."""
    chosen = np.asarray(codes, dtype=np.int64)
    if len(chosen) == 0 and allow_none:
        return np.zeros(1, np.uint32)
    if len(chosen) == 0:
        raise ModelError(f"the model's text is damaged: {where} has a split by no category.")
    if chosen.min() < 0 or chosen.max() >= LARGEST_CATEGORY:
        raise ModelError(
            f"{where} splits on category {chosen.max()}; codes are told apart from 0 to {LARGEST_CATEGORY - 1}."
        )
    bits = np.zeros((int(chosen.max()) // 32 + 1) * 32, np.uint8)
    bits[chosen] = 1
    return np.packbits(bits, bitorder="little").view("<u4").astype(np.uint32)
