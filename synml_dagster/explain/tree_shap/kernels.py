"""Exact path-dependent tree SHAP over blocks of rows, compiled by Numba.

The formula. Take one leaf of value v whose path looks at D distinct features. With z_j the share of training rows that
pass feature j's splits on the path, and o_j in {0, 1} whether this row passes them, the leaf's game has the
multilinear extension v * prod_j (z_j + t (o_j - z_j)) on its diagonal, so (Owen 1972)

    phi_i = v (o_i - z_i) * integral_0^1 prod_{j != i} (z_j + t (o_j - z_j)) dt.

The integrand is a polynomial of degree D - 1 in t: Gauss-Legendre with ceil(D / 2) points gives the integral exactly.
This is what the recursion of Lundberg et al. 2018 (LightGBM's `pred_contrib`) computes.

Two ways to evaluate it. A shallow leaf (D up to a limit) has its phi precomputed for all 2^D patterns of o, so a row
costs one bit pattern and D look-ups. A deep leaf takes the quadrature for the row itself, written as arithmetic on o
rather than as a choice by o, which the processor's vector units do for several rows at once.

Rows go through in blocks, tree by tree, so that a tree's tables stay in the cache while all blocks pass.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from synml_dagster.learners.tree_models.compiled import compiled, part_of_compiled

BLOCK = 256
_ZERO = np.float32(1e-35)


OPTIONS: dict[str, Any] = {
    "nogil": True,
    "fastmath": {"contract", "reassoc", "nsz", "arcp"},
    "error_model": "numpy",
}


def _fill_tables(slot_start, slot_cover, value, table_start, points, weights, tables):  # type: ignore[no-untyped-def]
    """Fill the tables of the leaves that have one: entry [pattern * D + j] is phi of slot j."""
    for leaf in range(len(value)):
        first = slot_start[leaf]
        d = slot_start[leaf + 1] - first
        start = table_start[leaf]
        if d == 0 or start < 0:
            continue
        q = (d + 1) // 2
        for pattern in range(1 << d):
            at = start + pattern * d
            for j in range(d):
                tables[at + j] = 0.0
            for i in range(q):
                t = points[q, i]
                product = weights[q, i] * value[leaf]
                for j in range(d):
                    z = slot_cover[first + j]
                    product *= z + t * (1.0 - z) if (pattern >> j) & 1 else z - t * z
                for j in range(d):
                    z = slot_cover[first + j]
                    if (pattern >> j) & 1:
                        tables[at + j] += product * (1.0 - z) / (z + t * (1.0 - z))
                    else:
                        tables[at + j] -= product / (1.0 - t)  # (0 - z) / (z - t z)


def _decide(  # type: ignore[no-untyped-def]
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
):
    """Fill `left` [node, row] for the rows from `begin` of `x` float32 [F, n]: 1 where the row goes left at a node of the tree."""
    for node in range(nodes):
        at = node0 + node
        column = x[feature[at], begin : begin + size]
        if kind[at] == 1:
            w0, bits = word_start[at], 32 * word_count[at]
            for r in range(size):
                v = column[r]
                left[node, r] = default_left[at] if v != v else 0
                # Also false for NaN. A category is the whole part; -0.5 is category 0, as in C.
                if v > -1.0 and v < bits:
                    c = int(v)
                    left[node, r] = (words[w0 + (c >> 5)] >> np.uint32(c & 31)) & np.uint32(1)
        else:
            t, m, default = threshold[at], missing[at], default_left[at]
            if m == 2:
                for r in range(size):
                    v = column[r]
                    left[node, r] = default if v != v else np.uint8(v <= t)
            elif m == 1:
                for r in range(size):
                    v = column[r]
                    left[node, r] = default if v != v or abs(v) <= _ZERO else np.uint8(v <= t)
            else:
                for r in range(size):
                    v = column[r]
                    left[node, r] = np.uint8(np.float32(0.0) <= t) if v != v else np.uint8(v <= t)


def _find_pattern(left, first, d, size, step_start, step_node, step_left, passes, pattern):  # type: ignore[no-untyped-def]
    """Fill `pattern` [row] with a bit for each of a leaf's `d` slots from `first` that the row passes."""
    for r in range(size):
        pattern[r] = 0
    for j in range(d):
        step0 = step_start[first + j]
        flip = np.uint8(1 - step_left[step0])
        node = step_node[step0]
        for r in range(size):
            passes[r] = left[node, r] ^ flip
        for step in range(step0 + 1, step_start[first + j + 1]):
            flip = np.uint8(1 - step_left[step])
            node = step_node[step]
            for r in range(size):
                passes[r] &= left[node, r] ^ flip
        for r in range(size):
            pattern[r] |= np.int64(passes[r]) << j


def _add_values(  # type: ignore[no-untyped-def]
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
    phi,
):
    """Add every tree's SHAP values to `phi` [outputs, F, n] for `x` float32 [F, n]."""
    n = x.shape[1]
    most = 1
    for tree in range(len(output)):
        most = max(most, node_start[tree + 1] - node_start[tree])
    left = np.empty((most, BLOCK), np.uint8)
    passes = np.empty(BLOCK, np.uint8)
    pattern = np.empty(BLOCK, np.int64)
    product = np.empty(BLOCK, np.float64)
    taken = np.empty((64, BLOCK), np.float64)
    for tree in range(len(output)):
        node0 = node_start[tree]
        nodes = node_start[tree + 1] - node0
        if nodes == 0:
            continue
        out = phi[output[tree]]
        for begin in range(0, n, BLOCK):
            size = min(BLOCK, n - begin)
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
                start = table_start[leaf]
                for r in range(size):
                    pattern[r] = 0
                for j in range(d):
                    step0, step1 = step_start[first + j], step_start[first + j + 1]
                    flip = np.uint8(1 - step_left[step0])
                    node = step_node[step0]
                    for r in range(size):
                        passes[r] = left[node, r] ^ flip
                    for step in range(step0 + 1, step1):
                        flip = np.uint8(1 - step_left[step])
                        node = step_node[step]
                        for r in range(size):
                            passes[r] &= left[node, r] ^ flip
                    if start >= 0:
                        for r in range(size):
                            pattern[r] |= np.int64(passes[r]) << j
                    else:
                        for r in range(size):
                            taken[j, r] = passes[r]
                if start >= 0:
                    for j in range(d):
                        target = out[slot_feature[first + j], begin : begin + size]
                        for r in range(size):
                            target[r] += tables[start + pattern[r] * d + j]
                    continue
                q = (d + 1) // 2
                for i in range(q):
                    t = points[q, i]
                    scaled = weights[q, i] * value[leaf]
                    for r in range(size):
                        product[r] = scaled
                    for j in range(d):
                        z = slot_cover[first + j]
                        failed = z - t * z
                        for r in range(size):
                            product[r] *= failed + t * taken[j, r]
                    for j in range(d):
                        z = slot_cover[first + j]
                        failed = -1.0 / (1.0 - t)
                        more = (1.0 - z) / (z + t * (1.0 - z)) - failed
                        target = out[slot_feature[first + j], begin : begin + size]
                        for r in range(size):
                            target[r] += product[r] * (failed + more * taken[j, r])


decide = part_of_compiled(_decide, **OPTIONS)
find_pattern = part_of_compiled(_find_pattern, **OPTIONS)
fill_tables = compiled(_fill_tables, **OPTIONS)
add_values = compiled(_add_values, **OPTIONS)
