"""The one pass over the table: how many rows there are by group, and by what was true and what was answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from synml_dagster.errors import ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import Column, DataFrame

MISSING = "(missing)"
"""The group of the rows without a value."""

MOST_VALUES = 50
"""Values of a sensitive column beyond which its groups are refused."""

_MOST_CELLS = 500_000
NUMBERS = ("tinyint", "smallint", "int", "bigint", "float", "double", "decimal")
NO_GROUPS = ("array", "map", "struct", "binary", "variant")


@dataclass(frozen=True, eq=False)
class CellCounts:
    """Rows by every combination of sensitive values and outcomes that there is.

    Attributes
    ----------
    columns
        The sensitive columns, in order.
    table
        One row a combination: a column of words `g0`, `g1`, ... by sensitive column, the outcomes that were asked for,
        `rows`, and of each value that was asked for its `sum_` and `m2_`, the sum of squares about the cell's mean.
    numeric
        Those of `columns` whose values are numbers, which have an order and distances.
    """

    columns: tuple[str, ...]
    table: pd.DataFrame
    numeric: frozenset[str]

    @property
    def rows(self) -> int:
        """All rows that were counted."""
        return int(self.table["rows"].sum())

    def by(self, columns: Sequence[str], *outcomes: str) -> pd.DataFrame:
        """Return rows and sums by some of the columns and outcomes: a `group` of words, the outcomes, `rows`, `sum_`, `m2_`."""
        keys = [*(f"g{self.columns.index(c)}" for c in columns), *outcomes]
        values = [c.removeprefix("sum_") for c in self.table.columns if c.startswith("sum_")]
        added = ["rows", *(f"sum_{v}" for v in values), *(f"m2_{v}" for v in values)]
        grouped = self.table.groupby(keys, sort=True)
        found = grouped[added].sum()
        for value in values:
            # Squares about each cell's own mean, moved to the mean of all cells (Chan et al. 1979): no cancellation.
            mean = grouped[f"sum_{value}"].transform("sum") / grouped["rows"].transform("sum")
            off = self.table[f"sum_{value}"] / self.table["rows"] - mean
            between = (self.table["rows"] * off**2).groupby([self.table[k] for k in keys], sort=True).sum()
            found[f"m2_{value}"] += between.to_numpy()
        found = found.reset_index()
        found.insert(0, "group", list(zip(*(found[k] for k in keys[: len(columns)]), strict=True)))
        return found.drop(columns=keys[: len(columns)])


def count_cells(
    df: DataFrame,
    columns: Sequence[str],
    *,
    outcomes: Mapping[str, Column] | None = None,
    sums: Mapping[str, Column] | None = None,
    bins: Mapping[str, Sequence[float]] | None = None,
    most_values: int = MOST_VALUES,
) -> CellCounts:
    """Count rows by all combinations of sensitive columns and outcomes, in one Spark job.

    Marginals and intersections of any of the columns follow from the counts on the driver, so that five columns cost one
    pass as one column does. Only counts leave the cluster, at most half a million of them.

    Parameters
    ----------
    df
        The rows.
    columns
        The sensitive columns. A missing value is a group of its own.
    outcomes
        What else rows are told apart by: name -> expression.
    sums
        What is added up in each cell: name -> expression, never null.
    bins
        Column -> increasing limits of its groups, for numbers such as ages.
    most_values
        How many values a sensitive column may have.

    Raises
    ------
    ConfigError
        A column is not there, is named twice, or is of a type that has no groups; limits do not go with it.
    DataError
        There are no rows, or a column has one value only or more than `most_values`.
    """
    from pyspark.sql import functions as sf

    from synml_dagster.spark.task_errors import typed_errors

    bins = dict(bins or {})
    check_sensitive(dict(df.dtypes), columns, bins)
    keys = {f"g{i}": group_word(df, name, bins.get(name)) for i, name in enumerate(columns)}
    outcomes, sums = dict(outcomes or {}), dict(sums or {})
    grouped = (
        df.select(
            *(c.alias(k) for k, c in keys.items()),
            *(c.alias(k) for k, c in outcomes.items()),
            *(c.alias(f"sum_{k}") for k, c in sums.items()),
        )
        .groupBy(*keys, *outcomes)
        .agg(
            sf.count(sf.lit(1)).alias("rows"),
            *(sf.sum(f"sum_{k}").alias(f"sum_{k}") for k in sums),
            *((sf.var_pop(f"sum_{k}") * sf.count(sf.lit(1))).alias(f"m2_{k}") for k in sums),
        )
        .limit(_MOST_CELLS + 1)
    )
    with typed_errors():
        table = grouped.toArrow().to_pandas()
    if not len(table):
        raise DataError("There are no rows to count by group: the table is empty, or no row has a label.")
    for key in keys:
        table[key] = table[key].fillna(MISSING).astype(object)
    if len(table) > _MOST_CELLS:
        spread = ", ".join(f"{name!r} {table[f'g{i}'].nunique():,}" for i, name in enumerate(columns))
        raise DataError(
            f"balance: the sensitive columns have more than {_MOST_CELLS:,} combinations (values seen: {spread}). "
            "Name fewer columns, or give numbers limits with `bins`."
        )
    for i, name in enumerate(columns):
        check_values(name, table[f"g{i}"].nunique(), most_values, str(table[f"g{i}"].iloc[0]))
    types = dict(df.dtypes)
    numeric = {n for n in columns if n not in bins and types[n].startswith(NUMBERS)}
    return CellCounts(tuple(columns), table, frozenset(numeric))


def check_sensitive(
    types: Mapping[str, str], columns: Sequence[str], bins: Mapping[str, Sequence[float]]
) -> None:
    """Refuse sensitive columns that a table of these types does not have, or that have no groups.

    Raises
    ------
    ConfigError
        See `count_cells`.
    """
    if not columns:
        raise ConfigError("balance: name at least one sensitive column.")
    for name in columns:
        if name not in types:
            raise ConfigError(
                f"balance: the table has no sensitive column {name!r}.{did_you_mean(name, types)}"
            )
        if list(columns).count(name) > 1:
            raise ConfigError(f"balance: the sensitive column {name!r} is named twice; keep one.")
        if types[name].startswith(NO_GROUPS):
            raise ConfigError(
                f"balance: the sensitive column {name!r} is of type {types[name]}, whose values are no groups; name a column of words, numbers or booleans."
            )
    for name, limits in bins.items():
        if name not in columns:
            raise ConfigError(
                f"balance: bins names {name!r}, which is no sensitive column.{did_you_mean(name, columns)}"
            )
        if not types[name].startswith(NUMBERS):
            raise ConfigError(
                f"balance: bins gives {name!r} limits, and its values are no numbers but {types[name]}."
            )
        if not limits or any(b <= a for a, b in pairwise(limits)):
            raise ConfigError(f"balance: the limits of {name!r} must increase but got {list(limits)}.")


def check_values(name: str, values: int, most: int, example: str) -> None:
    """Refuse a sensitive column of one value, or of too many.

    Raises
    ------
    DataError
    """
    if values < 2:
        raise DataError(
            f"balance: the sensitive column {name!r} has one value only ({example!r}) in these rows; there are no groups to compare. Leave it out."
        )
    if values > most:
        raise DataError(
            f"balance: the sensitive column {name!r} has {values:,} values and at most {most} groups are compared. "
            "Give a number limits with `bins`, or name a coarser column."
        )


def group_word(df: DataFrame, name: str, limits: Sequence[float] | None) -> Column:
    """Return the words of a column's groups, null where it is missing."""
    from pyspark.sql import functions as sf

    from synml_dagster.spark.quoting import quoted

    column = sf.col(quoted(name))
    kind = dict(df.dtypes)[name]
    if kind in ("float", "double"):
        column = sf.when(~sf.isnan(column), column)
    if limits is None:
        return column.cast("string")
    words = [f"< {limits[0]:g}", *(f"{a:g} to < {b:g}" for a, b in pairwise(limits))]
    chosen = sf.when(column.isNull(), sf.lit(None).cast("string"))
    for limit, word in zip(limits, words, strict=True):
        chosen = chosen.when(column < limit, sf.lit(word))
    return chosen.otherwise(sf.lit(f">= {limits[-1]:g}"))


def in_order(word: str) -> tuple[int, float, str]:
    """Return a key that sorts classes as plans do: numbers by their value, words by their characters."""
    try:
        return 0, float(word), word
    except ValueError:
        return 1, 0.0, word
