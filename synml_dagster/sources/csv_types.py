"""Types the columns of a table of text: only where every value fits and nothing that is written is lost."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
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


def typed_text(frame: DataFrame, known: Mapping[str, str], notes: list[str]) -> DataFrame:
    """Return `frame`, a table of text, with those columns typed whose values all fit; one pass over the table.

    Whole numbers, numbers, truth values, days and moments, each as ISO writes them. Codes with a leading zero stay text, and
    so does what people write in other ways: a plan reads that, and says so. A type that `known` has for a column is kept or
    widened, and `notes` say where it could not be kept.
    """
    from pyspark.sql import functions as sf

    names = [name for name in frame.columns if known.get(name) != "string"]
    fits = _fits(frame, names)
    kinds: dict[str, _Kind] = {}
    for name in names:
        filled = name in fits
        kind = next((kind for kind in _Kind if filled and fits[name] & kind.bit), None)
        before = _KINDS.get(known.get(name, ""))
        if kind is None and not filled:
            kind = before  # no value, so that any type is right
        elif before is not None and kind != before and kind is not None and before is _WIDER.get(kind):
            kind = before
        elif before is not None and kind != before:
            notes.append(
                f"column {name!r} was {before.value} in an earlier run and holds other values now; it is {kind.value if kind else 'text'}"
            )
        if kind is _Kind.NUMBER and filled and fits[name] & _THREES and not fits[name] & _NO_ZERO_ENDS:
            notes.append(
                f"column {name!r} has three digits behind every point and is read with fractions; where the point marks thousands, as in 12.500, convert it in the source"
            )
        if kind is not None:
            kinds[name] = kind
    marks = _marks()
    made = [
        _known(sf.col(quoted(name)), marks).try_cast(kinds[name].value).alias(name)
        if name in kinds
        else sf.col(quoted(name))
        for name in frame.columns
    ]
    return frame.select(*made) if kinds else frame


class _Kind(Enum):
    """What a column's values may all be, the narrowest first; the value is Spark's type."""

    WHOLE = "bigint"
    NUMBER = "double"
    TRUTH = "boolean"
    DAY = "date"
    MOMENT = "timestamp"

    @property
    def bit(self) -> int:
        return 1 << list(_Kind).index(self)


_KINDS = {kind.value: kind for kind in _Kind}
_WIDER = {_Kind.WHOLE: _Kind.NUMBER, _Kind.DAY: _Kind.MOMENT}
"""The type that holds all values of another one."""
_THREES, _NO_ZERO_ENDS = 1 << 5, 1 << 6
"""Each value could be a whole number in which points mark thousands; none has three digits behind the point, the last a zero."""


def _fits(frame: DataFrame, names: list[str]) -> dict[str, int]:
    """What holds for every value of a column, as bits; no entry for a column without values.

    The cells are made rows: one small expression then serves all columns, where an aggregate of each would be a plan that
    takes Spark longer to compile than most tables take to read.
    """
    from pyspark.sql import functions as sf

    if not names:
        return {}
    cells = frame.select(sf.posexplode(sf.array(*(sf.col(quoted(name)) for name in names))))
    values = cells.select("pos", _known(sf.col("col"), _marks()).alias("value")).where("value IS NOT NULL")
    found = values.groupBy("pos").agg(sf.bit_and(_bits(sf.col("value"))).alias("bits"))
    return {names[row["pos"]]: row["bits"] for row in found.collect()}


def _marks() -> list[Column]:
    """The marks of a missing value, made once for all columns: each is a call to Spark."""
    from pyspark.sql import functions as sf

    return [sf.lit(mark) for mark in sorted(MISSING_MARKS)]


def _known(value: Column, marks: list[Column]) -> Column:
    """The value without blanks around it, null where it is a mark of a missing one."""
    from pyspark.sql import functions as sf

    text = sf.trim(value)
    return sf.when(~sf.lower(text).isin(*marks), text)


def _bits(value: Column) -> Column:
    """What the text `value` can be read as; the first case that holds decides, so that few patterns are tried."""
    from pyspark.sql import functions as sf

    whole, number, day, moment = _Kind.WHOLE.bit, _Kind.NUMBER.bit, _Kind.DAY.bit, _Kind.MOMENT.bit
    # What is too large for a float64 would be infinite without a word.
    finite = sf.abs(value.try_cast("double")) < float("inf")
    is_day, is_moment = value.try_cast("date").isNotNull(), value.try_cast("timestamp").isNotNull()
    cases = [
        (value.rlike(_LONG), sf.when(value.rlike(_WHOLE), whole).otherwise(0) + _NO_ZERO_ENDS),
        (value.rlike(_WHOLE) & value.rlike(_FEW), sf.lit(whole + number + _THREES + _NO_ZERO_ENDS)),
        (value.rlike(_WHOLE), sf.lit(whole + number + _NO_ZERO_ENDS)),
        (
            value.rlike(_THREE),
            number + _THREES + sf.when(value.endswith("0"), 0).otherwise(_NO_ZERO_ENDS),
        ),
        (value.rlike(_NUMBER) & finite | value.rlike(_INFINITE), sf.lit(number + _NO_ZERO_ENDS)),
        (value.rlike(_TRUTH), sf.lit(_Kind.TRUTH.bit + _NO_ZERO_ENDS)),
        (value.rlike(_DAY) & is_day, sf.lit(day + moment + _NO_ZERO_ENDS)),
        (value.rlike(_MOMENT) & is_moment, sf.lit(moment + _NO_ZERO_ENDS)),
    ]
    bits = sf.lit(_NO_ZERO_ENDS)
    for holds, then in reversed(cases):
        bits = sf.when(holds, then).otherwise(bits)
    return bits
