"""The explainer of trees: exact SHAP values, many times faster than LightGBM's own `pred_contrib`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synml_dagster.explain.rows import explainable_rows
from synml_dagster.explain.tree_shap.paths import MAX_SLOTS, lay_out
from synml_dagster.learners import TreeEnsemble
from synml_dagster.learners.lightgbm.model_text import parse_trees

_CHUNK_ROWS = 4096


class TreeExplainer:
    """Exact path-dependent tree SHAP values of a model of trees.

    The values are in the unit of the model's raw score: log-odds for binary, one score per class for multiclass, the
    label's unit for plain regression, the logarithm of it for poisson, gamma and tweedie. For every row
    `base + phi.sum(over features)` is the raw score. NaN, zero-as-missing and categorical splits follow LightGBM.

    Parameters
    ----------
    model
        The trees, or LightGBM's model text (what `Booster.model_to_string()` returns).
    table_bytes
        Memory for tables of paths' weights; every task of a worker holds its own.
    largest_table
        A leaf on whose path are more features than this is computed by quadrature; a table for it would outgrow the cache.

    Raises
    ------
    ModelError
        When the text is not a whole LightGBM model, or the leaves of the trees are linear models.

    Examples
    --------
    >>> explainer = TreeExplainer(model.form)  # doctest: +SKIP
    >>> phi, base = explainer.values(X)  # doctest: +SKIP
    """

    method = "Exact tree SHAP values"

    def __init__(
        self, model: TreeEnsemble | str, *, table_bytes: int = 64 << 20, largest_table: int = 10
    ) -> None:
        ensemble = parse_trees(model) if isinstance(model, str) else model
        self.num_features = ensemble.num_features
        self.num_outputs = ensemble.trees_per_iteration
        self._forest, self._base = lay_out(ensemble)
        self._points, self._weights = _gauss_legendre((MAX_SLOTS + 1) // 2)
        self._table_start, size = _place_tables(np.diff(self._forest.slot_start), table_bytes, largest_table)
        self._tables = np.empty(size)
        from synml_dagster.explain.tree_shap.kernels import fill_tables

        forest = self._forest
        fill_tables(
            forest.slot_start,
            forest.slot_cover,
            forest.value,
            self._table_start,
            self._points,
            self._weights,
            self._tables,
        )

    @property
    def base(self) -> NDArray[np.float64]:
        """Mean raw score over the training rows, float64 [outputs]."""
        return self._base

    def values(
        self, X: ArrayLike, *, threads: int = 1
    ) -> tuple[NDArray[np.float64], float | NDArray[np.float64]]:
        """Explain rows.

        Parameters
        ----------
        X
            float32 [n, F] in the order of the model's features; NaN is missing.
        threads
            Rows are shared out over this many threads.

        Returns
        -------
        phi
            float64 [n, F], or [n, F, k] for k > 1 outputs.
        base
            What they add up from: a float, or float64 [k].

        Raises
        ------
        DataError
            When `X` has another number of columns than the model.
        """
        rows = explainable_rows(X, self.num_features)
        phi = np.zeros((len(rows), self.num_features, self.num_outputs))
        chunks = range(0, len(rows), _CHUNK_ROWS)
        if threads > 1 and len(chunks) > 1:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(lambda begin: self._explain_chunk(rows, phi, begin), chunks))
        else:
            for begin in chunks:
                self._explain_chunk(rows, phi, begin)
        if self.num_outputs == 1:
            return phi[:, :, 0], float(self._base[0])
        return phi, self._base.copy()

    def _explain_chunk(self, rows: NDArray[np.float32], phi: NDArray[np.float64], begin: int) -> None:
        from synml_dagster.explain.tree_shap.kernels import add_values

        part = np.ascontiguousarray(rows[begin : begin + _CHUNK_ROWS].T)
        found = np.zeros((self.num_outputs, self.num_features, part.shape[1]))
        add_values(part, *self._forest, self._table_start, self._tables, self._points, self._weights, found)
        phi[begin : begin + _CHUNK_ROWS] = found.transpose(2, 1, 0)


def _gauss_legendre(most: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return points and weights on [0, 1], row q holding those of the rule with q points."""
    points, weights = np.zeros((most + 1, most)), np.zeros((most + 1, most))
    for q in range(1, most + 1):
        x, w = np.polynomial.legendre.leggauss(q)
        points[q, :q], weights[q, :q] = (x + 1) / 2, w / 2
    return points, weights


def _place_tables(slots: NDArray[np.int64], memory: int, largest: int) -> tuple[NDArray[np.int64], int]:
    """Return where each leaf's table begins (-1: none) and the values of all: the shallowest first, within memory."""
    sizes = np.where(slots <= largest, slots << np.minimum(slots, largest), 0)
    limit = largest
    while limit and sizes[slots <= limit].sum() * 8 > memory:
        limit -= 1
    sizes = np.where(slots <= limit, sizes, 0)
    starts = np.cumsum(sizes) - sizes
    return np.where(slots <= limit, starts, -1).astype(np.int64), int(sizes.sum())
