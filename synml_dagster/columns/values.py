"""Values as programs send them, one by one, each as what Spark's path makes of the same value; the twin of `converted`.

A column of a table has one type and Spark converts it as a whole. A row that comes over HTTP has a value for each column,
and any of them can be of any type. Both end in the value that `RawInput` describes: a float with NaN for missing, or text
with "" for missing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np

from synml_dagster.columns.arrow_values import java_double
from synml_dagster.columns.missing import MISSING_MARKS
from synml_dagster.columns.raw import MICROSECONDS_A_DAY, RawInput
from synml_dagster.columns.time_format import PATTERNS
from synml_dagster.columns.written_times import written_days, written_micros

Reader = Callable[[Any], Any]

_INTEGER_BITS = {"tinyint": 7, "smallint": 15, "int": 31, "bigint": 63}
_LARGEST_FLOAT = 3.4028235e38
_NAN = float("nan")
_TRUE = frozenset({"t", "true", "y", "yes", "1"})
_FALSE = frozenset({"f", "false", "n", "no", "0"})
_CONTROLS = "".join(map(chr, range(33)))
_NOT_A_NUMBER = re.compile(r"[+-]?NaN|nan", re.ASCII)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class UnreadValueError(ValueError):
    """A value that its column cannot hold; the message says what it is not."""


def value_reader(raw: RawInput) -> Reader:
    """Return the function that makes a column's value of whatever Python object stands for it.

    Parameters
    ----------
    raw
        The column, as the plan has it.

    Returns
    -------
    callable
        Takes None, a bool, a number, text, a date, a datetime or, of arrays and vectors, a sequence of numbers; returns a
        float, text, or a list of `raw.width` floats. Raises `UnreadValueError` where the column cannot hold the value.

    Examples
    --------
    >>> age = RawInput(name="age", path=("age",), spark_type="int", storage="integer", onnx_type="double")
    >>> [value_reader(age)(v) for v in (39, "39", 39.0, None, "n/a")]
    [39, 39.0, 39.0, nan, nan]
    """
    if raw.storage in ("array", "vector"):
        return _list_reader(raw.width)
    if raw.storage == "string":
        return _text_reader(raw)
    if raw.storage in ("date", "timestamp"):
        return _time_reader(raw)
    if raw.storage == "boolean":
        return _boolean
    return _integer_reader(raw) if raw.storage == "integer" else _number_reader(raw)


def number_of(text: str) -> float:
    """Return the number that `text` is, NaN where it is a mark for nothing.

    Raises
    ------
    UnreadValueError
        It is neither.
    """
    if text.strip(" ").lower() in MISSING_MARKS:
        return _NAN
    found = java_double(text)
    if found != found and not _NOT_A_NUMBER.fullmatch(text.strip(_CONTROLS)):
        raise UnreadValueError("is not a number")
    return found


def java_text(value: float) -> str:
    """Return a double as Java and Spark write it.

    Examples
    --------
    >>> [java_text(v) for v in (1.5, 1e7, 0.0001, -0.0)]
    ['1.5', '1.0E7', '1.0E-4', '-0.0']
    """
    if math.isinf(value) or value != value:
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    sign = "-" if math.copysign(1, value) < 0 else ""
    if value == 0:
        return f"{sign}0.0"
    _, digits, exponent = Decimal(repr(abs(value))).normalize().as_tuple()
    figures = "".join(map(str, digits))
    point = len(figures) + int(exponent)  # digits before the point
    if -3 < point <= 7:
        before = max(point, 0)
        whole, part = figures[:before].ljust(before, "0") or "0", "0" * -point + figures[before:] or "0"
        return f"{sign}{whole}.{part}"
    return f"{sign}{figures[0]}.{figures[1:] or '0'}E{point - 1}"


def _kind(value: Any) -> str:
    """What messages call a value that is of no type that a column could be."""
    names = {bool: "true or false", str: "text", list: "a list", tuple: "a list", dict: "an object"}
    if isinstance(value, int | float | Decimal | np.floating):
        return "a number" if not isinstance(value, bool) else names[bool]
    return names.get(type(value), f"a {type(value).__name__}")


def _number_reader(raw: RawInput) -> Reader:
    single = raw.spark_type == "float"

    def read(value: Any) -> Any:
        number = _float(value)
        if single and _LARGEST_FLOAT < abs(number) != math.inf:
            raise UnreadValueError("is out of the range of float")
        return number

    return read


def _integer_reader(raw: RawInput) -> Reader:
    limit = 2 ** _INTEGER_BITS[raw.spark_type]
    # A table of wider whole numbers is scored as it is where the graph takes doubles.
    whole = 2**63 if raw.onnx_type == "double" else limit

    def read(value: Any) -> Any:
        if type(value) is int:
            if not -whole <= value < whole:
                raise UnreadValueError(
                    f"is out of the range of {'bigint' if whole > limit else raw.spark_type}"
                )
            return value
        number = _float(value)
        if number != number:
            return _NAN
        if not number.is_integer():
            raise UnreadValueError("is not a whole number")
        if not -limit <= number < limit:
            raise UnreadValueError(f"is out of the range of {raw.spark_type}")
        return number

    return read


def _float(value: Any) -> float:
    if type(value) is float:
        return value
    if value is None:
        return _NAN
    if isinstance(value, str):
        return number_of(value)
    if isinstance(value, int | float | Decimal | np.floating):
        try:
            return float(value)
        except OverflowError:
            raise UnreadValueError("is out of the range of a number") from None
    raise UnreadValueError(f"is {_kind(value)} where the model takes a number")


def _boolean(value: Any) -> float:
    if value is None:
        return _NAN
    if isinstance(value, str):
        word = value.strip(" ").lower()
        if word in MISSING_MARKS:
            return _NAN
        word = word.strip(_CONTROLS)
        if word not in _TRUE and word not in _FALSE:
            raise UnreadValueError("is not true or false")
        return float(word in _TRUE)
    number = _float(value)
    if number not in (0.0, 1.0) and number == number:
        raise UnreadValueError("is not true or false")
    return number


def _text_reader(raw: RawInput) -> Reader:
    padded = raw.padded or 0
    mark = raw.number_marks[0] if raw.number_marks is not None else "."
    way = PATTERNS[raw.time_way].java if raw.time_way is not None else None

    def read(value: Any) -> str:
        if type(value) is str:
            return _encodable(value)
        if value is None:
            return ""
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int):
            return str(value).rjust(padded, "0")
        if isinstance(value, float | Decimal | np.floating):
            number = float(value)
            if number != number:
                return ""
            if number.is_integer() and abs(number) < 1e15:
                return str(int(number)).rjust(padded, "0")
            return java_text(float(str(value))).replace(".", mark)
        if isinstance(value, str):
            return _encodable(str(value))
        if isinstance(value, date):
            return _date_text(value, way)
        raise UnreadValueError(f"is {_kind(value)} where the model takes text")

    return read


def _encodable(text: str) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UnreadValueError("is text with half of a surrogate pair, which is no character") from None
    return text


def _date_text(value: date, way: str | None) -> str:
    """As Spark casts a date or a moment to text; of the ways that dates are written in, the plain one alone."""
    if way is not None:
        if way != "yyyy'-'MM'-'dd":
            raise UnreadValueError("is a date of its own type where the model reads dates in text")
        return value.isoformat()[:10]
    if not isinstance(value, datetime):
        return value.isoformat()
    moment = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    text = moment.isoformat(sep=" ")
    return text.rstrip("0") if moment.microsecond else text


def _time_reader(raw: RawInput) -> Reader:
    of_days, wall_clock = raw.storage == "date", raw.wall_clock

    def read(value: Any) -> float:
        if value is None or value != value:
            return _NAN
        if isinstance(value, str):
            text = value.strip(" ")
            if text.lower() in MISSING_MARKS:
                return _NAN
            found = written_days(text) if of_days else written_micros(text, wall_clock)
            if found is None:
                raise UnreadValueError(f"is not a {raw.storage}")
            return found
        if isinstance(value, datetime):
            if wall_clock and value.tzinfo is not None:
                value = value.astimezone(UTC)
            since = (value if value.tzinfo else value.replace(tzinfo=UTC)) - _EPOCH
            micros = since.days * MICROSECONDS_A_DAY + since.seconds * 1_000_000 + since.microseconds
            return float(micros // MICROSECONDS_A_DAY if of_days else micros)
        if isinstance(value, date):
            days = value.toordinal() - _EPOCH_DAY
            return float(days if of_days else days * MICROSECONDS_A_DAY)
        raise UnreadValueError(
            f"is {_kind(value)} where the model takes a {raw.storage}; write it as text, as 2026-01-31"
        )

    return read


def _list_reader(width: int) -> Reader:
    def read(value: Any) -> list[float]:
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            if value is None:
                raise UnreadValueError(f"does not hold {width} values")
            raise UnreadValueError(f"is {_kind(value)} where the model takes a list of {width} numbers")
        if len(value) != width:
            raise UnreadValueError(f"does not hold {width} values")
        if any(isinstance(one, str) for one in value):
            raise UnreadValueError("is a list with text in it where the model takes numbers")
        return [_float(one) for one in value]

    return read
