"""Raw scores of whole batches by tables of leaf masks.

ONNX Runtime walks every tree for every row, and a processor cannot guess which way a question goes: a walk of five
questions costs 16 to 20 ns here. Tables have no questions. Per block of trees and few hundred rows, NumPy copies the
rows of masks that the features' bins pick, ANDs them, and turns the one bit that is left into the leaf's weight: 4 to 10
ns a tree and row with 14 to 28 features. What decides is the number of tables, so that features of few bins share one,
and the first block of a boosted model, which asks few features, has few.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synml_dagster.onnx.forest.bins import Bins, ordered
from synml_dagster.onnx.forest.layout import Draft, Word, are_worth_it, draft_blocks
from synml_dagster.onnx.forest.masks import all_leaves, edges_of, mask_table
from synml_dagster.onnx.forest.nodes import Nodes

_ROWS_AT_ONCE = 512
"""With the trees of a block, what one step touches is 0.8 MB: it stays in a core's own cache."""
_ROWS_A_PIECE = 8192


@dataclass(frozen=True)
class _Table:
    """The masks of one or more features: `own[i]` turns the model's bin of `features[i]` into the block's."""

    features: tuple[int, ...]
    own: tuple[NDArray[np.intp], ...]
    counts: tuple[int, ...]
    masks: NDArray

    def rows(self, bins: dict[int, NDArray[np.intp]]) -> NDArray[np.intp]:
        """Return the row of `masks` that each row of data picks."""
        picked = self.own[0].take(bins[self.features[0]], mode="clip")
        for feature, own, count in zip(self.features[1:], self.own[1:], self.counts[1:], strict=True):
            picked *= count
            picked += own.take(bins[feature], mode="clip")
        return picked


@dataclass(frozen=True)
class _Block:
    """Some trees that add to the same score."""

    target: int
    word: Word
    tables: tuple[_Table, ...]
    full: NDArray
    weights: NDArray[np.float64]
    offsets: NDArray[np.int64]
    """Where a tree's weights begin, less the exponent's bias."""


class TreeTables:
    """Answers what the trees of `Nodes` answer, for float32 features of many rows.

    Scores are summed in float64, tree after tree, and rounded once, as ONNX Runtime does on one thread.
    """

    def __init__(self, bins: dict[int, Bins], blocks: list[_Block], targets: int) -> None:
        self._bins = bins
        self._blocks = blocks
        self._targets = targets

    def raw_scores(self, features: NDArray[np.float32], threads: int = 1) -> NDArray[np.float32]:
        """Return the raw scores, `[N, targets]`, of `features`, `[N, F]`."""
        pieces = [features[i : i + _ROWS_A_PIECE] for i in range(0, len(features), _ROWS_A_PIECE)]
        if threads == 1 or len(pieces) < 2:
            made = [self._row_range(piece) for piece in pieces]
        else:
            # NumPy lets go of the interpreter for each of its steps, which are long enough for that to pay.
            with ThreadPoolExecutor(threads) as pool:
                made = list(pool.map(self._row_range, pieces))
        return np.concatenate(made) if made else np.zeros((0, self._targets), np.float32)

    def _row_range(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        bins = {f: b.of(ordered(np.ascontiguousarray(features[:, f]))) for f, b in self._bins.items()}
        scores = np.zeros((self._targets, len(features)))
        for block in self._blocks:
            _add_scores(block, bins, scores[block.target])
        return scores.T.astype(np.float32)


def _add_scores(block: _Block, bins: dict[int, NDArray[np.intp]], scores: NDArray[np.float64]) -> None:
    picked = [table.rows(bins) for table in block.tables]
    word, width = block.word, len(block.full)
    rows = min(len(scores), _ROWS_AT_ONCE)
    left, more = np.empty((rows, width), word.mask), np.empty((rows, width), word.mask)
    power = np.empty((rows, width), word.power)
    place, weight = np.empty((width, rows), np.int64), np.empty((width + 1, rows))
    for start in range(0, len(scores), rows):
        here = scores[start : start + rows]
        n = len(here)
        if not block.tables:  # trees of one leaf
            left[:n] = block.full
        for number, (table, chosen) in enumerate(zip(block.tables, picked, strict=True)):
            into = more if number else left
            table.masks.take(chosen[start : start + n], axis=0, out=into[:n], mode="clip")
            if number:
                np.bitwise_and(left[:n], more[:n], out=left[:n])
        # One bit is left. As a float it is a power of two, whose exponent is the bit's number.
        power[:n] = left[:n].view(word.signed)
        exponent = power[:n].view(word.bits)
        np.right_shift(exponent, word.mantissa, out=exponent)
        np.add(exponent.T, block.offsets[:, None], out=place[:, :n])
        # From here on tree by tree, so that the sum runs through the trees in their order, on from the block before.
        weight[0, :n] = here
        block.weights.take(place[:, :n], out=weight[1:, :n], mode="clip")
        np.add.reduce(weight[:, :n], axis=0, out=here)


def tree_tables(nodes: Nodes) -> TreeTables | None:
    """Return tables that answer for the trees of `nodes`; None where they would not be faster, or too large."""
    blocks = draft_blocks(nodes)
    if blocks is None:
        return None
    edges = edges_of([choice for block in blocks for tree in block.trees for choice in tree.choices])
    if not are_worth_it(blocks, len(edges)):
        return None
    bins = {feature: Bins(known) for feature, known in edges.items()}
    return TreeTables(bins, [_block(block, edges) for block in blocks], nodes.targets)


def _block(draft: Draft, edges: dict[int, NDArray[np.float32]]) -> _Block:
    trees, word = draft.trees, draft.word
    slots = word.leaves + 1
    weights = np.zeros((len(trees), slots))
    for tree, row in zip(trees, weights, strict=True):
        row[: len(tree.weights)] = tree.weights
    return _Block(
        target=draft.target,
        word=word,
        tables=tuple(_table(draft, group, edges) for group in draft.groups),
        full=all_leaves(trees, word.mask),
        weights=weights.ravel(),
        offsets=np.arange(len(trees)) * slots - word.bias,
    )


def _table(draft: Draft, features: list[int], edges: dict[int, NDArray[np.float32]]) -> _Table:
    masks: NDArray | None = None
    own, counts = [], []
    for feature in features:
        known = draft.edges[feature]
        count = len(known) + 2
        one = mask_table(draft.trees, feature, known, draft.word.mask)
        masks = one if masks is None else (masks[:, None, :] & one[None, :, :]).reshape(-1, len(draft.trees))
        own.append(np.append(np.searchsorted(known, edges[feature]), [count - 2, count - 1]))
        counts.append(count)
    assert masks is not None
    return _Table(tuple(features), tuple(own), tuple(counts), np.ascontiguousarray(masks))
