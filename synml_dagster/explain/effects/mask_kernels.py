"""Leaf masks looked up and added up for changed rows, compiled by Numba; see `tree_masks` for what they are.

Features that no row changes strike out leaves first, once a row. What is left of a tree is then asked for each value of
the changed features by one AND and one look-up, without a branch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from synml_dagster.learners.tree_models.compiled import compiled, lowest_bit, part_of_compiled

_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}

_lowest_bit = lowest_bit()


def _strike_out(before, left, tables, first, features, bins, row):  # type: ignore[no-untyped-def]
    """Write into `left` [trees] what is left of `before` without the leaves that a row does not reach, as far as some features in `bins` [features, rows] tell."""
    for tree in range(len(left)):
        left[tree] = before[tree]
    for i in range(len(features)):
        at = first[features[i]] + bins[i, row]
        for tree in range(len(left)):
            left[tree] &= tables[at, tree]


def _sum(left, start, weights):  # type: ignore[no-untyped-def]
    """Return the sum of the leaves that are left, one of each tree."""
    total = 0.0
    for tree in range(len(left)):
        total += weights[start[tree] + _lowest_bit(left[tree])]
    return total


_struck_out = part_of_compiled(_strike_out, error_model="numpy", inline="always")
_summed = part_of_compiled(_sum, error_model="numpy", inline="always")


def _add_scores(first, tables, full, start, weights, features, bins, scores):  # type: ignore[no-untyped-def]
    """Add the trees' answers to `scores` [rows]."""
    left = np.empty_like(full)
    for row in range(bins.shape[1]):
        _struck_out(full, left, tables, first, features, bins, row)
        scores[row] += _summed(left, start, weights)


def _add_stepped(  # type: ignore[no-untyped-def]
    first,
    tables,
    full,
    start,
    weights,
    fixed,
    fixed_bins,
    free,
    free_bins,
    run_count,
    run_mask,
    order,
    before,
    ends,
    scores,
):
    """Add to `scores` [rows, steps] by how much the trees' answers at each step are other than they are.

    A run is a stretch of steps in which a tree's changed features leave the same leaves; each tree has `run_count` of them. In the order of their first steps
    `order` names the runs, `before` the run of the same tree that each follows, and `ends` [steps] how many have begun.
    """
    left, own = np.empty_like(full), np.empty_like(full)
    found = np.zeros(len(run_mask) + 1)  # the last stands before each tree's first run
    for row in range(fixed_bins.shape[1]):
        _struck_out(full, left, tables, first, fixed, fixed_bins, row)
        _struck_out(left, own, tables, first, free, free_bins, row)
        run = 0
        for tree in range(len(left)):
            for _ in range(run_count[tree]):
                found[run] = weights[start[tree] + _lowest_bit(left[tree] & run_mask[run])]
                run += 1
        total, at = -_summed(own, start, weights), 0
        for step in range(len(ends)):
            for i in range(at, ends[step]):
                total += found[order[i]] - found[before[i]]
            at = ends[step]
            scores[row, step] += total


def _add_replaced(  # type: ignore[no-untyped-def]
    first,
    tables,
    full,
    start,
    weights,
    fixed,
    fixed_bins,
    free,
    free_bins,
    donors,
    places,
    scores,
):
    """Add to `scores` [times, rows] by how much the trees' answers are other than they are, where `free` features are those of `donors` [free, ...] at `places` [times, rows]."""
    left, some = np.empty_like(full), np.empty_like(full)
    for row in range(fixed_bins.shape[1]):
        _struck_out(full, left, tables, first, fixed, fixed_bins, row)
        _struck_out(left, some, tables, first, free, free_bins, row)
        own = _summed(some, start, weights)
        for time in range(places.shape[0]):
            _struck_out(left, some, tables, first, free, donors, places[time, row])
            scores[time, row] += _summed(some, start, weights) - own


add_scores = compiled(_add_scores, **_OPTIONS)
add_stepped = compiled(_add_stepped, **_OPTIONS)
add_replaced = compiled(_add_replaced, **_OPTIONS)
