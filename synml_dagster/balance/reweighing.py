"""Reweighing: weights under which group and class are independent in the training rows (Kamiran and Calders 2012)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from synml_dagster.balance.counts import MISSING, MOST_VALUES, CellCounts, count_cells, group_word
from synml_dagster.errors import ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import Column, DataFrame

_MOST_WEIGHTS = 2_000
_BETWEEN = "\x1f"
_SHOWN = 5


class ReweighedCell(BaseModel):
    """The rows of one group and one class, and what each of them weighs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    group: list[str] = Field(description="The value of each sensitive column.")
    label: str
    rows: int = Field(description="Training rows.")
    weight: float = Field(description="What each of the rows counts in training, beside a weight of its own.")


class Reweighing(BaseModel):
    """Weights by group and class, learned on some rows: P(group) P(class) / P(group, class)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: list[str] = Field(description="The sensitive columns, whose values together make a group.")
    bins: dict[str, list[float]] = Field(default_factory=dict)
    rows: int = Field(description="Rows that the weights were learned on.")
    cells: list[ReweighedCell]
    notes: list[str] = Field(default_factory=list)

    @property
    def lowest(self) -> float:
        """The smallest weight."""
        return min(c.weight for c in self.cells)

    @property
    def highest(self) -> float:
        """The largest weight."""
        return max(c.weight for c in self.cells)

    def group_key(self, df: DataFrame) -> Column:
        """Return the group of each row of a table with the sensitive columns, as one word."""
        return _group_key(df, self.columns, self.bins)

    def factor(self, group: Column, label: Column) -> Column:
        """Return the weight of each row by its `group_key` and class; 1 where no row of the two was seen."""
        from pyspark.sql import functions as sf

        key = sf.concat_ws(_BETWEEN, group, label)
        return sf.coalesce(
            _looked_up([_key(c.group, c.label) for c in self.cells], self.weights, key), sf.lit(1.0)
        )

    @property
    def weights(self) -> list[float]:
        """The weights of the cells, in their order."""
        return [c.weight for c in self.cells]

    def said(self) -> str:
        """Return in one sentence what is weighed and how far."""
        groups = len({tuple(c.group) for c in self.cells})
        return (
            f"each training row counts by its group of {' & '.join(self.columns)} and its class, {self.lowest:.3g} to {self.highest:.3g}, "
            f"so that all {groups} groups have the same share of each class"
        )


def learn_reweighing(
    df: DataFrame,
    columns: Sequence[str],
    label: str,
    *,
    weight: str | None = None,
    training: Column | None = None,
    bins: Mapping[str, Sequence[float]] | None = None,
    most_values: int = MOST_VALUES,
) -> Reweighing:
    """Learn what rows have to weigh for group and class to be independent, in one pass.

    Parameters
    ----------
    df
        The rows, classic or Connect; those without a label do not count.
    columns
        The sensitive columns; groups are those of all of them together.
    label
        The column of classes.
    weight
        A column of weights that the rows have already: shares are of it, so that the product of both is balanced.
    training
        Which rows to learn on, all of them where None. Groups and classes that only other rows have are told in `notes`.
    bins, most_values
        As for `count_cells`.

    Raises
    ------
    ConfigError
        A column is not there or has no groups.
    DataError
        A column has one value only or too many, or a group has no row of a class: no weight makes up for rows that are not there.
    """
    from pyspark.sql import functions as sf

    from synml_dagster.spark.quoting import quoted

    truth = _truth(df, columns, label)
    side = sf.lit(True) if training is None else training
    own: Column = sf.lit(1.0) if weight is None else sf.col(quoted(weight)).cast("double")
    counted = count_cells(
        df.where(truth.isNotNull()),
        columns,
        outcomes={"label": truth, "training": side},
        sums={"weight": own},
        bins=bins,
        most_values=most_values,
    )
    told = counted.by(columns, "label", "training")
    cells = told[told["training"].astype(bool)].reset_index(drop=True)
    _check_cells(cells, columns, weight)
    cells["factor"] = _weights(cells, "sum_weight")
    known = {(*g, c) for g, c in zip(cells["group"], cells["label"], strict=True)}
    return Reweighing(
        columns=list(columns),
        bins={name: list(limits) for name, limits in (bins or {}).items() if name in columns},
        rows=int(cells["rows"].sum()),
        cells=[
            ReweighedCell(group=list(c.group), label=c.label, rows=int(c.rows), weight=float(c.factor))
            for c in cells.itertuples()
        ],
        notes=_unknown(told[~told["training"].astype(bool)], known),
    )


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
    are an expression of the plan, without a join. A pipeline learns such weights on its training rows by itself, with `balance: {reweigh: true}`.

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

    truth = _truth(df, columns, label)
    counted: CellCounts = count_cells(
        df, columns, outcomes={"label": truth}, bins=bins, most_values=most_values
    )
    table = counted.by(columns, "label")  # rows without a label are in no class
    if not len(table):
        raise DataError(f"balance: no row has a label in {label!r}.")
    _check_number(table)
    keys = [_key(group, word) for group, word in zip(table["group"], table["label"], strict=True)]
    key = sf.concat_ws(_BETWEEN, _group_key(df, columns, bins), truth)
    weights = [float(w) for w in _weights(table, "rows")]
    return sf.when(truth.isNull(), sf.lit(0.0)).otherwise(_looked_up(keys, weights, key))


def _truth(df: DataFrame, columns: Sequence[str], label: str) -> Column:
    from pyspark.sql import functions as sf

    from synml_dagster.spark.quoting import quoted

    if label not in df.columns:
        raise ConfigError(f"balance: the table has no label {label!r}.{did_you_mean(label, df.columns)}")
    if label in columns:
        raise ConfigError(f"balance: {label!r} is the label; name other columns as sensitive.")
    return sf.col(quoted(label)).cast("string")


def _weights(table: pd.DataFrame, size: str) -> pd.Series[float]:
    """Return P(group) P(class) / P(group, class) of each line, shares by the column `size`."""
    in_group = table.groupby("group")[size].transform("sum")
    in_class = table.groupby("label")[size].transform("sum")
    return in_group * in_class / (table[size].sum() * table[size])


def _check_number(table: pd.DataFrame) -> None:
    if len(table) > _MOST_WEIGHTS:
        raise DataError(
            f"balance: the groups and classes have {len(table):,} combinations, and at most {_MOST_WEIGHTS:,} get a weight. Name fewer columns."
        )


def _check_cells(cells: pd.DataFrame, columns: Sequence[str], weight: str | None) -> None:
    """Refuse groups that no weight can balance."""
    if not len(cells):
        raise DataError("balance.reweigh: there is no training row to learn weights on.")
    _check_number(cells)
    named = " & ".join(columns)
    groups, classes = sorted(set(cells["group"])), sorted(set(cells["label"]))
    if len(groups) < 2:
        raise DataError(
            f"balance.reweigh: all training rows are of one group of {named} ({' & '.join(groups[0])!r}), and there is nothing to balance. Leave reweigh out."
        )
    there = {(g, c): w for g, c, w in zip(cells["group"], cells["label"], cells["sum_weight"], strict=True)}
    empty = [(g, c) for g in groups for c in classes if not there.get((g, c))]
    if empty:
        shown = "; ".join(f"{' & '.join(g)} with {c!r}" for g, c in empty[:_SHOWN])
        more = f" and {len(empty) - _SHOWN} more" if len(empty) > _SHOWN else ""
        why = "have no training row" if weight is None else "have no training row that weighs anything"
        raise DataError(
            f"balance.reweigh: {len(empty)} of the {len(groups) * len(classes)} groups of {named} by class {why} ({shown}{more}), and no weight makes up for rows that are not there. "
            "Name fewer columns in balance.reweigh, join groups by balance.bins or in the source, or bring such rows."
        )


def _unknown(others: pd.DataFrame, known: set[tuple[str, ...]]) -> list[str]:
    """Say which rows beside the training rows have no weight to look up."""
    new = [
        (" & ".join(g) + f" with {c!r}", int(n))
        for g, c, n in zip(others["group"], others["label"], others["rows"], strict=True)
        if (*g, c) not in known
    ]
    if not new:
        return []
    shown = ", ".join(name for name, _ in new[:_SHOWN])
    return [
        f"{sum(n for _, n in new):,} rows beside the training rows are of a group that these do not have ({shown}{' ...' if len(new) > _SHOWN else ''}), and count as they are"
    ]


def _group_key(df: DataFrame, columns: Sequence[str], bins: Mapping[str, Sequence[float]] | None) -> Column:
    from pyspark.sql import functions as sf

    words = [sf.coalesce(group_word(df, c, (bins or {}).get(c)), sf.lit(MISSING)) for c in columns]
    return sf.concat_ws(_BETWEEN, *words)


def _key(group: Sequence[str], label: str) -> str:
    return _BETWEEN.join([*group, label])


def _looked_up(keys: Sequence[str], weights: Sequence[float], key: Column) -> Column:
    from pyspark.sql import functions as sf

    known = sf.map_from_arrays(sf.array(*map(sf.lit, keys)), sf.array(*map(sf.lit, weights)))
    return sf.try_element_at(known, key)
