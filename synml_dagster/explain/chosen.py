"""Rows that people choose by the value of a column, explained on the spot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ConfigError, did_you_mean
from synml_dagster.explain.explanations import Explanations
from synml_dagster.explain.value_names import readings
from synml_dagster.learners import Link

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from synml_dagster.features import FeaturePlan
    from synml_dagster.learners import TrainedModel

_MOST_ROWS, _EXAMPLES = 100, 5
_NO_VALUES = ("array", "map", "struct", "binary", "variant")
_KEY, _TRUTH, _PLACE, _ROWS = "__chosen", "__truth", "__place", "__rows"


def check_chosen(column: str, types: dict[str, str]) -> None:
    """Refuse a column that a table of these types does not have, or whose values tell no row apart.

    Raises
    ------
    ConfigError
    """
    if column not in types:
        raise ConfigError(
            f"explain.chosen.column: the table has no column {column!r}.{did_you_mean(column, types)}"
        )
    if types[column].startswith(_NO_VALUES):
        raise ConfigError(
            f"explain.chosen.column {column!r} is of type {types[column]}; name a column of single values."
        )


def explain_chosen(
    raw: DataFrame, plan: FeaturePlan, model: TrainedModel, column: str, values: Sequence[str]
) -> tuple[Explanations | None, list[str], list[str]]:
    """Return explanations of the rows of a raw table that have one of some values in a column.

    Parameters
    ----------
    raw
        The table, with the plan's raw columns.
    column, values
        What tells rows apart, and its values in the rows to explain, as text.

    Returns
    -------
    tuple
        The explanations, None where no row has any of the values; the value of each of its rows, in the order of `values`;
        and what is to be said: values that no row has, and those that several have.

    Raises
    ------
    ConfigError
        The column is not there, or a value is none of its type.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as sf

    from synml_dagster.explain.base import explainer_for
    from synml_dagster.features import assemble, label_columns
    from synml_dagster.spark.quoting import quoted
    from synml_dagster.spark.task_errors import typed_errors

    types = dict(raw.dtypes)
    check_chosen(column, types)
    key = _key(sf.col(quoted(column)), column, types[column], values)
    word, truth = label_columns(raw, plan)
    rows = raw.select("*", key.alias(_KEY), sf.when(word != "", truth).cast("double").alias(_TRUTH))
    rows = rows.where(sf.col(_KEY).isNotNull())
    names = list(model.features)
    # Each value keeps some of its rows, however many another has, and the same ones each time.
    each = Window.partitionBy(_KEY)
    first = each.orderBy(sf.xxhash64(*(quoted(name) for name in names)), *(quoted(name) for name in names))
    made = assemble(rows, plan, training=False, keep=[_KEY, _TRUTH]).select(
        "*", sf.row_number().over(first).alias(_PLACE), sf.count(sf.lit(1)).over(each).alias(_ROWS)
    )
    with typed_errors():
        told = made.where(sf.col(_PLACE) <= max(1, _MOST_ROWS // len(values))).toArrow()
    place = {value: i for i, value in enumerate(values)}
    found_in = dict(zip(told.column(_KEY).to_pylist(), told.column(_ROWS).to_pylist(), strict=True))
    order = np.lexsort(
        (
            told.column(_PLACE).to_numpy(),
            np.array([place[v] for v in told.column(_KEY).to_pylist()], dtype=int),
        )
    )[:_MOST_ROWS]
    ids = [told.column(_KEY)[int(i)].as_py() for i in order]
    notes = _notes(raw, column, values, ids, found_in)
    if not ids:
        return None, [], notes
    X = np.stack([told.column(n).to_numpy().astype(np.float32) for n in names], axis=1)[order]
    form = model.form
    explainer = explainer_for(form)
    phi = np.asarray(explainer.values(X)[0]).reshape(len(X), len(names), -1)
    classes = [str(c) for c in plan.label.classes or ()]
    k = phi.shape[2]
    found = Explanations(
        task=plan.task,
        features=names,
        outputs=classes if k > 1 and len(classes) == k else [str(i) for i in range(k)],
        base=explainer.base + model.label_offset,
        values=X,
        phi=phi.astype(np.float32),
        label=_labels(told.column(_TRUTH).to_numpy()[order]),
        classes=classes,
        readings=readings(plan),
        link=form.link or Link(),
        method=explainer.method,
    )
    return found, ids, notes


def _labels(truth: NDArray[np.float64]) -> NDArray[np.float64] | None:
    return None if np.isnan(truth).all() else np.asarray(truth, dtype=np.float64)


def _key(column: Column, name: str, kind: str, values: Sequence[str]) -> Column:
    """Return the value, as it was asked for, of the rows that have one; null in the others."""
    from pyspark.sql import functions as sf

    if not kind.startswith(("float", "double", "decimal")):
        text = column.cast("string")
        return sf.when(text.isin(list(values)), text)
    # 17 and 17.0 are one number.
    numbers = [_number(value, name) for value in values]
    found = sf.lit(None).cast("string")
    for value, number in zip(values, numbers, strict=True):
        found = sf.when(column == _literal(value, number, kind), sf.lit(value)).otherwise(found)
    return found


def _literal(value: str, number: float, kind: str) -> Column:
    """Return a number in the column's own type, null where that has no such number: a double is not exact enough for long ids."""
    from pyspark.sql import functions as sf

    if not kind.startswith("decimal"):
        return sf.lit(number).cast(kind)
    exact = Decimal(value)
    scale = int(kind.removesuffix(")").partition(",")[2] or 0)
    fits = exact.is_finite() and exact == exact.scaleb(scale).to_integral_value().scaleb(-scale)
    return (sf.lit(f"{exact:f}") if fits else sf.lit(None)).try_cast(kind)


def _number(value: str, name: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if math.isnan(number):
        raise ConfigError(
            f"explain.chosen.values names {value!r}, and {name!r} is a column of numbers; give one of its numbers."
        )
    return number


def _notes(
    raw: DataFrame, column: str, values: Sequence[str], ids: Sequence[str], rows: Mapping[str, int]
) -> list[str]:
    from pyspark.sql import functions as sf

    from synml_dagster.spark.quoting import quoted

    notes = []
    if absent := [v for v in values if v not in rows]:
        some = raw.select(sf.col(quoted(column)).cast("string").alias("v")).where("v IS NOT NULL")
        there = [row.v for row in some.limit(_EXAMPLES).collect()]
        shown = ", ".join(map(repr, absent[:_EXAMPLES])) + (" ..." if len(absent) > _EXAMPLES else "")
        notes.append(
            f"{len(absent)} of the {len(values)} values of {column!r} that were to be explained {'is' if len(absent) == 1 else 'are'} in no row: {shown}; "
            f"the table has such as {', '.join(map(repr, there)) or 'none'}."
        )
    several = [v for v in values if rows.get(v, 0) > 1]
    if several:
        notes.append(
            f"{', '.join(map(repr, several[:_EXAMPLES]))}{' ...' if len(several) > _EXAMPLES else ''} of {column!r} {'stands' if len(several) == 1 else 'stand'} in several rows{'' if len(ids) < sum(rows.values()) else ', each of which is explained'}."
        )
    if len(ids) < sum(rows.values()):
        notes.append(
            f"{sum(rows.values()):,} rows have one of the values of {column!r}; {len(ids)} of them are explained, some of each value."
        )
    return notes
