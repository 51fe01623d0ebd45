"""Rows down the trees of a neutral ensemble, compiled by Numba; see `synml_dagster.learners.trees` for the rules."""

from __future__ import annotations

import numpy as np

from synml_dagster.learners.tree_models.compiled import compiled

_ZERO = np.float32(1e-35)
_BLOCK = 512


def _add_scores(  # type: ignore[no-untyped-def]
    x,
    feature,
    threshold,
    kind,
    missing,
    default_left,
    word_start,
    word_count,
    words,
    left,
    right,
    node_start,
    leaf_start,
    output,
    value,
    scores,
):
    """Add the leaves that float32 rows `x` [n, F] end in to `scores` [n, outputs], tree by tree for a block of rows."""
    n = x.shape[0]
    for begin in range(0, n, _BLOCK):
        end = min(n, begin + _BLOCK)
        for tree in range(len(output)):
            node0, leaf0, out = node_start[tree], leaf_start[tree], output[tree]
            single = node_start[tree + 1] == node0
            for row in range(begin, end):
                if single:
                    scores[row, out] += value[leaf0]
                    continue
                node = 0
                while node >= 0:
                    at = node0 + node
                    v = x[row, feature[at]]
                    if kind[at] == 1:
                        goes = False
                        if v != v:
                            goes = default_left[at] != 0
                        elif v > np.float32(-1.0) and v < 32 * word_count[at]:
                            c = int(v)
                            word = words[word_start[at] + (c >> 5)]
                            goes = (word >> np.uint32(c & 31)) & np.uint32(1) != 0
                    else:
                        m = missing[at]
                        if m != 2 and v != v:
                            v = np.float32(0.0)
                        if v != v or (m == 1 and abs(v) <= _ZERO):
                            goes = default_left[at] != 0
                        else:
                            goes = v <= threshold[at]
                    node = left[at] if goes else right[at]
                scores[row, out] += value[leaf0 + ~node]


add_scores = compiled(_add_scores, nogil=True)
