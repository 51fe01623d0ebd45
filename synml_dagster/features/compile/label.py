"""Finds the task and the classes of a label, and compiles it."""

from __future__ import annotations

import re
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from synml_dagster.columns import RawInput, col
from synml_dagster.columns.number_format import NumberFormat, is_plain, recognise_number
from synml_dagster.columns.same_words import listed_groups, same_words
from synml_dagster.columns.text_numbers import written_number
from synml_dagster.errors import ConfigError, DataError, did_you_mean
from synml_dagster.features.compile.lookup import literal
from synml_dagster.features.plan import LabelPlan
from synml_dagster.features.profile.outline import MOST_CLASSES, Outline
from synml_dagster.features.spec import Task

if TYPE_CHECKING:
    from pyspark.sql import Column

_GUESSED_CLASSES = 20
"""Whole-number labels with more distinct values than this are numbers, not names, unless the task says otherwise."""

_LARGEST, _SMALLEST = 1e30, 1e-30
"""float32 goes to 3e38 and down to 1e-38, and LightGBM multiplies labels by weights and sums them."""


def label_input(inputs: list[RawInput], column: str, columns: list[str]) -> RawInput:
    """Return the raw input that is the label.

    Raises
    ------
    DataError
        There is no such column, or its type cannot be a label.
    """
    for found in inputs:
        if found.name == column:
            if found.storage in ("array", "vector", "date", "timestamp"):
                raise DataError(
                    f"label {column!r} is of type {found.spark_type}; a label is a number, a word or a boolean"
                )
            return found
    if column in columns:
        raise DataError(
            f"label {column!r} is of a type that cannot be a label; a label is a number, a word or a boolean"
        )
    names = [i.name for i in inputs]
    raise DataError(
        f"label: the table has no column {column!r}.{did_you_mean(column, names)} It has: {_listed(names)}."
    )


def label_word(label: RawInput) -> Column:
    """Return the label as text without blanks around it, "" where it is missing; whole numbers without a point."""
    from pyspark.sql import functions as sf

    value = label.value()
    if label.storage == "string":
        word = sf.trim(value)
        return sf.when(word.isin(*label.missing), sf.lit("")).otherwise(word) if label.missing else word
    if label.storage == "boolean":
        return sf.when(value == 1, sf.lit("true")).when(value == 0, sf.lit("false")).otherwise(sf.lit(""))
    if label.storage == "integer":  # exactly: neighbours beyond 2^53 are one float64
        return sf.coalesce(col(*label.path).cast("string"), sf.lit(""))
    number = value.try_cast("double")
    whole = sf.when(
        (sf.abs(number) < 1e15) & (number == sf.floor(number)), number.cast("bigint").cast("string")
    )
    if label.spark_type.startswith("decimal"):
        raw = col(*label.path)
        exact = sf.when(raw == sf.floor(raw), raw.cast("decimal(38,0)").cast("string"))
        whole = sf.coalesce(whole, exact)
    text = sf.coalesce(whole, value.cast("string"))
    return sf.when(sf.isnan(value), sf.lit("")).otherwise(text)


def label_number(label: RawInput) -> Column:
    """Return the label as float64, NaN where it is missing or not a number."""
    from pyspark.sql import functions as sf

    if label.storage == "string" and label.number_marks is not None:
        return NumberFormat.of(label.number_marks).to_spark(label_word(label))
    if label.storage == "string":
        return sf.coalesce(written_number(label.value()), sf.lit(float("nan")))
    return label.value().cast("double")


def class_index(label: LabelPlan, word: Column) -> Column:
    """Return the index of a label's class as int, null where the class is not one of the plan's."""
    from pyspark.sql import functions as sf

    place = sf.array_position(literal(label.classes or [], "array<string>"), word).cast("int")
    return sf.nullif(place, sf.lit(0)) - 1


def numbers_for_people(
    label: RawInput, outline: Outline, task: str, group: str | None
) -> tuple[NumberFormat, bool] | None:
    """Return how the numbers of a label of text are written for people, and whether another way reads them otherwise; None where it holds names, or what programs write."""
    if label.storage != "string" or task in ("binary", "multiclass") or not outline.wordy:
        return None
    words = outline.odd_words if outline.too_many_words else list(outline.words)
    if task == "auto" and group is None and not outline.too_many_words and len(words) <= _GUESSED_CLASSES:
        return None
    if is_plain(words) and not outline.too_many_words:
        return None
    found = recognise_number(words)
    return found if found is not None and not any(np.isnan(found[0].read(w)) for w in words) else None


def fit_label(label: RawInput, outline: Outline, task: str, group: str | None) -> tuple[Task, LabelPlan]:
    """Return the task and the label's plan.

    Raises
    ------
    DataError
        The table is empty, the label is constant, has no value in any row, has a class of one row or infinite
        values, or the task does not fit it.
    ConfigError
        The task is ranking and there is no group column.
    """
    name = label.name
    labelled = outline.rows - outline.unlabelled
    if outline.rows == 0:
        raise DataError("the table is empty: it has columns and no rows")
    if labelled == 0:
        raise DataError(f"label {name!r} is missing in all {outline.rows} rows")
    found = _guessed(label, outline, group) if task == "auto" else task
    if found == "ranking" and group is None:
        raise ConfigError("task 'ranking' needs `group`, the column that tells which query a row belongs to")
    if not outline.too_many_words and len(outline.words) == 1:
        only = next(iter(outline.words))
        raise DataError(
            f"label {name!r} is {only!r} in all {labelled} rows that have one; there is nothing to learn"
        )
    plan = LabelPlan(
        column=name,
        path=label.path,
        storage=label.storage,
        spark_type=label.spark_type,
        dropped_null_rows=outline.unlabelled,
        missing=label.missing,
        number_marks=label.number_marks,
    )
    if found in ("regression", "ranking"):
        return found, _number_label(plan, outline, found, labelled)  # type: ignore[return-value]
    return found, _class_label(plan, outline, found)  # type: ignore[return-value]


def _guessed(label: RawInput, outline: Outline, group: str | None) -> str:
    if group is not None:
        return "ranking"
    several = outline.too_many_words or len(outline.words) > 2
    if not several:
        return "binary"
    if label.storage == "string":
        many = outline.too_many_words or len(outline.words) > _GUESSED_CLASSES
        codes = any(re.match(r"[+-]?0[0-9]", word) for word in outline.words)
        return "regression" if many and not codes and _all_numbers(outline) else "multiclass"
    if label.storage == "boolean":
        return "multiclass"
    few = not outline.too_many_words and len(outline.words) <= _GUESSED_CLASSES
    return "multiclass" if few and not outline.fractions and _close_together(outline) else "regression"


def _close_together(outline: Outline) -> bool:
    """Codes of classes are small numbers with few gaps; 20 prices are not."""
    return outline.high - outline.low + 1 <= 2 * len(outline.words)


def _all_numbers(outline: Outline) -> bool:
    return outline.wordy == 0


def _is_number(word: str, marks: tuple[str, str, str, bool] | None) -> bool:
    if marks is not None:
        return not np.isnan(NumberFormat.of(marks).read(word))
    try:
        float(word)
    except ValueError:
        return False
    return True


def _number_label(plan: LabelPlan, outline: Outline, task: str, labelled: int) -> LabelPlan:
    words = [w for w in outline.words if not _is_number(w, plan.number_marks)]
    if plan.storage == "string" and (words or not _all_numbers(outline)):
        words = words or (outline.odd_words if outline.too_many_words else [])
        example = f" such as {words[0]!r}" if words else ""
        raise DataError(
            f"label {plan.column!r} holds words{example}, and task {task!r} needs numbers. Use task 'binary' or 'multiclass', or another label."
        )
    if outline.infinite:
        raise DataError(
            f"label {plan.column!r} is infinite in {outline.infinite} rows; task {task!r} needs finite numbers. Remove those rows or set them to null."
        )
    largest, spread = max(abs(outline.low), abs(outline.high)), outline.high - outline.low
    if task == "regression" and (largest > _LARGEST or 0 < spread < _SMALLEST):
        raise DataError(
            f"label {plan.column!r} goes from {outline.low:g} to {outline.high:g}, outside of the range of float32, in which LightGBM works. Measure it in a {'larger' if largest > _LARGEST else 'smaller'} unit in the source."
        )
    if task == "ranking" and (outline.fractions or outline.low < 0):
        raise DataError(
            f"label {plan.column!r} is not a grade: task 'ranking' needs whole numbers from 0 up, and it goes from {outline.low:g} to {outline.high:g}"
        )
    return plan.model_copy(
        update={
            "minimum": outline.low,
            "maximum": outline.high,
            "mean": float(f"{outline.total / labelled:.10g}"),
        }
    )


def _class_label(plan: LabelPlan, outline: Outline, task: str) -> LabelPlan:
    words = outline.odd_words if outline.too_many_words else list(outline.words)
    if plan.storage == "string" and len(words) > _GUESSED_CLASSES and (found := recognise_number(words)):
        odd = next((word for word in words if np.isnan(found[0].read(word))), None)
        raise DataError(
            f"label {plan.column!r} holds numbers written with {found[0].describe()}, such as {next((w for w in words if w != odd), '')!r}, and {'' if odd is None else f'others such as {odd!r}, and '}"
            f"a label is read as numbers only where all of them are written in one way. Set the others to null in the source, or name them in features.missing."
        )
    if outline.too_many_words:
        raise DataError(
            f"label {plan.column!r} has more than {MOST_CLASSES} distinct values, too many for task {task!r}. Use task 'regression' if they are numbers."
        )
    if (
        plan.storage not in ("string", "boolean")
        and outline.fractions
        and len(outline.words) > 2 * _GUESSED_CLASSES
    ):
        raise DataError(
            f"label {plan.column!r} holds {len(outline.words)} different numbers with fractions, and task {task!r} needs classes. Use task 'regression'."
        )
    numeric = plan.storage not in ("string", "boolean")
    classes = sorted(outline.words, key=(lambda w: (Decimal(w), w)) if numeric else None)
    if plan.storage == "number" and (one := _equal_as_floats(classes)):
        raise DataError(
            f"label {plan.column!r} is {plan.spark_type}, and its classes {one[0]} and {one[1]} are one number to the float64 that predictions of it are. Cast it to text or to bigint in the source."
        )
    if task == "binary" and len(classes) != 2:
        raise DataError(
            f"label {plan.column!r} has {len(classes)} classes ({_listed(classes, 5)}), and task 'binary' needs 2. Use task 'multiclass'."
        )
    lonely = [c for c in classes if outline.words[c] == 1]
    if lonely:
        raise DataError(
            f"label {plan.column!r} has {len(lonely)} class{'es' * (len(lonely) > 1)} with one row: {_listed(lonely, 5)}. A class needs rows on the training and the test side; remove or merge {'them' if len(lonely) > 1 else 'it'}."
        )
    return plan.model_copy(update={"classes": classes, "class_rows": [outline.words[c] for c in classes]})


def alike(label: LabelPlan) -> list[str]:
    """A warning where classes differ in the way they are written alone: who typed them meant one."""
    if label.storage != "string" or not label.classes or not (groups := same_words(label.classes)):
        return []
    return [
        f"label {label.column!r} has classes that differ in case or blanks alone, or say one thing in several ways, and each is learnt as a class of its own: {listed_groups(groups)}. Write them in one way in the source if one is meant"
    ]


def _equal_as_floats(classes: list[str]) -> tuple[str, str] | None:
    """Two neighbours of sorted numbers that a float64 does not tell apart."""
    return next(((a, b) for a, b in pairwise(classes) if float(a) == float(b)), None)


def _listed(names: list[str], most: int = 20) -> str:
    shown = ", ".join(repr(n) for n in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
