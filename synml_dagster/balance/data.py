"""How balanced a table is: one grouped count by Spark, everything else in closed form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import prod, sqrt
from typing import TYPE_CHECKING, Any, Literal

from synml_dagster.balance.association import association
from synml_dagster.balance.changes import changes_of
from synml_dagster.balance.counts import MOST_VALUES, CellCounts, count_cells, in_order
from synml_dagster.balance.distribution import aggregate, checked_reference, distribution_distance
from synml_dagster.balance.intervals import mean_interval, welch, wilson
from synml_dagster.balance.result import (
    AggregateBalance,
    DataBalance,
    DistributionBalance,
    GroupBalance,
    PairBalance,
)
from synml_dagster.errors import ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_MOST_CLASSES = 50


def data_balance(
    df: DataFrame,
    columns: Sequence[str],
    *,
    label: str | None = None,
    task: Literal["classes", "regression"] = "classes",
    classes: Sequence[str] | None = None,
    positive: str | None = None,
    reference: Mapping[str, Mapping[str, float]] | None = None,
    bins: Mapping[str, Sequence[float]] | None = None,
    epsilon: float = 1.0,
    most_values: int = MOST_VALUES,
) -> DataBalance:
    """Measure how rows are spread over groups, and over the label in each group; one pass over the table.

    Rows count the same, whatever their weight.

    Parameters
    ----------
    df
        The rows, classic or Connect.
    columns
        The sensitive columns; see `count_cells` for what they may be. They need not be features.
    label
        The column to predict; without it distributions and aggregates alone are measured. Rows without a label are
        left out and counted.
    task
        `classes`: shares of each class by group, association measures and gaps between all pairs of groups.
        `regression`: means by group.
    classes
        Names by index, where the label holds indices 0..k-1.
    positive
        The one class to measure; of two classes the second in order when None, of more each against the rest.
    reference
        Column -> share by group to compare with; uniform for columns that are not named.
    bins
        Column -> increasing limits of its groups, for numbers.
    epsilon
        Of Atkinson's index.
    most_values
        How many values a sensitive column may have.

    Raises
    ------
    ConfigError
        A column is not there or has no groups, or an option does not go with the table.
    DataError
        There are no rows, or a sensitive column has one value only or too many.

    Examples
    --------
    >>> found = data_balance(rows, ["sex", "race"], label="income")  # doctest: +SKIP
    >>> found.to_pandas("pairs")  # doctest: +SKIP
    """
    from pyspark.sql import functions as sf

    from synml_dagster.spark.quoting import quoted

    if label is not None and label not in df.columns:
        raise ConfigError(f"balance: the table has no label {label!r}.{did_you_mean(label, df.columns)}")
    if label is not None and label in columns:
        raise ConfigError(f"balance: {label!r} is the label; name other columns as sensitive.")
    for name in reference or {}:
        if name not in columns:
            raise ConfigError(
                f"balance: reference names {name!r}, which is no sensitive column.{did_you_mean(name, columns)}"
            )
    outcomes: dict[str, Any] = {}
    sums: dict[str, Any] = {}
    if label is not None and task == "regression":
        value = sf.col(quoted(label)).cast("double")
        value = sf.when((value > float("-inf")) & (value < float("inf")), value)  # NaN is above infinity
        outcomes = {"known": value.isNotNull()}
        sums = {"y": sf.coalesce(value, sf.lit(0.0))}
    elif label is not None:
        outcomes = {"label": sf.col(quoted(label)).cast("string")}
    cells = count_cells(df, columns, outcomes=outcomes, sums=sums, bins=bins, most_values=most_values)
    return balance_of(
        cells,
        label=label,
        task=task,
        classes=classes,
        positive=positive,
        reference=reference,
        epsilon=epsilon,
    )


def balance_of(
    cells: CellCounts,
    *,
    label: str | None,
    task: str,
    classes: Sequence[str] | None = None,
    positive: str | None = None,
    reference: Mapping[str, Mapping[str, float]] | None = None,
    epsilon: float = 1.0,
) -> DataBalance:
    """Return what follows from counts; the arguments are those of `data_balance`."""
    counted = cells
    outcome = None if label is None else "known" if task == "regression" else "label"
    if outcome is not None:
        there = cells.table["known"] if outcome == "known" else cells.table["label"].notna()
        counted = CellCounts(
            cells.columns, cells.table[there.astype(bool)].reset_index(drop=True), cells.numeric
        )
        if not counted.rows:
            raise DataError(f"balance: no row has a label in {label!r}.")
    found = DataBalance(
        columns=list(cells.columns),
        rows=counted.rows,
        unlabelled=cells.rows - counted.rows,
        task=None if label is None else task,
        label=label,
    )
    _distributions(found, counted, reference or {}, epsilon)
    if task == "regression" and label is not None:
        _means(found, counted)
    elif label is not None:
        names = _named(counted, label, classes, positive)
        found.classes = list(names.values())
        for value, name in names.items():
            _class(found, counted, value, name)
        found.changes.sort(key=lambda c: (c.gap_after - c.gap_before, c.column, c.group, c.label))
    if found.unlabelled:
        found.notes.append(f"{found.unlabelled:,} rows without a label are left out.")
    return found


def _named(
    cells: CellCounts, label: str, classes: Sequence[str] | None, positive: str | None
) -> dict[str, str]:
    """The classes to measure: value in the table -> name."""
    seen = sorted(cells.table["label"].unique().tolist(), key=in_order)
    names = {v: v for v in seen}
    if classes is not None:
        names = {str(i): str(name) for i, name in enumerate(classes)}
        if strange := [v for v in seen if v not in names]:
            raise DataError(f"balance: the label {label!r} holds {strange[0]!r}, which is no class index.")
    if positive is not None:
        chosen = {v: name for v, name in names.items() if name == str(positive)}
        if not chosen:
            raise ConfigError(
                f"balance: the label {label!r} has no class {positive!r}.{did_you_mean(str(positive), names.values())}"
            )
        return chosen
    if len(names) == 1:
        raise DataError(
            f"balance: all rows are of class {seen[0]!r} of {label!r}; there is no share to compare. Leave the label out, or bring rows of the others."
        )
    if len(names) > _MOST_CLASSES:
        raise DataError(
            f"balance: the label {label!r} has {len(names):,} values; say task='regression' where it is a number, or name one class as positive."
        )
    return dict([list(names.items())[1]]) if len(names) == 2 else names


def _distributions(
    found: DataBalance, cells: CellCounts, reference: Mapping[str, Mapping[str, float]], epsilon: float
) -> None:
    for column in cells.columns:
        table = cells.by([column])
        rows = {g[0]: int(n) for g, n in zip(table["group"], table["rows"], strict=True)}
        wanted = None
        if column in reference:
            wanted = checked_reference(column, reference[column], list(rows))
            rows |= {g: 0 for g in wanted if g not in rows}
        groups = list(rows)
        expected, measures, reasons = distribution_distance(
            groups, list(rows.values()), wanted, numeric=column in cells.numeric
        )
        total = sum(rows.values())
        found.distributions.append(
            DistributionBalance(
                column=column,
                reference="uniform" if wanted is None else "given",
                groups=groups,
                shares=[n / total for n in rows.values()],
                expected=expected,
                measures=measures,
                reasons=reasons,
            )
        )
    together = cells.by(cells.columns)["rows"].to_numpy()
    possible = prod(cells.table[f"g{i}"].nunique() for i in range(len(cells.columns)))
    found.aggregates.append(
        AggregateBalance(
            columns=list(cells.columns),
            cells=len(together),
            empty=possible - len(together),
            measures=aggregate(together, epsilon),
        )
    )


def _class(found: DataBalance, cells: CellCounts, value: str, name: str) -> None:
    n = cells.rows
    n_y = int(cells.table.loc[cells.table["label"] == value, "rows"].sum())
    for column in cells.columns:
        whole = cells.by([column])
        inside = cells.by([column], "label")
        hits = {
            g[0]: int(r)
            for g, v, r in zip(inside["group"], inside["label"], inside["rows"], strict=True)
            if v == value
        }
        groups: list[GroupBalance] = []
        for (group,), rows in zip(whole["group"], whole["rows"], strict=True):
            n_x, n_xy = int(rows), hits.get(group, 0)
            measures, reasons = association(n, n_x, n_y, n_xy)
            low, high = wilson(n_xy, n_x)
            groups.append(
                GroupBalance(
                    column=column,
                    group=group,
                    label=name,
                    rows=n_x,
                    of_class=n_xy,
                    low=low,
                    high=high,
                    measures=measures,
                    reasons=reasons,
                )
            )
        found.groups += groups
        for a, b in combinations(groups, 2):
            found.pairs.append(_pair(a, b))
        found.changes += changes_of(column, name, [(g.group, g.rows, g.of_class or 0) for g in groups])


def _pair(a: GroupBalance, b: GroupBalance) -> PairBalance:
    gaps: dict[str, float | None] = {}
    reasons: dict[str, str] = {}
    for measure, value in a.measures.items():
        other = b.measures[measure]
        if value is None or other is None:
            gaps[measure] = None
            who = a if value is None else b
            reasons[measure] = f"{who.group}: {who.reasons[measure]}"
        else:
            gaps[measure] = value - other
    sides = []
    for one in (a, b):
        p = (one.of_class or 0) / one.rows
        # The variance of a column of zeros and ones, over n - 1.
        sides += [p, p * (1 - p) * one.rows / max(one.rows - 1, 1), one.rows]
    test = welch(*sides)
    if test is None:
        reasons["t"] = "a group has one row, or all rows of both groups are alike"
    return PairBalance(
        column=a.column,
        group_a=a.group,
        group_b=b.group,
        label=a.label,
        gaps=gaps,
        t=None if test is None else test[0],
        p_value=None if test is None else test[1],
        reasons=reasons,
    )


def _means(found: DataBalance, cells: CellCounts) -> None:
    for column in cells.columns:
        table = cells.by([column])
        groups: list[GroupBalance] = []
        for (group,), n, y, squares in zip(
            table["group"], table["rows"], table["sum_y"], table["m2_y"], strict=True
        ):
            n, mean = int(n), float(y) / n
            variance = float(squares) / (n - 1) if n > 1 else None
            low, high = mean_interval(mean, variance, n) if variance is not None else (None, None)
            groups.append(
                GroupBalance(
                    column=column,
                    group=group,
                    rows=n,
                    mean=mean,
                    deviation=None if variance is None else sqrt(variance),
                    low=low,
                    high=high,
                    reasons={} if variance is not None else {"deviation": "the group has one row"},
                )
            )
        found.groups += groups
        for a, b in combinations(groups, 2):
            test = None
            if a.deviation is not None and b.deviation is not None:
                test = welch(a.mean or 0.0, a.deviation**2, a.rows, b.mean or 0.0, b.deviation**2, b.rows)
            found.pairs.append(
                PairBalance(
                    column=column,
                    group_a=a.group,
                    group_b=b.group,
                    gaps={"mean": (a.mean or 0.0) - (b.mean or 0.0)},
                    t=None if test is None else test[0],
                    p_value=None if test is None else test[1],
                    reasons={}
                    if test
                    else {"t": "a group has one row, or all rows of both groups are alike"},
                )
            )
