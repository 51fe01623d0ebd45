"""Types the columns of a table of text: only where every value fits and nothing that is written is lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from synml_dagster.columns import MISSING_MARKS
from synml_dagster.spark.quoting import quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_WHOLE = r"^[+-]?(0|[1-9][0-9]{0,17})$"
# A zero before another digit is a code's, so is a long run of digits: neither is a number.
_NUMBER = r"^[+-]?((0|[1-9][0-9]{0,39})([.][0-9]{0,40})?|[.][0-9]{1,40})([eE][+-]?[0-9]{1,3})?$"
_LONG = r"^[+-]?[0-9]{16,}$"
_INFINITE = r"^(?i:[+-]?inf(inity)?)$"
_THREE = r"^[+-]?[1-9][0-9]{0,2}[.][0-9]{3}$"
_FEW = r"^[+-]?[0-9]{1,3}$"
_TRUTH = r"^(?i:true|false)$"
_DAY = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?(Z| UTC|[+-][0-9]{2}(:?[0-9]{2})?)?$"
_CHUNK = 200


def typed_text(frame: DataFrame, known: Mapping[str, str], notes: list[str]) -> DataFrame:
    """Return `frame`, a table of text, with those columns typed whose values all fit; one pass over the table.

    Whole numbers, numbers, truth values, days and moments, each as ISO writes them. Codes with a leading zero stay text, and
    so does what people write in other ways: a plan reads that, and says so. A type that `known` has for a column is kept or
    widened, and `notes` say where it could not be kept.
    """
    from pyspark.sql import functions as sf

    names = [name for name in frame.columns if known.get(name) != "string"]
    kinds: dict[str, str] = {}
    for start in range(0, len(names), _CHUNK):
        here = names[start : start + _CHUNK]
        asked = []
        for i, name in enumerate(here):
            value = _known(name)
            asked += [
                sf.count(value).alias(f"n{i}"),
                *(sf.count_if(test).alias(f"{kind}{i}") for kind, test in _tests(value).items()),
            ]
        row = frame.agg(*asked).first()
        assert row is not None
        for i, name in enumerate(here):
            filled = row[f"n{i}"]
            found = (kind for kind in _TYPES if filled and row[f"{kind}{i}"] == filled)
            kind = next(found, None)
            before = _KINDS.get(known.get(name, ""))
            if kind is None and not filled:
                kind = before  # no value, so that any type is right
            elif before is not None and kind != before and before in _WIDER.get(kind or "", ""):
                kind = before
            elif before is not None and kind != before:
                notes.append(
                    f"column {name!r} was {_TYPES[before]} in an earlier run and holds other values now; it is {_TYPES.get(kind or '', 'text')}"
                )
            if kind == "f" and row[f"z{i}"] and row[f"g{i}"] + row[f"p{i}"] == filled:
                notes.append(
                    f"column {name!r} has three digits behind every point and is read with fractions; where the point marks thousands, as in 12.500, convert it in the source"
                )
            if kind is not None:
                kinds[name] = kind
    made = [
        _known(name).try_cast(_TYPES[kinds[name]]).alias(name) if name in kinds else sf.col(quoted(name))
        for name in frame.columns
    ]
    return frame.select(*made) if kinds else frame


_TYPES = {"w": "bigint", "f": "double", "b": "boolean", "d": "date", "t": "timestamp"}
_KINDS = {name: kind for kind, name in _TYPES.items()}
_WIDER = {"w": "f", "d": "t"}
"""The type that holds all values of another one."""


def _known(name: str) -> Column:
    """The value without blanks around it, null where it is a mark of a missing one."""
    from pyspark.sql import functions as sf

    text = sf.trim(sf.col(quoted(name)))
    return sf.when(~sf.lower(text).isin(*sorted(MISSING_MARKS)), text)


def _tests(value: Column) -> dict[str, Column]:
    from pyspark.sql import functions as sf

    # What is too large for a float64 would be infinite without a word.
    finite = sf.abs(value.try_cast("double")) < float("inf")
    number = (value.rlike(_NUMBER) & ~value.rlike(_LONG) & finite) | value.rlike(_INFINITE)
    return {
        "w": value.rlike(_WHOLE) & value.try_cast("bigint").isNotNull(),
        "f": number,
        "g": value.rlike(_THREE),
        "z": value.rlike(_THREE) & value.endswith("0"),
        "p": value.rlike(_FEW),
        "b": value.rlike(_TRUTH),
        "d": value.rlike(_DAY) & value.try_cast("date").isNotNull(),
        "t": (value.rlike(_MOMENT) | value.rlike(_DAY)) & value.try_cast("timestamp").isNotNull(),
    }
