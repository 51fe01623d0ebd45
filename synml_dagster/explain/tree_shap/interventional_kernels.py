"""Tree SHAP against background rows ("interventional"), over blocks of rows, compiled by Numba.

The formula. What is not known of a row is taken from a background row. A leaf of value v is reached in a coalition where each
of the slots in it is passed by the row, and each of the others by the background row. Slots that both pass change nothing,
and one that neither passes makes the leaf out of reach. With A the slots that the row alone passes and B those that the
background row alone passes, the leaf is reached where all of A and none of B are in the coalition, so that by the definition of
the Shapley value

    phi_i = v (|A| - 1)! |B|! / (|A| + |B|)!    for i in A,    phi_i = - v |A|! (|B| - 1)! / (|A| + |B|)!    for i in B,

averaged over the background (Lundberg et al. 2020, "independent" Tree SHAP). It depends on the rows through the patterns of the
slots that they pass alone, so that a leaf keeps the patterns of its background, each with its weight.

A shallow leaf has its phi precomputed for all 2^D patterns of a row; a deep one goes through the background's patterns, and
remembers what it found for the row's pattern: few of those that could occur do.
"""

from __future__ import annotations

import numpy as np

from synml_dagster.explain.tree_shap.kernels import BLOCK, OPTIONS, decide, find_pattern
from synml_dagster.learners.tree_models.compiled import compiled, part_of_compiled

_ROWS, _CHUNK = 4096, 1024
_SPOTS = 4096
_WORDS = 16  # of 64 bits: as many patterns as there may be background rows
_SPOT_BITS = np.uint64(52)  # what a shift leaves of 64 for a spot
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


def _ones(bits):  # type: ignore[no-untyped-def]
    """Return how many bits are set; the compiler knows this for one instruction."""
    x = np.uint64(bits)
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((x * np.uint64(0x0101010101010101)) >> np.uint64(56))


ones = part_of_compiled(_ones, **OPTIONS)


def _find_patterns(  # type: ignore[no-untyped-def]
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
    slot_start,
    step_start,
    step_node,
    step_left,
    tree,
    patterns,
):
    """Fill `patterns` [leaves of the tree, n] for `x` float32 [F, n]: a bit for each slot that is passed."""
    n = x.shape[1]
    node0 = node_start[tree]
    nodes = node_start[tree + 1] - node0
    left = np.empty((max(1, nodes), BLOCK), np.uint8)
    passes = np.empty(BLOCK, np.uint8)
    pattern = np.empty(BLOCK, np.int64)
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
            find_pattern(left, first, d, size, step_start, step_node, step_left, passes, pattern)
            for r in range(size):
                patterns[leaf - leaf_start[tree], begin + r] = pattern[r]


def _fill_background_tables(  # type: ignore[no-untyped-def]
    slot_start, table_start, other_start, other_pattern, other_weight, share, tables
):
    """Fill the tables of the leaves that have one: entry [j * 2^D + pattern] is phi of slot j.

    `other_*` are the background's patterns by leaf, their weights times the leaf's value; `share` [a, b] is (a - 1)! b! / (a + b)!.
    """
    for leaf in range(len(slot_start) - 1):
        d = slot_start[leaf + 1] - slot_start[leaf]
        start = table_start[leaf]
        if d == 0 or start < 0:
            continue
        whole = (1 << d) - 1
        for at in range(start, start + (d << d)):
            tables[at] = 0.0
        for number in range(other_start[leaf], other_start[leaf + 1]):
            other, weight = other_pattern[number], other_weight[number]
            alone = whole & ~other
            a = 0
            for j in range(d):
                a += (alone >> j) & 1
            # All patterns that pass what the background row does not: others do not reach the leaf.
            part = other
            while True:
                at = start + (alone | part)
                b = 0
                against = other & ~part
                for j in range(d):
                    b += (against >> j) & 1
                plus = weight * share[a, b]
                minus = weight * share[b, a]
                for j in range(d):
                    if (alone >> j) & 1:
                        tables[at + (j << d)] += plus
                    elif (against >> j) & 1:
                        tables[at + (j << d)] -= minus
                if part == 0:
                    break
                part = (part - 1) & other


def _add_interventional(  # type: ignore[no-untyped-def]
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
    slot_start,
    slot_feature,
    step_start,
    step_node,
    step_left,
    table_start,
    tables,
    other_start,
    other_pattern,
    other_weight,
    share,
    phi,
):
    """Add every tree's SHAP values to `phi` [outputs, F, n] for `x` float32 [F, n]."""
    n = x.shape[1]
    most = 1
    for tree in range(len(output)):
        most = max(most, node_start[tree + 1] - node_start[tree])
    left = np.empty((most, _ROWS), np.uint8)
    passes = np.empty(_ROWS, np.uint8)
    pattern = np.empty(_ROWS, np.int64)
    keys = np.empty(_SPOTS, np.int64)
    memo = np.empty(_SPOTS * 64, np.float64)
    # By slot, a bit for each of the leaf's patterns of the background that pass it; at the end a bit for each there is.
    passing = np.empty(65 * _WORDS, np.int64)
    for tree in range(len(output)):
        node0 = node_start[tree]
        nodes = node_start[tree + 1] - node0
        if nodes == 0:
            continue
        out = phi[output[tree]]
        for begin in range(0, n, _ROWS):
            size = min(_ROWS, n - begin)
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
                find_pattern(left, first, d, size, step_start, step_node, step_left, passes, pattern)
                start = table_start[leaf]
                if start >= 0:
                    # A slot's part of the table, the patterns and the row's values stay in the first cache together.
                    for here in range(0, size, _CHUNK):
                        some = min(_CHUNK, size - here)
                        for j in range(d):
                            target = out[slot_feature[first + j], begin + here : begin + here + some]
                            table = tables[start + (j << d) : start + ((j + 1) << d)]
                            own_pattern = pattern[here : here + some]
                            for r in range(some):
                                target[r] += table[own_pattern[r]]
                    continue
                whole = (np.int64(1) << d) - 1
                keys[:] = -1
                others = other_start[leaf]
                words_of = (other_start[leaf + 1] - others + 63) >> 6
                passing[: (d + 1) * words_of] = 0
                for number in range(other_start[leaf + 1] - others):
                    bit = np.int64(1) << (number & 63)
                    passing[d * words_of + (number >> 6)] |= bit
                    for j in range(d):
                        if (other_pattern[others + number] >> j) & 1:
                            passing[j * words_of + (number >> 6)] |= bit
                for r in range(size):
                    own = pattern[r]
                    spot = np.int64((np.uint64(own) * _SPREAD) >> _SPOT_BITS)
                    at = spot * d
                    if keys[spot] != own:
                        keys[spot] = own
                        for j in range(d):
                            memo[at + j] = 0.0
                        # Each of the slots that the row fails is in B for all background rows that reach the leaf.
                        failed = whole & ~own
                        b = ones(failed)
                        minus = 0.0
                        for word in range(words_of):
                            # Those that pass all that the row fails: few do, and no other is looked at.
                            left_over = passing[d * words_of + word]
                            part = failed
                            while part and left_over:
                                lowest = part & -part
                                left_over &= passing[ones(lowest - 1) * words_of + word]
                                part ^= lowest
                            while left_over:
                                lowest = left_over & -left_over
                                left_over ^= lowest
                                number = others + (word << 6) + ones(lowest - 1)
                                alone = own & ~other_pattern[number]
                                a = ones(alone)
                                plus = other_weight[number] * share[a, b]
                                minus += other_weight[number] * share[b, a]
                                while alone:
                                    lowest = alone & -alone
                                    memo[at + ones(lowest - 1)] += plus
                                    alone ^= lowest
                        for j in range(d):
                            if (failed >> j) & 1:
                                memo[at + j] = -minus
                    for j in range(d):
                        out[slot_feature[first + j], begin + r] += memo[at + j]


find_patterns = compiled(_find_patterns, **OPTIONS)
fill_background_tables = compiled(_fill_background_tables, **OPTIONS)
add_interventional = compiled(_add_interventional, **OPTIONS)
