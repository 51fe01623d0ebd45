"""Guesses what a column is from its name, its type and a sample of its values."""

from __future__ import annotations

import re
from dataclasses import dataclass

from synml_dagster.features.kinds.numeric import NUMBER
from synml_dagster.features.kinds.written_time import recognise
from synml_dagster.features.raw import Storage
from synml_dagster.features.spec import Kind

MISSING_MARKS = {"na", "n/a", "nan", "null", "none", "nil", "?", "-", ".", "missing", "#n/a"}
"""What exports write where a number is missing."""

_ID_CAMEL = re.compile(r"[a-z](?:Id|ID|Uuid|UUID|Guid|GUID)$")
_ID_SNAKE = re.compile(r"(?:^|[_\s.\-])(?:id|uuid|guid)$|^(?:index|rowid|row_number)$", re.IGNORECASE)
_WORDS_OF_TEXT = 4.0
_ALMOST_ALL = 0.95
_DENSE = 3.0  # the training side is a part of the rows, so a row number has gaps there


@dataclass(frozen=True)
class Guess:
    """A kind, or a reason to drop the column; `written` is how a date in text is written."""

    kind: Kind | None
    reason: str = ""
    written: str | None = None
    warning: str = ""


def named_like_an_id(name: str) -> bool:
    """Return whether a column's name says that it only tells rows apart.

    Examples
    --------
    >>> named_like_an_id("customer_id"), named_like_an_id("orderId"), named_like_an_id("humid")
    (True, True, False)
    """
    return bool(_ID_SNAKE.search(name) or _ID_CAMEL.search(name))


def guess_number(
    name: str, storage: Storage, values: list[float], rows: int, low: float, high: float
) -> Guess:
    """Return the kind of a column of numbers.

    Parameters
    ----------
    values
        The sampled values that are not missing.
    rows
        Rows of the whole table with a value.
    low, high
        The least and the greatest value of the whole table.
    """
    if storage == "boolean":
        return Guess("boolean")
    if storage in ("date", "timestamp"):
        return Guess("datetime")
    unique = len(values) >= 20 and len(set(values)) == len(values)
    if storage == "integer" and unique:
        if named_like_an_id(name):
            return Guess(None, "an id: its name says so and every row has another value")
        if high - low + 1 <= _DENSE * rows:
            return Guess(
                "numeric",
                warning=f"column {name!r} numbers the rows ({low:.0f} to {high:.0f}, each once); exclude it if it is an id",
            )
    return Guess("numeric")


def guess_words(name: str, values: list[str], distinct: int | None, rows: int) -> Guess:
    """Return the kind of a column of strings.

    Parameters
    ----------
    values
        The sampled values that are not missing.
    distinct
        The column's distinct values, None where they were too many to count.
    rows
        Rows of the whole table with a value.
    """
    sample_distinct = len(set(values))
    many = distinct is None or distinct > 20
    if many and (written := recognise(values)) is not None:
        return Guess("datetime", written=written)
    if many and _numbers(values):
        return Guess(
            "numeric",
            warning=f"column {name!r} holds numbers written as text and is read as numbers; list it in features.categorical if they are codes",
        )
    words = sum(len(v.split()) for v in values) / max(1, len(values))
    share = sample_distinct / max(1, len(values))
    if words >= _WORDS_OF_TEXT and share > 0.5 and len(values) >= 20:
        return Guess("text")
    nearly_all = distinct >= _ALMOST_ALL * rows if distinct is not None else share >= _ALMOST_ALL
    if nearly_all and len(values) >= 20:
        return Guess(
            None,
            f"an id: {'nearly ' if distinct is None or distinct < rows else ''}every row has another value",
        )
    return Guess("categorical")


def _numbers(values: list[str]) -> bool:
    """Whether text holds numbers and marks for missing ones; a leading zero is a code's, not a number's."""
    matcher = re.compile(NUMBER)
    known = [v for v in values if v.casefold() not in MISSING_MARKS]
    if not known or len(known) < 0.5 * len(values):
        return False
    return all(matcher.fullmatch(v) and not re.match(r"-?0[0-9]", v) for v in known)


def not_numbers(values: list[str]) -> list[str]:
    """Return the values that are neither numbers nor marks for missing ones."""
    matcher = re.compile(NUMBER)
    return [v for v in values if not matcher.fullmatch(v) and v.casefold() not in MISSING_MARKS]
