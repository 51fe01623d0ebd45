"""Reads a column of another type than the plan's value by value, and says which rows hold what cannot be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synml_dagster.columns import MISSING_MARKS
from synml_dagster.columns.names import col
from synml_dagster.columns.raw import RawInput, nan_for_null
from synml_dagster.columns.text_numbers import written_number
from synml_dagster.columns.time_format import PATTERNS

if TYPE_CHECKING:
    from pyspark.sql import Column

_INTEGER_BITS = {"tinyint": 7, "smallint": 15, "int": 31, "bigint": 63}
_NUMBERS = ("number", "integer", "boolean")
_TIMES = ("date", "timestamp")


def converted(here: RawInput, plan: RawInput) -> tuple[Column, Column] | None:
    """Return the plan's value of a column that is of another type here, and why a row has none.

    One word in a column of numbers makes text of the whole column in a CSV file; the rows beside it are as good as
    ever. The second column is a string, null where the row can be read; what is missing here is missing there, and no
    reason. Text takes any single value, as Spark writes it. None where the types have no values in common: an array
    for a number, a number for a date.
    """
    from pyspark.sql import functions as sf

    raw, none = col(*here.path), sf.lit(None).cast("string")
    if plan.storage == "string" and here.storage in (*_NUMBERS, *_TIMES):
        return sf.coalesce(_as_text(raw, here, plan), sf.lit("")), none
    if plan.storage in _NUMBERS and here.storage in ("string", *_NUMBERS):
        number, bad = _as_number(raw, here, plan)
        return nan_for_null(number.cast("double")), bad
    if plan.storage in _TIMES and here.storage in ("string", *_TIMES):
        known = sf.when(_there(raw, here), sf.trim(raw)) if here.storage == "string" else raw
        moment = known.try_cast(plan.spark_type)
        bad = sf.when(_there(raw, here) & moment.isNull(), sf.lit(f"{plan.name!r} is not a {plan.storage}"))
        return plan.value_of(moment), bad
    return None


def _there(raw: Column, here: RawInput) -> Column:
    from pyspark.sql import functions as sf

    if here.storage != "string":
        return raw.isNotNull()
    # A mark makes text of a column of numbers in today's file, and stands for nothing there.
    return raw.isNotNull() & ~sf.lower(sf.trim(raw)).isin(*sorted(MISSING_MARKS))


def _as_text(raw: Column, here: RawInput, plan: RawInput) -> Column:
    """Whole numbers without a point: a column of codes becomes one of doubles by a single missing value.

    Where the plan reads numbers or dates of its text, the text is written in that way.
    """
    from pyspark.sql import functions as sf

    if here.storage in _TIMES and plan.time_way is not None:
        return sf.date_format(raw, PATTERNS[plan.time_way].java)
    text = raw.cast("string")
    if here.storage != "number":
        return text
    if plan.number_marks is not None and plan.number_marks[0] != ".":
        text = sf.replace(text, sf.lit("."), sf.lit(plan.number_marks[0]))
    number = raw.cast("double")
    whole = (number == sf.floor(number)) & (sf.abs(number) < 1e15)
    digits = number.try_cast("bigint").cast("string")
    if plan.padded:
        digits = sf.lpad(digits, sf.greatest(sf.lit(plan.padded), sf.length(digits)), sf.lit("0"))
    return sf.when(whole, digits).when(~sf.isnan(number), text)


def _as_number(raw: Column, here: RawInput, plan: RawInput) -> tuple[Column, Column]:
    from pyspark.sql import functions as sf

    if plan.storage == "boolean" and here.storage == "string":
        flag = sf.when(_there(raw, here), sf.trim(raw)).try_cast("boolean").cast("int")
        return flag, sf.when(_there(raw, here) & flag.isNull(), _told(plan, "is not true or false"))
    number = (
        sf.when(_there(raw, here), written_number(raw))
        if here.storage == "string"
        else raw.cast("int" if here.storage == "boolean" else "double")
    )
    number = number.cast("double")
    known = _there(raw, here) & ~sf.isnan(sf.coalesce(number, sf.lit(0.0)))
    bad = sf.when(_there(raw, here) & number.isNull(), _told(plan, "is not a number"))
    if plan.storage == "boolean":
        return number, bad.when(known & ~number.isin(0.0, 1.0), _told(plan, "is not true or false"))
    if plan.storage == "integer":
        limit = float(2 ** _INTEGER_BITS[plan.spark_type])
        bad = bad.when(known & (number != sf.floor(number)), _told(plan, "is not a whole number"))
        outside = (number < -limit) | (number >= limit)
    elif plan.spark_type == "float":
        outside = (sf.abs(number) > 3.4028235e38) & (sf.abs(number) != float("inf"))
    else:
        return number, bad
    return number, bad.when(known & outside, _told(plan, f"is out of the range of {plan.spark_type}"))


def _told(plan: RawInput, what: str) -> Column:
    from pyspark.sql import functions as sf

    return sf.lit(f"{plan.name!r} {what}")
