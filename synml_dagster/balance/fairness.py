"""How a model's answers differ between groups: rates, errors and calibration by group, from one grouped count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import sqrt
from typing import TYPE_CHECKING, Any

from synml_dagster.balance.counts import MOST_VALUES, CellCounts, count_cells, in_order
from synml_dagster.balance.disparities import disparities_of
from synml_dagster.balance.intervals import mean_interval, wilson
from synml_dagster.balance.result import CalibrationBin, Fairness, GroupRates, Rate
from synml_dagster.errors import ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

_BINS = 10
TASKS = ("binary", "multiclass", "regression")


def prediction_fairness(
    scored: DataFrame,
    columns: Sequence[str],
    *,
    task: str,
    label: str = "__label",
    prediction: str = "prediction",
    probability: str | None = "probability",
    classes: Sequence[str] | None = None,
    positive: str | None = None,
    threshold: float = 0.5,
    intersections: Sequence[Sequence[str]] | None = None,
    minimum: int = 30,
    bins: Mapping[str, Sequence[float]] | None = None,
    most_values: int = MOST_VALUES,
) -> Fairness:
    """Measure a scored table by group; one pass over it. Rows count the same, whatever their weight.

    Parameters
    ----------
    scored
        One row per labelled row, with the sensitive columns.
    columns
        The sensitive columns; they need not be features.
    task
        "binary", "multiclass" (each class against the rest) or "regression".
    label
        The class index 0..k-1, or the class in words where `classes` is None; the number of a regression.
    prediction
        The number predicted; or the class, of several where there are no probabilities.
    probability
        Binary: the probability of the positive class. Multiclass: an array by class. Where the table has no such column,
        or it is None, answers are those of `prediction`.
    classes
        Names by class index.
    positive
        The class to measure; the second of two when None, each of more.
    threshold
        Binary: the probability from which on a row is selected.
    intersections
        Sets of sensitive columns whose combined groups are measured too; all pairs when None.
    minimum
        Groups of fewer rows are shown and not compared.
    bins, most_values
        As for `count_cells`.

    Raises
    ------
    ConfigError
        A column is not there, or an option does not go with the task.
    DataError
        There are no rows, a row has no label or no answer, or a sensitive column has one value only or too many.
    """
    if task not in TASKS:
        raise ConfigError(
            f"balance: fairness of answers is measured for {', '.join(TASKS)}, and the task is {task!r}."
        )
    together = sets_of(columns, intersections)
    there = set(scored.columns)
    if probability is not None and probability not in there:
        probability = None
    for name in [label, *([] if probability and task != "regression" else [prediction])]:
        if name not in there:
            raise ConfigError(f"balance: the scored table has no column {name!r}.{did_you_mean(name, there)}")
    outcomes, sums = _asked(task, label, prediction, probability, threshold, positive, classes)
    cells = count_cells(scored, columns, outcomes=outcomes, sums=sums, bins=bins, most_values=most_values)
    bad = ~cells.table["sound"].fillna(False).astype(bool)
    if lost := int(cells.table.loc[bad, "rows"].sum()):
        raise DataError(
            f"balance: {lost:,} of {cells.rows:,} scored rows have no label or no answer to compare (missing, NaN or outside its range)."
        )
    found = Fairness(
        columns=list(columns),
        rows=cells.rows,
        task=task,
        threshold=threshold if task == "binary" and probability else None,
        minimum=minimum,
    )
    if task == "regression":
        for wanted in together:
            found.groups += [_errors(row, wanted, minimum) for row in _rows(cells.by(wanted))]
    else:
        names = _class_names(cells, classes, task, positive)
        found.classes = list(names.values())
        for value, name in names.items():
            for wanted in together:
                found.groups += _rates(
                    cells, wanted, value, name, minimum, bool(probability) and task == "binary"
                )
    found.disparities = disparities_of(found.groups)
    if small := sum(g.small for g in found.groups):
        found.notes.append(
            f"{small:,} groups have fewer than {minimum:,} rows; they are shown and not compared."
        )
    return found


def sets_of(columns: Sequence[str], intersections: Sequence[Sequence[str]] | None) -> list[list[str]]:
    """Return each column alone, then the sets of columns whose groups are combined.

    Raises
    ------
    ConfigError
        A set names one column only, or a column that is not sensitive.
    """
    if intersections is None:
        chosen = [list(pair) for pair in combinations(columns, 2)]
    else:
        chosen = [list(one) for one in intersections]
    for one in chosen:
        for name in one:
            if name not in columns:
                raise ConfigError(
                    f"balance: intersections names {name!r}, which is no sensitive column.{did_you_mean(name, columns)}"
                )
        if len(set(one)) < 2 or len(set(one)) < len(one):
            raise ConfigError(f"balance: an intersection is of two columns or more but got {one}.")
    return [*([c] for c in columns), *chosen]


def _asked(
    task: str,
    label: str,
    prediction: str,
    probability: str | None,
    threshold: float,
    positive: str | None,
    classes: Sequence[str] | None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What rows are told apart by beside their groups, and what is added up."""
    from pyspark.sql import functions as sf

    from synml_dagster.spark.quoting import quoted

    def number(name: str) -> Any:
        value = sf.col(quoted(name)).cast("double")
        return sf.when((value > float("-inf")) & (value < float("inf")), value)

    y: Any = sf.col(quoted(label))
    if task == "regression":
        y, p = number(label), number(prediction)
        sound = y.isNotNull() & p.isNotNull()
        zero = sf.lit(0.0)
        return {"sound": sound}, {
            "y": sf.when(sound, y).otherwise(zero),
            "p": sf.when(sound, p).otherwise(zero),
            "error": sf.when(sound, p - y).otherwise(zero),
            "size": sf.when(sound, sf.abs(p - y)).otherwise(zero),
        }
    truth = y.cast("string")
    if probability is None:
        answer = sf.col(quoted(prediction)).cast("string")
        return {"truth": truth, "answer": answer, "sound": truth.isNotNull() & answer.isNotNull()}, {}
    if task == "multiclass":
        p = sf.col(quoted(probability))
        best = sf.array_position(p, sf.array_max(p)) - 1
        answer = sf.when(~sf.exists(p, lambda v: v.isNull() | sf.isnan(v)), best).cast("string")
        return {"truth": truth, "answer": answer, "sound": truth.isNotNull() & answer.isNotNull()}, {}
    p = number(probability)
    sound = truth.isNotNull() & sf.coalesce((p >= 0) & (p <= 1), sf.lit(False))
    return (
        {
            "truth": truth,
            "answer": (p >= threshold).cast("string"),
            "bin": sf.least(sf.floor(p * _BINS), sf.lit(_BINS - 1)),
            "sound": sound,
        },
        {"p": sf.when(sound, p).otherwise(sf.lit(0.0))},
    )


def _class_names(
    cells: CellCounts, classes: Sequence[str] | None, task: str, positive: str | None
) -> dict[str, str]:
    """The classes to measure: value in the table -> name."""
    seen = sorted(cells.table["truth"].unique().tolist(), key=in_order)
    names = {v: v for v in seen}
    if classes is not None:
        names = {str(i): str(c) for i, c in enumerate(classes)}
        words = {str(c): str(c) for c in classes}
        if not set(seen) <= set(names) and set(seen) <= set(words):
            names = words  # the label is in words after all
        if strange := [v for v in seen if v not in names]:
            raise DataError(f"balance: the label holds {strange[0]!r}, which is none of the classes.")
    if positive is not None:
        chosen = {v: n for v, n in names.items() if n == str(positive)}
        if not chosen:
            raise ConfigError(
                f"balance: there is no class {positive!r}.{did_you_mean(str(positive), names.values())}"
            )
        return chosen
    if task == "binary":
        if len(names) > 2:
            raise DataError(
                f"balance: a binary label has two classes, and this one holds {len(names)}: {', '.join(names)}."
            )
        return dict([list(names.items())[-1]])
    return names


def _rates(
    cells: CellCounts, columns: list[str], value: str, name: str, minimum: int, probable: bool
) -> list[GroupRates]:
    table = cells.by(columns, "truth", "answer", *(["bin"] if probable else []))
    table["true"] = table["truth"] == value
    table["yes"] = table["answer"] == ("true" if probable else value)
    found = []
    for group, rows in table.groupby("group", sort=True):
        n = rows["rows"]
        true, yes = rows["true"], rows["yes"]
        total, positives, chosen = int(n.sum()), int(n[true].sum()), int(n[yes].sum())
        hits = int(n[true & yes].sum())
        rates = {
            "base_rate": _rate(positives, total, ""),
            "selection_rate": _rate(chosen, total, ""),
            "true_positive_rate": _rate(hits, positives, f"no row of the group is {name!r}"),
            "false_positive_rate": _rate(
                chosen - hits, total - positives, f"all rows of the group are {name!r}"
            ),
            "precision": _rate(hits, chosen, f"no row of the group is answered {name!r}"),
            "accuracy": _rate(hits + int(n[~true & ~yes].sum()), total, ""),
        }
        one = GroupRates(
            columns=columns,
            group=[str(g) for g in group],
            label=name,
            rows=total,
            small=total < minimum,
            rates=rates,
        )
        if probable:
            one.mean_probability = float(rows["sum_p"].sum()) / total
            for _, inside in rows.groupby("bin", sort=True):
                count = int(inside["rows"].sum())
                one.calibration.append(
                    CalibrationBin(
                        rows=count,
                        predicted=float(inside["sum_p"].sum()) / count,
                        observed=int(inside.loc[inside["true"], "rows"].sum()) / count,
                    )
                )
            one.calibration_error = (
                sum(b.rows * abs(b.predicted - b.observed) for b in one.calibration) / total
            )
        found.append(one)
    return found


def _rate(hits: int, of: int, reason: str) -> Rate:
    if not of:
        return Rate(of=0, reason=reason)
    low, high = wilson(hits, of)
    return Rate(value=hits / of, low=low, high=high, of=of)


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = table.to_dict("records")
    return found


def _errors(row: Mapping[str, Any], columns: list[str], minimum: int) -> GroupRates:
    n = int(row["rows"])
    bias = float(row["sum_error"]) / n
    variance = float(row["m2_error"]) / (n - 1) if n > 1 else None
    low, high = mean_interval(bias, variance, n) if variance is not None else (None, None)
    return GroupRates(
        columns=columns,
        group=[str(g) for g in row["group"]],
        rows=n,
        small=n < minimum,
        errors={
            "mean_label": float(row["sum_y"]) / n,
            "mean_prediction": float(row["sum_p"]) / n,
            "bias": bias,
            "bias_low": low,
            "bias_high": high,
            "mae": float(row["sum_size"]) / n,
            "rmse": sqrt(float(row["m2_error"]) / n + bias**2),
        },
    )
