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

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synml_dagster.onnx.forest.nodes import Nodes

MOST_LEAVES = 63
"""One bit of 64 stays free: it is a sign where masks are turned into numbers of leaves."""

_CELLS_AT_ONCE = 1 << 22
_DEEPEST = 300
"""Choices above a leaf: each is two calls within each other."""


class TooManyLeavesError(Exception):
    """A tree has more leaves than a mask has bits."""


@dataclass(frozen=True)
class Choice:
    """Consecutive questions about one feature: the leaves of the tree that are left, per bin between the choice's own `edges`."""

    feature: int
    edges: list[float]
    left: list[int]


@dataclass(frozen=True)
class MaskedTree:
    """A tree as its choices and, in the order of the bits, its leaves' weights; `depth` is the mean number of choices above a leaf."""

    choices: list[Choice]
    weights: list[float]
    depth: float


def masked_tree(nodes: Nodes, tree: range, most: int = MOST_LEAVES) -> MaskedTree:
    """Return a tree as choices.

    Raises
    ------
    TooManyLeavesError
        More than `most`, or too many choices above one.
    """
    choices: list[Choice] = []
    weights: list[float] = []
    depths: list[int] = []

    def visit(node: int, above: int) -> int:
        """Number the leaves under `node`, which has `above` choices above it, and return them as a mask."""
        while nodes.feature[node] >= 0:
            ways, edges = ways_out(nodes, node)
            if len(ways) > 1:
                return choose(nodes.feature[node], ways, edges, above)
            node = ways[0][0]
        if len(weights) == most:
            raise TooManyLeavesError
        weights.append(nodes.weight[node])
        depths.append(above)
        return 1 << (len(weights) - 1)

    def choose(feature: int, ways: list[tuple[int, int]], edges: list[float], above: int) -> int:
        if above == min(most, _DEEPEST):  # each choice above has a way with leaves of its own
            raise TooManyLeavesError
        left = [0] * (len(edges) + 2)
        together = 0
        for end, bins in ways:
            leaves = visit(end, above + 1)
            together |= leaves
            while bins:
                lowest = bins & -bins
                left[lowest.bit_length() - 1] = leaves
                bins ^= lowest
        choices.append(Choice(feature, edges, [~together | leaves for leaves in left]))
        return together

    visit(nodes.settled(tree.start), 0)
    return MaskedTree(choices, weights, sum(depths) / len(depths))


def in_pieces(tree: MaskedTree) -> list[MaskedTree]:
    """Return a tree as several of up to `MOST_LEAVES` leaves, whose answers add up to its own.

    Leaves of other pieces have no bit in one: a row that ends in them leaves no bit at all there.
    """
    found, width = [], (1 << MOST_LEAVES) - 1
    for start in range(0, len(tree.weights), MOST_LEAVES):
        weights = tree.weights[start : start + MOST_LEAVES]
        own = (1 << len(weights)) - 1
        choices = []
        for choice in tree.choices:
            left = [mask >> start & width for mask in choice.left]
            if any(mask & own != own for mask in left):
                choices.append(Choice(choice.feature, choice.edges, left))
        found.append(MaskedTree(choices, weights, tree.depth))
    return found


def ways_out(nodes: Nodes, first: int) -> tuple[list[tuple[int, int]], list[float]]:
    """Follow the questions about one feature from the question `first` on.

    Returns
    -------
    ways, edges
        The nodes they lead to, each with the bins that do (bit `i` is bin `i`), and the edges between the bins; after
        the bin above the last edge comes that of NaN. Two leaves of one weight are one way.
    """
    questions = _questions(nodes, first)
    ends = {end for node in questions for end in (nodes.above[node], nodes.at_most[node])}
    edges = sorted(end for end in ends if end is not None and end != np.inf)
    reached = {first: (1 << (len(edges) + 2)) - 1}
    for node in questions:
        bins = reached.pop(node, 0)
        true = _true_bins(nodes, node, edges)
        for child, taken in ((nodes.when_true[node], bins & true), (nodes.when_false[node], bins & ~true)):
            if taken:
                child = nodes.settled(child)
                reached[child] = reached.get(child, 0) | taken
    ways: dict[tuple[bool, float], tuple[int, int]] = {}
    for node, bins in reached.items():
        leaf = nodes.feature[node] < 0
        key = (leaf, nodes.weight[node] if leaf else node)
        ways[key] = (node, ways.get(key, (node, 0))[1] | bins)
    return list(ways.values()), edges


def _questions(nodes: Nodes, first: int) -> list[int]:
    """Return the questions about the feature of `first` that follow it without another between, each after all that lead to it.

    Several edges lead to most of those of a category set; to follow each edge by itself would take as long as there are
    ways through them all.
    """
    feature = nodes.feature[first]
    done: list[int] = []
    seen: set[int] = set()
    waiting = [(first, False)]
    while waiting:
        node, left = waiting.pop()
        if left:
            done.append(node)
        elif node not in seen:
            seen.add(node)
            waiting.append((node, True))
            children = (nodes.settled(nodes.when_true[node]), nodes.settled(nodes.when_false[node]))
            waiting += [(child, False) for child in children if nodes.feature[child] == feature]
    return done[::-1]


def _true_bins(nodes: Nodes, node: int, edges: list[float]) -> int:
    above, at_most = nodes.above[node], nodes.at_most[node]
    missing = (1 << (len(edges) + 1)) if nodes.missing_true[node] else 0
    if at_most is None:
        return missing
    below = (1 << (bisect_left(edges, at_most) + 1)) - 1
    return missing | (below if above is None else below & ~((1 << (bisect_left(edges, above) + 1)) - 1))


def edges_of(choices: list[Choice]) -> dict[int, NDArray[np.float32]]:
    """Return all edges of `choices`, ascending, per feature."""
    found: dict[int, set[float]] = {}
    for choice in choices:
        found.setdefault(choice.feature, set()).update(choice.edges)
    # Where only NaN is asked for, any one edge does.
    return {feature: np.array(sorted(edges or {0.0}), np.float32) for feature, edges in found.items()}


def all_leaves(trees: list[MaskedTree], dtype: type[np.unsignedinteger]) -> NDArray:
    """Return each tree's mask before anything is known."""
    return np.array([(1 << len(tree.weights)) - 1 for tree in trees], dtype)


def mask_table(
    trees: list[MaskedTree], feature: int, edges: NDArray[np.float32], dtype: type[np.unsignedinteger]
) -> NDArray:
    """Return the leaves that are left, `[bins, trees]`, by the bin of one feature between `edges`."""
    table = np.broadcast_to(all_leaves(trees, dtype), (len(edges) + 2, len(trees))).copy()
    step = max(1, _CELLS_AT_ONCE // len(table))
    asking = [(i, c) for i, tree in enumerate(trees) for c in tree.choices if c.feature == feature]
    for start in range(0, len(asking), step):
        some = asking[start : start + step]
        left = _left([choice for _, choice in some], edges, dtype)
        columns, first = np.unique([column for column, _ in some], return_index=True)
        table[:, columns] &= np.bitwise_and.reduceat(left, first, axis=1)
    return table


def _left(choices: list[Choice], edges: NDArray[np.float32], dtype: type[np.unsignedinteger]) -> NDArray:
    """Return what each choice leaves, `[bins, choices]`: what changes at each of its own edges, carried on by XOR."""
    width = (1 << np.dtype(dtype).itemsize * 8) - 1
    left = np.zeros((len(edges) + 2, len(choices)), dtype)
    left[0] = [choice.left[0] & width for choice in choices]
    left[-1] = [choice.left[-1] & width for choice in choices]
    column = np.repeat(np.arange(len(choices)), [len(choice.edges) for choice in choices])
    own = np.array([edge for choice in choices for edge in choice.edges], np.float32)
    changes = [
        (after ^ before) & width
        for choice in choices
        for before, after in zip(choice.left[:-2], choice.left[1:-1], strict=True)
    ]
    left[np.searchsorted(edges, own) + 1, column] = np.array(changes, dtype)
    np.bitwise_xor.accumulate(left[:-1], axis=0, out=left[:-1])
    return left
