"""Which trees make a block, which features share a table, and whether tables would be faster than the walk at all."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from synml_dagster.onnx.forest.masks import (
    MOST_LEAVES,
    MaskedTree,
    TooManyLeavesError,
    edges_of,
    masked_tree,
)
from synml_dagster.onnx.forest.nodes import Nodes

TREES_A_BLOCK = 64
_MOST_BINS_TOGETHER = 256
_MOST_BYTES = 64 << 20

# Nanoseconds a row, measured with NumPy 2.4 on one core of a 2020s Xeon; only their ratios matter. ONNX Runtime's walk took
# 18 to 50 ns a tree without categories, so that this guess of it is a low one.
_LEAF, _MASK_WORD, _BIN, _BIN_OF_BLOCK = 3.2, 0.3, 7.0, 2.2
_WALK, _QUESTION = 5.0, 3.0


@dataclass(frozen=True)
class Word:
    """A mask's type, and the float whose exponent says which bit of it is set."""

    leaves: int
    mask: type[np.unsignedinteger]
    signed: type[np.signedinteger]
    power: type[np.floating]
    bits: type[np.signedinteger]
    mantissa: int
    bias: int


_WORDS = (
    Word(15, np.uint16, np.int16, np.float32, np.int32, 23, 127),
    Word(31, np.uint32, np.int32, np.float32, np.int32, 23, 127),
    Word(MOST_LEAVES, np.uint64, np.int64, np.float64, np.int64, 52, 1023),
)


@dataclass(frozen=True)
class Draft:
    """A block before its tables are filled: `groups` are the features that share a table."""

    target: int
    trees: list[MaskedTree]
    edges: dict[int, NDArray[np.float32]]
    groups: list[list[int]]
    word: Word

    @property
    def rows(self) -> list[int]:
        """How many rows each table has."""
        return [prod(len(self.edges[f]) + 2 for f in group) for group in self.groups]


def draft_blocks(nodes: Nodes) -> list[Draft] | None:
    """Return the blocks for all trees; None where a tree has too many leaves, or adds to several scores."""
    of_target: dict[int, list[range]] = {}
    for tree in nodes.trees:
        targets = {nodes.target[place] for place in tree if nodes.feature[place] < 0}
        if len(targets) != 1:
            return None
        of_target.setdefault(targets.pop(), []).append(tree)
    try:
        return [
            _draft(target, [masked_tree(nodes, tree) for tree in trees[i : i + TREES_A_BLOCK]])
            for target, trees in of_target.items()
            for i in range(0, len(trees), TREES_A_BLOCK)
        ]
    except TooManyLeavesError:
        return None


def _draft(target: int, trees: list[MaskedTree]) -> Draft:
    edges = edges_of([choice for tree in trees for choice in tree.choices])
    groups: list[list[int]] = []
    rows = _MOST_BINS_TOGETHER
    for feature in sorted(edges, key=lambda f: (len(edges[f]), f)):
        bins = len(edges[feature]) + 2
        if not groups or rows * bins > _MOST_BINS_TOGETHER:
            groups.append([])
            rows = 1
        groups[-1].append(feature)
        rows *= bins
    leaves = max(len(tree.weights) for tree in trees)
    return Draft(target, trees, edges, groups, next(word for word in _WORDS if leaves <= word.leaves))


def are_worth_it(blocks: list[Draft], features: int) -> bool:
    """Whether tables answer in less time than the walk over all nodes, and in bounded memory."""
    tables, walk, size = _BIN * features, 0.0, 0
    for draft in blocks:
        wide = np.dtype(draft.word.mask).itemsize
        a_tree = _LEAF + _MASK_WORD * len(draft.groups) * wide / 4
        tables += _BIN_OF_BLOCK * sum(map(len, draft.groups)) + a_tree * len(draft.trees)
        walk += sum(_WALK + _QUESTION * tree.depth for tree in draft.trees)
        size += sum(draft.rows) * len(draft.trees) * wide
    return tables < walk and size <= _MOST_BYTES
