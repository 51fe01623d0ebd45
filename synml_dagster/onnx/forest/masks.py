"""Which leaves of a tree a row can still reach, once one of its features is known: the tables that scoring looks up.

Every question of a tree strikes out leaves. A tree of up to 63 leaves keeps them as the bits of one number, and what
all questions about one feature strike out depends on nothing but the bin of its value; so a table per feature, with a
row per bin and a column per tree, holds the leaves that are left. The AND of the rows that a row of data picks, one per
feature, has exactly one bit: the leaf that the walk from the root would have come to.

This is QuickScorer (Lucchese et al., SIGIR 2015) with whole tables in place of its lists of false nodes: their
rows are ANDed by vector instructions, tree beside tree. Questions about the same feature that follow each other, as
those of a category set do, are one choice here, because several of their edges lead to one subtree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synml_dagster.onnx.forest.nodes import Nodes

MOST_LEAVES = 63
"""One bit of 64 stays free: it is a sign where masks are turned into numbers of leaves."""


class TooManyLeavesError(Exception):
    """A tree has more leaves than a mask has bits."""


@dataclass(frozen=True)
class Choice:
    """Consecutive questions about one feature: for each way out, the bins that take it (bit `i` is bin `i`) and its leaves."""

    feature: int
    ways: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class MaskedTree:
    """A tree as its choices and, in the order of the bits, its leaves' weights."""

    choices: tuple[Choice, ...]
    weights: tuple[float, ...]


def edges_of(nodes: Nodes, trees: list[range]) -> dict[int, NDArray[np.float32]]:
    """Return the ascending values between which the answers of `trees` change, per feature that they ask for."""
    found: dict[int, set[float]] = {}
    for place in (place for tree in trees for place in tree):
        feature, value = nodes.feature[place], nodes.threshold[place]
        if feature < 0:
            continue
        edges = found.setdefault(feature, set())
        if value is None or value == np.inf:
            continue
        edges.add(value + 0.0)
        if nodes.equal[place]:
            edges.add(float(np.nextafter(np.float32(value), np.float32(-np.inf))))
    # Where only NaN is asked for, any one edge does.
    return {f: np.array(sorted(edges or {0.0}), np.float32) for f, edges in found.items()}


def masked_tree(nodes: Nodes, tree: range, edges: dict[int, NDArray[np.float32]]) -> MaskedTree:
    """Return a tree as choices between the bins that `edges` make.

    Raises
    ------
    TooManyLeavesError
        More than `MOST_LEAVES`.
    """
    places = {f: {value: i for i, value in enumerate(known.tolist())} for f, known in edges.items()}
    choices: list[Choice] = []
    weights: list[float] = []

    def true_bins(node: int) -> int:
        known = places[nodes.feature[node]]
        value = nodes.threshold[node]
        found = (1 << (len(known) + 1)) if nodes.missing_true[node] else 0
        if value is None:
            return found
        if nodes.equal[node]:
            return found | (1 << known[value])
        last = len(known) if value == np.inf else known[value]
        return found | ((1 << (last + 1)) - 1)

    def visit(node: int) -> int:
        """Number the leaves under `node` and return them as a mask."""
        feature = nodes.feature[node]
        if feature < 0:
            if len(weights) == MOST_LEAVES:
                raise TooManyLeavesError
            weights.append(nodes.weight[node])
            return 1 << (len(weights) - 1)
        ends: dict[tuple[bool, float], tuple[int, int]] = {}
        open_ = [(node, (1 << (len(edges[feature]) + 2)) - 1)]
        while open_:
            asked, bins = open_.pop()
            if nodes.feature[asked] == feature:
                true = true_bins(asked)
                for child, taken in (
                    (nodes.when_true[asked], bins & true),
                    (nodes.when_false[asked], bins & ~true),
                ):
                    if taken:
                        open_.append((nodes.settled(child), taken))
                continue
            # Leaves are placed again behind false edges: those of one weight are one way out.
            leaf = nodes.feature[asked] < 0
            key = (leaf, nodes.weight[asked] if leaf else asked)
            before = ends.get(key, (asked, 0))[1]
            ends[key] = (asked, before | bins)
        ways = tuple((bins, visit(end)) for end, bins in ends.values())
        if len(ways) > 1:
            choices.append(Choice(feature, ways))
        together = 0
        for _, leaves in ways:
            together |= leaves
        return together

    visit(nodes.settled(tree.start))
    return MaskedTree(tuple(choices), tuple(weights))


def mask_table(trees: list[MaskedTree], feature: int, bins: int, dtype: type[np.unsignedinteger]) -> NDArray:
    """Return the leaves that are left, `[bins, trees]`, by the bin of one feature."""
    full = np.array([(1 << len(tree.weights)) - 1 for tree in trees], dtype)
    table = np.broadcast_to(full, (bins, len(trees))).copy()
    asking = [
        (column, choice)
        for column, tree in enumerate(trees)
        for choice in tree.choices
        if choice.feature == feature
    ]
    if not asking:
        return table
    ways = [way for _, choice in asking for way in choice.ways]
    size = (bins + 7) // 8
    packed = b"".join(taken.to_bytes(size, "little") for taken, _ in ways)
    taken = np.unpackbits(np.frombuffer(packed, np.uint8).reshape(len(ways), size), axis=1, bitorder="little")
    leaves = np.array([mask for _, mask in ways], dtype)
    first = np.cumsum([0, *(len(choice.ways) for _, choice in asking)])[:-1]
    # The ways out of a choice share no bin and no leaf: what is left is the way taken, and all that is not of the choice.
    left = np.bitwise_or.reduceat(taken[:, :bins] * leaves[:, None], first, axis=0)
    left |= ~np.bitwise_or.reduceat(leaves, first)[:, None]
    columns, starts = np.unique([column for column, _ in asking], return_index=True)
    table[:, columns] &= np.bitwise_and.reduceat(left, starts, axis=0).T
    return table
