"""Raw scores of rows by the neutral trees: what a model of trees answers without the library that grew it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ModelError
from synml_dagster.learners.trees import TreeEnsemble


class TreeScorer:
    """A neutral ensemble laid out for scoring.

    Parameters
    ----------
    ensemble
        The trees.

    Raises
    ------
    ModelError
        Leaves hold linear models.
    """

    def __init__(self, ensemble: TreeEnsemble) -> None:
        trees = ensemble.trees
        if any(tree.is_linear for tree in trees):
            raise ModelError(
                "the model has linear leaves, which are not read here. Train with linear_tree=false."
            )
        self.num_features, self.num_outputs = ensemble.num_features, ensemble.num_outputs
        starts, counts, used = [], [], 0
        for tree in trees:
            split = np.where(tree.is_categorical, tree.threshold, 0).astype(np.int64)
            bounds = np.append(tree.cat_boundaries, 0)
            starts.append(used + bounds[split])
            counts.append(np.where(tree.is_categorical, bounds[split + 1] - bounds[split], 0))
            used += len(tree.cat_threshold)
        categorical = _joined([tree.is_categorical for tree in trees], np.uint8)
        threshold = np.where(categorical == 1, 0.0, _joined([tree.threshold for tree in trees], np.float64))
        self._arrays = (
            _joined([tree.split_feature for tree in trees], np.int32),
            threshold,
            categorical,
            _joined([tree.missing_type for tree in trees], np.uint8),
            _joined([tree.default_left for tree in trees], np.uint8),
            _joined(starts, np.int64),
            _joined(counts, np.int64),
            _joined([tree.cat_threshold for tree in trees], np.uint32),
            _joined([tree.left_child for tree in trees], np.int32),
            _joined([tree.right_child for tree in trees], np.int32),
            _starts([tree.num_leaves - 1 for tree in trees]),
            _starts([tree.num_leaves for tree in trees]),
            np.arange(len(trees), dtype=np.int64) % max(1, ensemble.trees_per_iteration),
            _joined([tree.leaf_value for tree in trees], np.float64),
        )
        self._scale = 1.0 / max(1, ensemble.iterations) if ensemble.average_output else 1.0

    def raw_scores(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the raw scores, float64 `[rows, outputs]`, of float32 `X` `[rows, features]`."""
        from synml_dagster.learners.tree_models.kernels import add_scores

        rows = np.ascontiguousarray(X, dtype=np.float32)
        scores = np.zeros((len(rows), self.num_outputs))
        if len(rows):
            add_scores(rows, *self._arrays, scores)
        return scores * self._scale


def _joined(arrays: list[NDArray], dtype: type) -> NDArray:
    return np.concatenate([np.zeros(0, dtype), *(np.asarray(one, dtype) for one in arrays)])


def _starts(sizes: list[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]).astype(np.int64)
