"""Whether rows to score hold text that a plan reads numbers and dates of, but written in another way than it has learnt."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from synml_dagster.columns import MISSING_MARKS
from synml_dagster.columns.names import col
from synml_dagster.columns.number_format import NUMBER, NumberFormat
from synml_dagster.columns.raw import RawInput
from synml_dagster.columns.time_format import PATTERNS
from synml_dagster.columns.time_parsing import parse_spark
from synml_dagster.errors import DataError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_MOST, _FEWEST = 0.5, 5
"""The part of the values that ends the scoring, where there are so many: one stray word in one row is a missing value."""


def unread(frame: DataFrame, planned: list[RawInput], numbers: Collection[str] = ()) -> list[str]:
    """Return what is to be said of values that the plan cannot read and takes for missing; one pass where a column is such.

    Parameters
    ----------
    frame
        The rows to score.
    planned
        The plan's raw columns.
    numbers
        Those of text that the plan reads as numbers in the way of programs.

    Raises
    ------
    DataError
        Most values of a column are written in another way: each of its rows would be scored without it.
    """
    from pyspark.sql import functions as sf

    types = dict(frame.dtypes)
    asked: dict[str, Column] = {}
    read = [raw for raw in planned if len(raw.path) == 1 and types.get(raw.path[0]) == "string"]
    read = [raw for raw in read if raw.number_marks or raw.time_way or raw.padded or raw.name in numbers]
    for i, raw in enumerate(read):
        text = sf.coalesce(col(*raw.path), sf.lit(""))
        there = ~sf.lower(sf.trim(text)).isin(*sorted(MISSING_MARKS))
        lost = there & _is_lost(text, raw)
        asked |= {
            f"there{i}": sf.count_if(there),
            f"lost{i}": sf.count_if(lost),
            f"one{i}": sf.first(sf.when(lost, text), ignorenulls=True),
        }
    row = frame.agg(*(column.alias(name) for name, column in asked.items())).first() if asked else None
    said = []
    for i, raw in enumerate(read if row is not None else []):
        there, lost, one = (row[f"{name}{i}"] for name in ("there", "lost", "one"))  # type: ignore[index]
        way = raw.time_way or f"{raw.padded} digits"
        way = "numbers as programs write them" if raw.name in numbers else way
        way = NumberFormat.of(raw.number_marks).describe() if raw.number_marks else way
        told = f"{lost} of {there} values of column {raw.name!r}, such as {one!r}, are not written as learnt ({way})"
        if lost > _MOST * there and there >= _FEWEST:
            raise DataError(
                f"{told}, and their rows would be scored without them. Write them so in the source, or as a type of their own, or train anew."
            )
        if lost:
            said.append(f"{told} and are taken as {'another category' if raw.padded else 'missing'}")
    return said


def _is_lost(text: Column, raw: RawInput) -> Column:
    from pyspark.sql import functions as sf

    if raw.padded:  # a program for tables has taken 007 for a number
        return text.rlike(f"^[0-9]{{1,{max(1, raw.padded - 1)}}}$")
    if raw.time_way is not None:
        return sf.isnan(parse_spark(text, PATTERNS[raw.time_way]))
    if raw.number_marks is None:
        return ~text.rlike(f"^(?:{NUMBER})$")
    return sf.isnan(NumberFormat.of(raw.number_marks).to_spark(text))
