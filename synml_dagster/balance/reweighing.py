"""Reweighing: weights under which group and class are independent in the training rows (Kamiran and Calders 2012)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from synml_dagster.balance.counts import MISSING, MOST_VALUES, count_cells, group_word
from synml_dagster.errors import ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_MOST_WEIGHTS = 2_000


def reweighed(
    df: DataFrame,
    columns: Sequence[str],
    label: str,
    *,
    weight: str = "balance_weight",
    bins: Mapping[str, Sequence[float]] | None = None,
    most_values: int = MOST_VALUES,
) -> DataFrame:
    """Return `df` with a column of weights, P(group) P(class) / P(group, class): a pipeline's `weight`.

    With the weights every group that has rows of each class has the table's own share of them, and where all groups are
    such the weights add up to the number of rows. Groups are those of all the columns together. Rows without a label weigh nothing. One pass counts; the weights
    are an expression of the plan, without a join.

    Parameters
    ----------
    df
        The rows, classic or Connect.
    columns
        The sensitive columns.
    label
        The column of classes.
    weight
        Name of the new column, a double.
    bins, most_values
        As for `count_cells`.

    Raises
    ------
    ConfigError
        A column is not there, or there is one called `weight` already.
    DataError
        There are no rows, or a column has one value only or too many.

    Examples
    --------
    >>> rows = reweighed(rows, ["sex", "race"], "income")  # doctest: +SKIP
    >>> MLPipeline(name="adult", source="adult_reweighed", label="income", weight="balance_weight")  # doctest: +SKIP
    """
    if weight in df.columns:
        raise ConfigError(f"balance: the table has a column {weight!r} already; name the weights otherwise.")
    value = reweighing(df, columns, label, bins=bins, most_values=most_values)
    return df.withColumn(weight, value)


def reweighing(
    df: DataFrame,
    columns: Sequence[str],
    label: str,
    *,
    bins: Mapping[str, Sequence[float]] | None = None,
    most_values: int = MOST_VALUES,
) -> Column:
    """Return the weights of `reweighed` as an expression of the columns of `df`; the arguments are the same."""
    from pyspark.sql import functions as sf

    from synml_dagster.spark.quoting import quoted

    if label not in df.columns:
        raise ConfigError(f"balance: the table has no label {label!r}.{did_you_mean(label, df.columns)}")
    if label in columns:
        raise ConfigError(f"balance: {label!r} is the label; name other columns as sensitive.")
    truth = sf.col(quoted(label)).cast("string")
    cells = count_cells(df, columns, outcomes={"label": truth}, bins=bins, most_values=most_values)
    table = cells.by(columns, "label")  # rows without a label are in no class
    if not len(table):
        raise DataError(f"balance: no row has a label in {label!r}.")
    if len(table) > _MOST_WEIGHTS:
        raise DataError(
            f"balance: the groups and classes have {len(table):,} combinations, and at most {_MOST_WEIGHTS:,} get a weight. Name fewer columns."
        )
    n = table["rows"].sum()
    in_group = table.groupby("group")["rows"].transform("sum")
    in_class = table.groupby("label")["rows"].transform("sum")
    weights = in_group * in_class / (n * table["rows"])
    keys = ["\x1f".join([*group, word]) for group, word in zip(table["group"], table["label"], strict=True)]
    words = [sf.coalesce(group_word(df, c, (bins or {}).get(c)), sf.lit(MISSING)) for c in columns]
    key = sf.concat_ws("\x1f", *words, truth)
    known = sf.map_from_arrays(
        sf.array(*(sf.lit(k) for k in keys)), sf.array(*(sf.lit(float(w)) for w in weights))
    )
    return sf.when(truth.isNull(), sf.lit(0.0)).otherwise(sf.try_element_at(known, key))
