"""The background: rows that stand for what is not known of an explained one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

MOST_ROWS = 1_000
"""The cap: the model is asked about each coalition so many times."""

_CLUSTERED = 20_000


@dataclass(frozen=True, eq=False)
class Background:
    """Rows and their weights.

    Attributes
    ----------
    table
        A pyarrow Table of the columns that a model reads.
    weight
        float64 [rows], which add up to 1.
    said
        In words, how the rows were found.
    """

    table: pa.Table
    weight: NDArray[np.float64]
    said: str

    @classmethod
    def of(cls, rows: Any, weight: Sequence[float] | None = None) -> Background:
        """Return given rows (pyarrow, pandas or a mapping of column to values) as a background.

        Raises
        ------
        ConfigError
            There are more than `MOST_ROWS`; summarise them by `sample` or `kmeans`.
        DataError
            There are none, or the weights do not go with them.
        """
        import pyarrow as pa

        from synml_dagster.onnx.scorer import as_batch

        table = pa.Table.from_batches([as_batch(rows)])
        n = table.num_rows
        if not n:
            raise DataError("The background has no rows.")
        if n > MOST_ROWS:
            raise ConfigError(
                f"The background has {n:,} rows and may have {MOST_ROWS:,}: the model is asked that many times for each coalition of each row. Use Background.sample(...) or Background.kmeans(...)."
            )
        weights = np.full(n, 1 / n) if weight is None else np.asarray(weight, dtype=np.float64)
        if weights.shape != (n,) or not (weights >= 0).all() or not weights.sum() > 0:
            raise DataError(f"The background's weights must be {n} numbers of at least 0, one a row.")
        return cls(table, weights / weights.sum(), f"{n:,} given rows")

    @classmethod
    def sample(cls, data: DataFrame, columns: Sequence[str] | None = None, *, rows: int = 100) -> Background:
        """Return a sample of a table's rows, chosen by their content: the same however it is partitioned.

        Raises
        ------
        ConfigError
            More than `MOST_ROWS` are asked for, or a column is not there.
        DataError
            The table is empty.
        """
        if not 1 <= rows <= MOST_ROWS:
            raise ConfigError(f"background: rows must be from 1 to {MOST_ROWS:,} but got {rows:,}.")
        found, total = _collected(data, columns, rows)
        said = f"{found.num_rows:,} of {total:,} rows, chosen by their content"
        return cls(found, np.full(found.num_rows, 1 / found.num_rows), said)

    @classmethod
    def kmeans(
        cls,
        data: DataFrame,
        columns: Sequence[str] | None = None,
        *,
        rows: int = 25,
        seed: int = 0,
    ) -> Background:
        """Return a summary of a table: the row nearest to each centre of k-means, weighted by its cluster's size.

        Numbers are standardised, words and booleans are one column of 0 and 1 for each of their ten commonest values.
        Rows are real ones, so that no category is a mean. Up to 20,000 rows, chosen by content, are clustered.

        Raises
        ------
        ConfigError
            More than `MOST_ROWS` are asked for, or a column is not there.
        DataError
            The table is empty.
        """
        if not 1 <= rows <= MOST_ROWS:
            raise ConfigError(f"background: rows must be from 1 to {MOST_ROWS:,} but got {rows:,}.")
        from sklearn.cluster import KMeans

        found, total = _collected(data, columns, _CLUSTERED)
        X = _as_numbers(found)
        k = min(rows, len(np.unique(X, axis=0)))
        fitted = KMeans(k, n_init=3, random_state=seed).fit(X)
        nearest, weights = [], []
        for cluster in range(k):
            inside = np.flatnonzero(fitted.labels_ == cluster)
            if len(inside):
                off = ((X[inside] - fitted.cluster_centers_[cluster]) ** 2).sum(1)
                nearest.append(int(inside[off.argmin()]))
                weights.append(len(inside))
        weight = np.array(weights, dtype=np.float64)
        said = f"{len(nearest)} rows that stand for the clusters of {found.num_rows:,} of {total:,} rows"
        return cls(found.take(nearest), weight / weight.sum(), said)


def _collected(data: DataFrame, columns: Sequence[str] | None, rows: int) -> tuple[pa.Table, int]:
    from pyspark.sql import functions as sf

    from synml_dagster.spark.quoting import quoted

    there = data.columns
    for name in columns or ():
        if name not in there:
            raise ConfigError(f"background: the table has no column {name!r}.{did_you_mean(name, there)}")
    narrow = data if columns is None else data.select(*(sf.col(quoted(name)) for name in columns))
    total = narrow.count()
    if not total:
        raise DataError("background: the table is empty.")
    if total > rows:
        narrow = narrow.orderBy(sf.xxhash64(*(sf.col(quoted(c)) for c in narrow.columns))).limit(rows)
    return narrow.toArrow().combine_chunks(), total


def _as_numbers(table: pa.Table) -> NDArray[np.float64]:
    import pandas as pd
    import pyarrow as pa

    parts: list[NDArray[np.float64]] = []
    for name, kind in zip(table.schema.names, table.schema.types, strict=True):
        column = table.column(name).to_pandas()
        if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind):
            x = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, copy=True)
            x[~np.isfinite(x)] = np.nanmedian(x) if np.isfinite(x).any() else 0.0
            x[~np.isfinite(x)] = 0.0
            spread = x.std()
            parts.append((x - x.mean()) / spread if spread > 0 else np.zeros_like(x))
        elif pa.types.is_list(kind):
            lists = np.stack(column.to_numpy()).astype(np.float64)
            spread = lists.std(0)
            parts += list(((lists - lists.mean(0)) / np.where(spread > 0, spread, 1)).T)
        else:
            words = column.astype(str)
            for value in words.value_counts().index[:10]:
                parts.append((words == value).to_numpy(dtype=np.float64))
    return np.column_stack(parts)
