"""The games behind tree SHAP, by their definitions: what a model expects of a row of which only some features are known."""

from __future__ import annotations

from itertools import combinations
from math import factorial

import numpy as np

from synml_dagster.learners.trees import MISSING_NAN, MISSING_ZERO, ZERO_THRESHOLD


def path_dependent(ensemble, row, known):
    """Follow the row at splits on known features, and both ways by their training rows at the others; float64 [outputs]."""
    found = np.zeros(ensemble.trees_per_iteration)
    scale = 1 / ensemble.iterations if ensemble.average_output else 1
    for number, tree in enumerate(ensemble.trees):
        found[number % len(found)] += scale * _expected(tree, row, known, 0 if tree.num_leaves > 1 else ~0)
    return found


def _expected(tree, row, known, node):
    if node < 0:
        return tree.leaf_value[~node]
    children = tree.left_child[node], tree.right_child[node]
    if tree.split_feature[node] in known:
        return _expected(tree, row, known, children[0 if _goes_left(tree, node, row) else 1])
    covers = [_cover(tree, child) for child in children]
    return sum(
        c * _expected(tree, row, known, child) for c, child in zip(covers, children, strict=True)
    ) / sum(covers)


def _cover(tree, node):
    if node < 0:
        return tree.leaf_count[~node]
    return _cover(tree, tree.left_child[node]) + _cover(tree, tree.right_child[node])


def _goes_left(tree, node, row):
    x, missing = row[tree.split_feature[node]], tree.missing_type[node]
    if tree.is_categorical[node]:
        return bool(tree.default_left[node]) if np.isnan(x) else int(x) in tree.categories(node)
    if (missing == MISSING_NAN and np.isnan(x)) or (missing == MISSING_ZERO and not abs(x) > ZERO_THRESHOLD):
        return bool(tree.default_left[node])
    return (0.0 if np.isnan(x) else x) <= tree.threshold[node]


def against_rows(raw_scores, background, row, known):
    """Return the mean raw score of the background rows with the row's known features in them, float64 [outputs]."""
    mixed = background.copy()
    mixed[:, list(known)] = row[list(known)]
    return raw_scores(mixed).reshape(len(mixed), -1).mean(0)


def shapley_interactions(value, features):
    """Return SHAP interaction values by their definition, float64 [features, features, outputs]; `value` is of a set of features."""
    worth = {
        frozenset(known): value(known)
        for size in range(features + 1)
        for known in combinations(range(features), size)
    }
    outputs = len(worth[frozenset()])
    found = np.zeros((features, features, outputs))
    for i in range(features):
        phi = np.zeros(outputs)
        for known, of_known in worth.items():
            if i in known:
                continue
            size = len(known)
            weight = factorial(size) * factorial(features - size - 1) / factorial(features)
            phi += weight * (worth[known | {i}] - of_known)
            for j in range(features):
                if j == i or j in known:
                    continue
                weight = factorial(size) * factorial(features - size - 2) / (2 * factorial(features - 1))
                both = worth[known | {i, j}] - worth[known | {i}] - worth[known | {j}] + of_known
                found[i, j] += weight * both
        found[i, i] = phi - found[i].sum(0)
    return found
