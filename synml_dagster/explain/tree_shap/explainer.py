"""The explainer of trees: exact SHAP values, many times faster than LightGBM's own `pred_contrib`."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synml_dagster.errors import ConfigError
from synml_dagster.explain.rows import explainable_rows
from synml_dagster.explain.tree_shap.background import background_rows, patterns_of, shares
from synml_dagster.explain.tree_shap.paths import MAX_SLOTS, lay_out
from synml_dagster.learners import TreeEnsemble
from synml_dagster.learners.lightgbm.model_text import parse_trees

_PAIR_VALUES = 8_000_000  # of pairs, outputs and rows that a thread has at once
_MOST_BYTES = 8 << 30


class TreeExplainer:
    """Exact tree SHAP values of a model of trees: path-dependent, or against background rows.

    Without a background what is not known of a row is what the training rows of each split had, weighted by their number
    (Lundberg et al. 2018, LightGBM's `pred_contrib`). With one it is taken from each of its rows in turn (`shap`'s
    "interventional" values), and the values add up from the mean raw score over the background.

    The values are in the unit of the model's raw score: log-odds for binary, one score per class for multiclass, the
    label's unit for plain regression, the logarithm of it for poisson, gamma and tweedie. For every row
    `base + phi.sum(over features)` is the raw score. NaN, zero-as-missing and categorical splits follow LightGBM.

    Parameters
    ----------
    model
        The trees, or LightGBM's model text (what `Booster.model_to_string()` returns).
    background
        float32 [rows, F], up to 1,000 rows to explain against.
    table_bytes
        Memory for tables of paths' weights; every task of a worker holds its own.
    largest_table
        A leaf on whose path are more features than this is computed by quadrature; a table for it would outgrow the cache.
    chunk_rows
        Rows that a thread takes at once.

    Raises
    ------
    ModelError
        When the text is not a whole LightGBM model, or the leaves of the trees are linear models.
    ConfigError, DataError
        When the background has more rows than that, none, or another number of columns.

    Examples
    --------
    >>> explainer = TreeExplainer(model.form)  # doctest: +SKIP
    >>> phi, base = explainer.values(X)  # doctest: +SKIP
    """

    method = "Exact tree SHAP values"
    rows_scored = 0

    def __init__(
        self,
        model: TreeEnsemble | str,
        *,
        background: ArrayLike | None = None,
        table_bytes: int = 64 << 20,
        largest_table: int = 10,
        chunk_rows: int = 4096,
    ) -> None:
        self._chunk_rows = chunk_rows
        self._table_bytes, self._largest_table = table_bytes, largest_table
        ensemble = parse_trees(model) if isinstance(model, str) else model
        self.num_features = ensemble.num_features
        self.num_outputs = ensemble.trees_per_iteration
        self._forest, self._base = lay_out(ensemble)
        self._points, self._weights = _gauss_legendre((MAX_SLOTS + 1) // 2)
        slots = np.diff(self._forest.slot_start)
        self._table_start, size = _place_tables(slots, slots, table_bytes, largest_table)
        self._tables = np.empty(size)
        self._pairs: tuple[NDArray[np.int64], NDArray[np.float64]] | None = None
        self._others = None
        forest = self._forest
        if background is not None:
            from synml_dagster.explain.tree_shap.interventional_kernels import fill_background_tables

            rows = background_rows(background, self.num_features)
            self.method = f"Exact tree SHAP values against {len(rows):,} background rows"
            self._others, self._base = patterns_of(forest, rows, self.num_outputs)
            self._shares = shares()
            fill_background_tables(
                forest.slot_start, self._table_start, *self._others, self._shares, self._tables
            )
            return
        from synml_dagster.explain.tree_shap.kernels import fill_tables

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
        """Mean raw score over the training rows, or over the background, float64 [outputs]."""
        return self._base

    @property
    def pairs(self) -> int:
        """Pairs of features on the paths to all leaves: what the interaction values of a row cost."""
        slots = np.diff(self._forest.slot_start)
        return int((slots * (slots - 1) // 2).sum())

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
        _in_chunks(len(rows), self._chunk_rows, threads, lambda part: self._explain_chunk(rows, phi, part))
        if self.num_outputs == 1:
            return phi[:, :, 0], float(self._base[0])
        return phi, self._base.copy()

    def interaction_values(
        self, X: ArrayLike, *, groups: ArrayLike | None = None, threads: int = 1
    ) -> NDArray[np.float64]:
        """Return the SHAP interaction values of rows: each value split into a main effect and what is shared with each other.

        The entry of two features is half of their Shapley interaction index, so that it stands at (i, j) and at (j, i); what is
        left of a feature's SHAP value is its main effect, on the diagonal (Lundberg et al. 2018). Each row of the matrix adds up
        to the feature's SHAP value. `shap` and XGBoost have the same definition.

        Parameters
        ----------
        X
            float32 [n, F] in the order of the model's features; NaN is missing.
        groups
            The number of the group, from 0, that each feature is of, such as its raw column's place: the values are then those
            of groups, blocks of the matrix added up.
        threads
            Rows are shared out over this many threads.

        Returns
        -------
        float64 [n, F, F], or [n, F, F, k] for k > 1 outputs; of groups, with their number in place of F.

        Raises
        ------
        ConfigError
            The explainer has a background; `groups` are not one number a feature; or the answer would not fit into memory.
        DataError
            `X` has another number of columns than the model.
        """
        if self._others is not None:
            raise ConfigError(
                "Interaction values are path-dependent: make an explainer without a background for them."
            )
        rows = explainable_rows(X, self.num_features)
        group, count = _groups(groups, self.num_features)
        size = len(rows) * count * count * self.num_outputs * 8
        if size > _MOST_BYTES:
            raise ConfigError(
                f"Interaction values of {len(rows):,} rows, {count:,} by {count:,} features and {self.num_outputs} outputs take {size / 2**30:.0f} GiB, "
                f"and {_MOST_BYTES >> 30} GiB is the most: ask for fewer rows at a time, or for groups of features."
            )
        place = np.zeros((count, count), np.int64)
        upper = np.triu_indices(count, 1)
        place[upper] = place.T[upper] = np.arange(len(upper[0]))
        values = np.asarray(self.values(rows, threads=threads)[0]).reshape(
            len(rows), self.num_features, self.num_outputs
        )
        answer = np.zeros((len(rows), count, count, self.num_outputs))
        if self._pairs is None:
            self._pairs = self._pair_tables()
        step = max(256, min(self._chunk_rows, _PAIR_VALUES // max(1, len(upper[0]) * self.num_outputs)))

        def explain(part: slice) -> None:
            from synml_dagster.explain.tree_shap.interaction_kernels import add_interactions

            assert self._pairs is not None
            x = np.ascontiguousarray(rows[part].T)
            found = np.zeros((self.num_outputs, len(upper[0]), x.shape[1]))
            add_interactions(x, *self._forest, *self._pairs, self._points, self._weights, group, place, found)
            both = found.transpose(2, 1, 0)
            answer[part, upper[0], upper[1]] = both
            answer[part, upper[1], upper[0]] = both
            whole = np.zeros((x.shape[1], count, self.num_outputs))
            for feature, own in enumerate(group):
                whole[:, own] += values[part, feature]
            diagonal = np.arange(count)
            answer[part, diagonal, diagonal] = whole - answer[part].sum(2)

        _in_chunks(len(rows), step, threads, explain)
        return answer[:, :, :, 0] if self.num_outputs == 1 else answer

    def _explain_chunk(self, rows: NDArray[np.float32], phi: NDArray[np.float64], part: slice) -> None:
        forest = self._forest
        x = np.ascontiguousarray(rows[part].T)
        found = np.zeros((self.num_outputs, self.num_features, x.shape[1]))
        if self._others is None:
            from synml_dagster.explain.tree_shap.kernels import add_values

            add_values(x, *forest, self._table_start, self._tables, self._points, self._weights, found)
        else:
            from synml_dagster.explain.tree_shap.interventional_kernels import add_interventional

            without = forest._replace(value=None, slot_cover=None)  # type: ignore[arg-type]
            arrays = (array for array in without if array is not None)
            add_interventional(
                x, *arrays, self._table_start, self._tables, *self._others, self._shares, found
            )
        phi[part] = found.transpose(2, 1, 0)

    def _pair_tables(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        from synml_dagster.explain.tree_shap.interaction_kernels import fill_pair_tables

        forest = self._forest
        slots = np.diff(forest.slot_start)
        starts, size = _place_tables(slots, slots * (slots - 1) // 2, self._table_bytes, self._largest_table)
        tables = np.empty(size)
        fill_pair_tables(
            forest.slot_start, forest.slot_cover, forest.value, starts, self._points, self._weights, tables
        )
        return starts, tables


def _in_chunks(rows: int, step: int, threads: int, work: Callable[[slice], None]) -> None:
    parts = [slice(begin, min(begin + step, rows)) for begin in range(0, rows, step)]
    if threads > 1 and len(parts) > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, parts))
    else:
        for part in parts:
            work(part)


def _groups(groups: ArrayLike | None, features: int) -> tuple[NDArray[np.int64], int]:
    if groups is None:
        return np.arange(features), features
    found = np.asarray(groups)
    if found.shape != (features,) or found.dtype.kind not in "iu" or (found < 0).any():
        raise ConfigError(
            f"groups has to be one whole number from 0 for each of the {features} features but got {groups!r:.100}."
        )
    return found.astype(np.int64), int(found.max(initial=-1)) + 1


def _gauss_legendre(most: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return points and weights on [0, 1], row q holding those of the rule with q points."""
    points, weights = np.zeros((most + 1, most)), np.zeros((most + 1, most))
    for q in range(1, most + 1):
        x, w = np.polynomial.legendre.leggauss(q)
        points[q, :q], weights[q, :q] = (x + 1) / 2, w / 2
    return points, weights


def _place_tables(
    slots: NDArray[np.int64], width: NDArray[np.int64], memory: int, largest: int
) -> tuple[NDArray[np.int64], int]:
    """Return where each leaf's table begins (-1: none) and the values of all: the shallowest first, within memory.

    A table has `width` values for each pattern of a leaf's slots.
    """
    sizes = np.where(slots <= largest, width << np.minimum(slots, largest), 0)
    limit = largest
    while limit and sizes[slots <= limit].sum() * 8 > memory:
        limit -= 1
    sizes = np.where(slots <= limit, sizes, 0)
    starts = np.cumsum(sizes) - sizes
    return np.where(slots <= limit, starts, -1).astype(np.int64), int(sizes.sum())
