"""SHAP interaction values over blocks of rows, compiled by Numba.

The formula. For two slots i and j of a leaf, with z, o and v as in `kernels`, the Shapley interaction index of the leaf's game
is the integral of its multilinear extension's mixed derivative along the diagonal (Grabisch and Roubens 1999; Owen 1972):

    I_ij = v (o_i - z_i) (o_j - z_j) * integral_0^1 prod_{k != i, j} (z_k + t (o_k - z_k)) dt,

a polynomial of degree D - 2 in t, which the same points integrate exactly. As Lundberg et al. 2018 have it, half of it is at
(i, j) and half at (j, i), and what is left of a feature's SHAP value is its main effect, on the diagonal.

A shallow leaf has the halves of all pairs precomputed for all 2^D patterns; a deep one takes the quadrature for the row.
"""

from __future__ import annotations

import numpy as np

from synml_dagster.explain.tree_shap.kernels import BLOCK, OPTIONS, decide, find_pattern
from synml_dagster.learners.tree_models.compiled import compiled


def _fill_pair_tables(slot_start, slot_cover, value, table_start, points, weights, tables):  # type: ignore[no-untyped-def]
    """Fill the tables of the leaves that have one: entry [pattern * pairs + pair] is half of I_ij, pairs as (0, 1), (0, 2), ..."""
    ratio = np.empty(64, np.float64)
    for leaf in range(len(value)):
        first = slot_start[leaf]
        d = slot_start[leaf + 1] - first
        start = table_start[leaf]
        if d < 2 or start < 0:
            continue
        pairs = d * (d - 1) // 2
        q = d // 2
        for pattern in range(1 << d):
            at = start + pattern * pairs
            for pair in range(pairs):
                tables[at + pair] = 0.0
            for i in range(q):
                t = points[q, i]
                product = 0.5 * weights[q, i] * value[leaf]
                for j in range(d):
                    z = slot_cover[first + j]
                    if (pattern >> j) & 1:
                        product *= z + t * (1.0 - z)
                        ratio[j] = (1.0 - z) / (z + t * (1.0 - z))
                    else:
                        product *= z - t * z
                        ratio[j] = -1.0 / (1.0 - t)
                pair = at
                for j in range(d):
                    scaled = product * ratio[j]
                    for k in range(j + 1, d):
                        tables[pair] += scaled * ratio[k]
                        pair += 1


def _add_interactions(  # type: ignore[no-untyped-def]
    x,
    feature,
    threshold,
    kind,
    missing,
    default_left,
    word_start,
    word_count,
    words,
    node_start,
    leaf_start,
    output,
    value,
    slot_start,
    slot_feature,
    slot_cover,
    step_start,
    step_node,
    step_left,
    table_start,
    tables,
    points,
    weights,
    group,
    place,
    found,
):
    """Add every tree's halves to `found` [outputs, pairs of groups, n] for `x` float32 [F, n].

    `group` [F] says which group a feature is of, `place` [groups, groups] where a pair of groups is; pairs inside a group are
    left out.
    """
    n = x.shape[1]
    most = 1
    for tree in range(len(output)):
        most = max(most, node_start[tree + 1] - node_start[tree])
    left = np.empty((most, BLOCK), np.uint8)
    passes = np.empty(BLOCK, np.uint8)
    pattern = np.empty(BLOCK, np.int64)
    product = np.empty(BLOCK, np.float64)
    ratio = np.empty((64, BLOCK), np.float64)
    for begin in range(0, n, BLOCK):
        size = min(BLOCK, n - begin)
        for tree in range(len(output)):
            node0 = node_start[tree]
            nodes = node_start[tree + 1] - node0
            if nodes == 0:
                continue
            out = found[output[tree]]
            decide(
                x,
                node0,
                nodes,
                begin,
                size,
                feature,
                threshold,
                kind,
                missing,
                default_left,
                word_start,
                word_count,
                words,
                left,
            )
            for leaf in range(leaf_start[tree], leaf_start[tree + 1]):
                first = slot_start[leaf]
                d = slot_start[leaf + 1] - first
                if d < 2:
                    continue
                find_pattern(left, first, d, size, step_start, step_node, step_left, passes, pattern)
                pairs = d * (d - 1) // 2
                start = table_start[leaf]
                if start >= 0:
                    pair = start
                    for j in range(d):
                        own = group[slot_feature[first + j]]
                        for k in range(j + 1, d):
                            other = group[slot_feature[first + k]]
                            if own != other:
                                target = out[place[own, other], begin : begin + size]
                                for r in range(size):
                                    target[r] += tables[pair + pattern[r] * pairs]
                            pair += 1
                    continue
                q = d // 2
                for i in range(q):
                    t = points[q, i]
                    scaled = 0.5 * weights[q, i] * value[leaf]
                    failed = -1.0 / (1.0 - t)
                    for r in range(size):
                        product[r] = scaled
                    for j in range(d):
                        z = slot_cover[first + j]
                        whole = z + t * (1.0 - z)
                        part = z - t * z
                        more = (1.0 - z) / whole - failed
                        for r in range(size):
                            passed = np.float64((pattern[r] >> j) & 1)
                            product[r] *= part + (whole - part) * passed
                            ratio[j, r] = failed + more * passed
                    for j in range(d):
                        own = group[slot_feature[first + j]]
                        for k in range(j + 1, d):
                            other = group[slot_feature[first + k]]
                            if own != other:
                                target = out[place[own, other], begin : begin + size]
                                for r in range(size):
                                    target[r] += product[r] * ratio[j, r] * ratio[k, r]


fill_pair_tables = compiled(_fill_pair_tables, **OPTIONS)
add_interactions = compiled(_add_interactions, **OPTIONS)
