"""Trees as tables of leaf masks, asked about rows of which some features change.

Every feature's value strikes out leaves of a tree, whatever the others are, and the leaf that no feature strikes out is
the answer (QuickScorer, Lucchese et al. 2015; `synml_dagster.onnx.forest` scores by it). So the features that stay are looked up
once a row. Of a feature that is stepped through a grid a tree tells a few values apart, mostly three or four of twenty: its runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from synml_dagster.onnx.forest import (
    Bins,
    Cut,
    MaskedTree,
    TooManyLeavesError,
    all_leaves,
    edges_of,
    in_pieces,
    mask_table,
    masked_tree,
    ordered,
)

_BLOCK_BYTES = 512
"""Of the masks that a bin picks: those of all bins then stay in a core's own cache."""
_MOST_LEAVES = 4096
_MOST_BYTES = 256 << 20
_MOST_CHOICES = 2_000_000
"""Of all trees together, each counted once for every 63 leaves of its tree: some seconds of work."""


@dataclass(frozen=True)
class _Block:
    """Trees, or pieces of trees, that add to one score."""

    target: int
    tables: NDArray[np.unsignedinteger]
    """[bins of all features, trees]"""
    full: NDArray[np.unsignedinteger]
    weights: NDArray[np.float64]
    start: NDArray[np.int64]
    """[trees] where a tree's weights begin; behind its leaves' there are 0s."""

    @property
    def trees(self) -> tuple[NDArray, ...]:
        """All but the target, as the kernels take it."""
        return self.tables, self.full, self.start, self.weights


class TreeMasks:
    """What is looked up for trees of a graph.

    Attributes
    ----------
    targets
        How many scores a row has.
    """

    def __init__(self, bins: dict[int, Bins], blocks: list[_Block], targets: int) -> None:
        self.targets = targets
        self._bins, self._blocks = bins, blocks
        self._place = {feature: i for i, feature in enumerate(bins)}
        self._first = np.cumsum([0, *(b.count for b in bins.values())])[:-1]

    def bins(self, features: NDArray[np.float32]) -> NDArray[np.int32]:
        """Return the bins [asked features, rows] that the values of features [rows, F] are in."""
        found = np.empty((len(self._bins), len(features)), np.int32)
        for i, (feature, bins) in enumerate(self._bins.items()):
            found[i] = bins.of(ordered(np.ascontiguousarray(features[:, feature])))
        return found

    def scores(self, bins: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return the scores [targets, rows] of rows."""
        from synml_dagster.explain.effects.mask_kernels import add_scores

        found = np.zeros((self.targets, bins.shape[1]))
        everyone = np.arange(len(bins))
        for block in self._blocks:
            add_scores(self._first, *block.trees, everyone, bins, found[block.target])
        return found

    def stepped(
        self,
        bins: NDArray[np.int32],
        scores: NDArray[np.float64],
        free: frozenset[int],
        grid: NDArray[np.int32],
    ) -> NDArray[np.float64]:
        """Return the scores [targets, rows, steps] of rows whose features `free` are as in each column of `grid` [asked features, steps].

        `scores` are those of the rows as they are: only trees that look at a changed feature are asked again.
        """
        from synml_dagster.explain.effects.mask_kernels import add_stepped

        found = np.repeat(scores[:, :, None], grid.shape[1], axis=2)
        fixed, changed = self._sides(free)
        own = (fixed, bins[fixed], changed, bins[changed])
        for block in self._asking(changed):
            left = np.broadcast_to(block.full, (grid.shape[1], len(block.full))).copy()
            for place in changed:
                left &= block.tables[self._first[place] + grid[place]]
            add_stepped(self._first, *block.trees, *own, *_runs(left), found[block.target])
        return found

    def replaced(
        self,
        bins: NDArray[np.int32],
        scores: NDArray[np.float64],
        free: frozenset[int],
        donors: NDArray[np.int32],
        places: NDArray[np.intp],
    ) -> NDArray[np.float64]:
        """Return the scores [targets, times, rows] of rows whose features `free` are those of `donors` [asked features, donors] at `places` [times, rows].

        `scores` as for `stepped`.
        """
        from synml_dagster.explain.effects.mask_kernels import add_replaced

        found = np.repeat(scores[:, None, :], len(places), axis=1)
        fixed, changed = self._sides(free)
        own = (fixed, bins[fixed], changed, bins[changed])
        for block in self._asking(changed):
            add_replaced(
                self._first,
                *block.trees,
                *own,
                donors[changed],
                np.ascontiguousarray(places),
                found[block.target],
            )
        return found

    def _sides(self, free: frozenset[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the places of the features that stay, and of those that change, among the asked ones."""
        stay = [place for feature, place in self._place.items() if feature not in free]
        change = [place for feature, place in self._place.items() if feature in free]
        return np.array(stay, np.int64), np.array(change, np.int64)

    def _asking(self, changed: NDArray[np.int64]) -> Iterator[_Block]:
        """Yield the trees that look at a changed feature."""
        ends = np.append(self._first, len(self._blocks[0].tables) if self._blocks else 0)
        for block in self._blocks:
            asks = np.zeros(len(block.full), np.bool_)
            for place in changed:
                asks |= (block.tables[ends[place] : ends[place + 1]] != block.full).any(axis=0)
            if asks.all():
                yield block
            elif asks.any():
                tables = np.ascontiguousarray(block.tables[:, asks])
                yield replace(block, tables=tables, full=block.full[asks], start=block.start[asks])


def _runs(left: NDArray[np.unsignedinteger]) -> tuple[NDArray, ...]:
    """Return the runs of `left` [steps, trees] as `add_stepped` takes them."""
    begins = np.ones(left.shape, np.bool_)
    begins[1:] = left[1:] != left[:-1]
    tree, step = np.nonzero(begins.T)  # tree by tree
    order = np.argsort(step, kind="stable")
    before = np.where(step[order] == 0, len(tree), order - 1)
    ends = np.searchsorted(step[order], np.arange(len(left)), side="right")
    return begins.sum(axis=0), left[step, tree], order, before, ends


def tree_masks(cut: Cut) -> TreeMasks | None:
    """Return the trees as tables of masks; None where they would be too large, or a tree adds to several scores."""
    nodes = cut.nodes
    of_target: dict[int, list[MaskedTree]] = {}
    choices = 0
    for tree in nodes.trees:
        targets = {nodes.target[place] for place in tree if nodes.feature[place] < 0}
        if len(targets) != 1:
            return None
        try:
            whole = masked_tree(nodes, tree, _MOST_LEAVES)
        except TooManyLeavesError:
            return None
        pieces = in_pieces(whole)
        choices += len(whole.choices) * len(pieces)
        if choices > _MOST_CHOICES:
            return None
        of_target.setdefault(targets.pop(), []).extend(pieces)
    everyone = [tree for trees in of_target.values() for tree in trees]
    edges = edges_of([choice for tree in everyone for choice in tree.choices])
    wide = max((len(tree.weights) for tree in everyone), default=0) > 32
    mask: type[np.unsignedinteger] = np.uint64 if wide else np.uint32
    rows = sum(len(known) + 2 for known in edges.values())
    if rows * len(everyone) * np.dtype(mask).itemsize > _MOST_BYTES:
        return None
    together = _BLOCK_BYTES // np.dtype(mask).itemsize
    blocks = [
        _block(target, trees[i : i + together], edges, mask)
        for target, trees in of_target.items()
        for i in range(0, len(trees), together)
    ]
    return TreeMasks({feature: Bins(known) for feature, known in edges.items()}, blocks, nodes.targets)


def _block(
    target: int,
    trees: list[MaskedTree],
    edges: dict[int, NDArray[np.float32]],
    mask: type[np.unsignedinteger],
) -> _Block:
    slots = np.dtype(mask).itemsize * 8 + 1  # the last is that of no bit
    weights = np.zeros((len(trees), slots))
    for tree, line in zip(trees, weights, strict=True):
        line[: len(tree.weights)] = tree.weights
    empty = np.zeros((0, len(trees)), mask)
    tables = np.concatenate(
        [empty, *(mask_table(trees, feature, known, mask) for feature, known in edges.items())]
    )
    start = np.arange(len(trees), dtype=np.int64) * slots
    return _Block(target, np.ascontiguousarray(tables), all_leaves(trees, mask), weights.ravel(), start)
