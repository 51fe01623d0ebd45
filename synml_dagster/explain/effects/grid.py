"""The values of a column that a model is asked about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

_SAMPLE = 10_000
_ENDS = (0.05, 0.95)


def check_columns(columns: Sequence[str], reads: Sequence[str], what: str) -> None:
    """Refuse columns that the model does not read.

    Raises
    ------
    ConfigError
    """
    if not columns:
        raise ConfigError(f"{what}: name at least one column.")
    for name in columns:
        if name not in reads:
            raise ConfigError(f"{what}: the model is not given a column {name!r}.{did_you_mean(name, reads)}")


def sampled(df: DataFrame, columns: Sequence[str], rows: int = _SAMPLE, of: int | None = None) -> pa.Table:
    """Return up to `rows` rows of some columns, chosen by their content and in the order of it.

    Parameters
    ----------
    of
        How many rows `df` has, where that is known: a large part of them is then chosen without Spark's sort.

    Raises
    ------
    DataError
        The table is empty.
    """
    from pyspark.sql import functions as sf

    from synml_dagster.spark.quoting import quoted

    narrow = df.select(*(sf.col(quoted(name)).alias(f"c{i}") for i, name in enumerate(columns)))
    found = _with_smallest_hashes(narrow, rows, of) if of else None
    if found is None:
        found = narrow.orderBy(sf.xxhash64(*narrow.columns), *narrow.columns).limit(rows).toArrow()
    if not found.num_rows:
        raise DataError("There are no rows: the table is empty.")
    return found.rename_columns(list(columns)).combine_chunks()


def _with_smallest_hashes(df: DataFrame, rows: int, of: int) -> pa.Table | None:
    """Return the rows with the smallest hashes, in their order; None where the hash that should leave about enough does not.

    Hashes are spread evenly, so that a filter leaves about as many rows as are wanted: only those are collected and sorted.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyspark.sql import functions as sf

    kinds = [field.dataType.typeName() for field in df.schema.fields]
    if any(kind in ("array", "struct", "map", "variant") for kind in kinds):
        return None  # which Arrow does not sort
    share = min(1.0, (rows + 6 * rows**0.5 + 100) / of)
    limit = int(share * 2**64) - 2**63 - 1
    hashed = df.select(sf.xxhash64(*df.columns).alias("hash"), *df.columns)
    below = hashed if share == 1 else hashed.where(sf.col("hash") <= sf.lit(limit))
    most = 2 * rows + 1_000  # a table of few distinct rows can have any number below
    found = below.limit(most).toArrow()
    if not min(rows, of) <= found.num_rows < most:
        return None
    hashes = found.column("hash").to_numpy()
    order = np.argsort(hashes, kind="stable")
    ranked = hashes[order]
    # Equal rows have equal hashes, and so have some that differ in which of their values is missing.
    ties = np.flatnonzero(np.r_[ranked[1:] == ranked[:-1], False] | np.r_[False, ranked[1:] == ranked[:-1]])
    if len(ties):
        alike = found.take(pa.array(order[ties]))
        columns: dict[str, Any] = {}
        for i, column in enumerate(alike.columns):
            columns |= {
                f"{i} is there": pc.is_valid(column),
                str(i): column,
            }  # missing values first, as Spark does
        keys = [(name, "ascending") for name in columns]
        order[ties] = order[ties][pc.sort_indices(pa.table(columns), sort_keys=keys).to_numpy()]
    return found.drop_columns("hash").take(pa.array(order[:rows]))


def sampled_queries(df: DataFrame, columns: Sequence[str], query: str, rows: int) -> pa.Table:
    """Return up to `rows` rows of some columns as `sampled` does, but whole queries of them.

    Raises
    ------
    DataError
        The table is empty, a row is of no query, or one query alone has more rows than that.
    """
    chosen, together = whole_queries(df, query, rows)
    if together > rows:
        raise DataError(f"A query in {query!r} has {together:,} rows, and rows is {rows:,}; ask for more.")
    return sampled(chosen, columns, max(1, together))


def whole_queries(df: DataFrame, query: str, rows: int) -> tuple[DataFrame, int]:
    """Return the rows of as many queries as have up to `rows` rows together, at least one, chosen by their names; and how many rows that is.

    Raises
    ------
    DataError
        A row is of no query.
    """
    from pyspark.sql import functions as sf

    from synml_dagster.spark.quoting import quoted

    of = sf.col(quoted(query))
    sizes = df.groupBy(of.alias("query")).agg(sf.count(sf.lit(1)).alias("rows"))
    listed = (
        sizes.select(sf.xxhash64("query").alias("place"), sf.isnull("query").alias("none"), "rows")
        .orderBy(sf.desc("none"), "place")
        .limit(rows)  # queries, which are at least as many rows
        .toArrow()
    )
    if not listed.num_rows:
        return df, 0
    if listed.column("none")[0].as_py():
        raise DataError(
            f"{listed.column('rows')[0].as_py():,} rows have no query in {query!r}; leave them out."
        )
    together = np.cumsum(listed.column("rows").to_numpy())
    last = max(int(np.searchsorted(together, rows, side="right")) - 1, 0)
    return df.where(sf.xxhash64(of) <= sf.lit(listed.column("place")[last].as_py())), int(together[last])


def grids_of(
    df: DataFrame, columns: Sequence[str], points: int, given: Mapping[str, Sequence[Any]] | None = None
) -> dict[str, pa.Array]:
    """Return the values to ask about, by column, in the column's own type.

    Numbers with more values than `points`: as many steps from the 5th to the 95th percentile, whole for whole numbers.
    Everything else: its values in order, or the `points` commonest. They are those of up to 10,000 rows, chosen by their
    content.

    Raises
    ------
    ConfigError
        Given values are none of a column's type, or none at all, or `points` is below 2.
    """
    import pyarrow as pa

    if points < 2:
        raise ConfigError(f"points must be at least 2 but got {points}.")
    for name in given or {}:
        if name not in columns:
            raise ConfigError(
                f"grid: it names {name!r}, which is not asked for.{did_you_mean(name, columns)}"
            )
    table = sampled(df, columns)
    found = {}
    for name in columns:
        kind = table.schema.field(name).type
        if given and name in given:
            try:
                found[name] = pa.array(list(given[name]), kind)
            except (pa.ArrowInvalid, pa.ArrowTypeError) as problem:
                raise ConfigError(
                    f"grid: the values of {name!r} must be of its type {kind}: {problem}"
                ) from problem
            if not len(found[name]):
                raise ConfigError(f"grid: there are no values for {name!r}.")
            continue
        found[name] = _values(table.column(name).combine_chunks(), points, name)
    return found


def _values(column: pa.Array, points: int, name: str) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_nested(kind):
        raise ConfigError(
            f"{name!r} is of type {kind}, which has no values to step through; name a column of single values."
        )
    known = column.drop_null()
    if pa.types.is_floating(kind):
        known = known.filter(pc.is_finite(known))
    if not len(known):
        raise DataError(f"Column {name!r} has no values to ask about: all that were looked at are missing.")
    counts = known.value_counts()
    distinct = counts.field("values")
    if is_number(kind) and len(distinct) > points:
        low, high = np.quantile(known.cast(pa.float64()).to_numpy(), _ENDS)
        steps = np.linspace(low, high, points)
        if pa.types.is_integer(kind):
            steps = np.unique(np.round(steps))
        return pa.array(steps).cast(kind)
    if len(distinct) > points:
        distinct = distinct.take(
            pc.sort_indices(counts.field("counts"), sort_keys=[("", "descending")])[:points]
        )
    return distinct.take(pc.sort_indices(distinct))


def edges_of(df: DataFrame, columns: Sequence[str], bins: int) -> dict[str, NDArray[np.float64]]:
    """Return the limits of bins with about equal rows, by column of numbers.

    Raises
    ------
    ConfigError
        A column holds no numbers.
    DataError
        A column has one value only.
    """
    import pyarrow as pa

    table = sampled(df, columns)
    found = {}
    for name in columns:
        column = table.column(name).combine_chunks().drop_null()
        if not is_number(column.type):
            raise ConfigError(
                f"Accumulated local effects need numbers in order, and {name!r} is of type {column.type}; partial_dependence takes words."
            )
        values = column.cast(pa.float64()).to_numpy()
        values = values[np.isfinite(values)]
        # Limits are values that there are, so that whole numbers stay whole.
        edges = (
            np.unique(np.quantile(values, np.linspace(0, 1, bins + 1), method="inverted_cdf"))
            if len(values)
            else values
        )
        if len(edges) < 2:
            raise DataError(f"Column {name!r} has one value only, and no effect to accumulate.")
        found[name] = edges
    return found


def is_number(kind: pa.DataType) -> bool:
    """Whether a type is of numbers that have an order and distances."""
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))
