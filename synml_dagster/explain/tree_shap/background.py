"""What a model's leaves know of background rows, for SHAP values against them."""

from __future__ import annotations

from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synml_dagster.errors import ConfigError, DataError
from synml_dagster.explain.rows import explainable_rows
from synml_dagster.explain.tree_shap.paths import MAX_SLOTS, Forest

MOST_ROWS = 1_000
"""Background rows at most: every leaf keeps the patterns of all of them."""


class OtherRows(NamedTuple):
    """The background's patterns by leaf, in the order in which the kernels read them."""

    start: NDArray[np.int64]
    """[leaves + 1]"""
    pattern: NDArray[np.int64]
    """A bit for each slot of the leaf that rows of the background pass."""
    weight: NDArray[np.float64]
    """The share of the background that has the pattern, times the leaf's value."""


def background_rows(rows: ArrayLike, width: int) -> NDArray[np.float32]:
    """Return a background as float32 [rows, width].

    Raises
    ------
    DataError
        It is empty or has another number of columns.
    ConfigError
        It has more rows than leaves keep.
    """
    found = explainable_rows(rows, width)
    if not len(found):
        raise DataError("The background to explain against has no rows.")
    if len(found) > MOST_ROWS:
        raise ConfigError(
            f"The background has {len(found):,} rows and may have {MOST_ROWS:,}: draw a sample of them, such as 100."
        )
    return found


def patterns_of(
    forest: Forest, rows: NDArray[np.float32], outputs: int
) -> tuple[OtherRows, NDArray[np.float64]]:
    """Return what each leaf knows of the background, and the model's mean raw score over it, float64 [outputs]."""
    from synml_dagster.explain.tree_shap.interventional_kernels import find_patterns

    x = np.ascontiguousarray(rows.T)
    base = np.zeros(outputs)
    counts: list[int] = []
    patterns, weights = [np.zeros(0, np.int64)], [np.zeros(0)]
    slots = np.diff(forest.slot_start)
    for tree in range(len(forest.output)):
        first, end = int(forest.leaf_start[tree]), int(forest.leaf_start[tree + 1])
        found = np.zeros((end - first, x.shape[1]), np.int64)
        if end - first > 1:
            find_patterns(
                x,
                *forest[: Forest._fields.index("output")],
                forest.slot_start,
                forest.step_start,
                forest.step_node,
                forest.step_left,
                tree,
                found,
            )
        for leaf in range(first, end):
            pattern, count = np.unique(found[leaf - first], return_counts=True)
            weight = forest.value[leaf] * count / x.shape[1]
            reached = pattern == (1 << int(slots[leaf])) - 1
            base[forest.output[tree]] += weight[reached].sum()
            counts.append(len(pattern))
            patterns.append(pattern)
            weights.append(weight)
    starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)
    return OtherRows(starts, np.concatenate(patterns), np.concatenate(weights)), base


def shares() -> NDArray[np.float64]:
    """Return (a - 1)! b! / (a + b)! for a from 1 and b from 0; 0 for a = 0, which nothing asks for."""
    found = np.zeros((MAX_SLOTS + 1, MAX_SLOTS + 1))
    for a in range(1, MAX_SLOTS + 1):
        for b in range(MAX_SLOTS + 1):
            found[a, b] = 1 / (a * comb(a + b, a))
    return found
