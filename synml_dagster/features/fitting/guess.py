"""Guesses what a column is from its name, its type and a sample of its values."""

from __future__ import annotations

import re
from dataclasses import dataclass

from synml_dagster.columns import MISSING_MARKS, is_missing
from synml_dagster.columns.number_format import NUMBER, is_plain, recognise_number
from synml_dagster.columns.raw import Storage
from synml_dagster.columns.time_format import recognise
from synml_dagster.features.spec import Kind

_STRAY = 0.05
"""The most of the values of a column of numbers that may be none, and are then missing."""

# Signs, currencies, digits in groups, a unit; and days with a mark or a month's name between their parts.
_LIKE_NUMBER = re.compile(
    r"[(+-]?\s*[^\w\s.,-]?\s*[0-9][0-9.,'\u00a0\u202f ]*\s*(?:%|[^\w\s]|[A-Za-z]{1,4})?\)?"
)
# What else is mostly digits, in whatever script: times and durations, ranges, grouped and hexadecimal numbers, Excel's ="1".
_LIKE_EITHER = re.compile(
    r"""[=<>~"'(+\-\s]*(?:0x[0-9a-f]+|[0-9]+ days? [0-9:.]+|P[0-9DTHMS.]+|\d[\d.,:'_/+\-\u2013\u00a0\u202f )]*(?:[ap]\.?m\.?|[^\W\d]{0,4}))["')\s]*""",
    re.IGNORECASE,
)
_LIKE_DATE = re.compile(
    r"\b[0-9]{1,4}[-/. ][0-9]{1,2}[-/. ][0-9]{1,4}\b|\b[0-9]{1,2}[-/.][0-9]{4}\b|\bQ[1-4]\b|\b[0-9]{8}T[0-9]{4,6}|\b[0-9]{4}-?(?:Q[1-4]|W[0-9]{1,2}|[0-9]{2})\b"
    r"|\b(?:jan|feb|mar|apr|ma[iy]|jun|jul|aug|sep|o[ck]t|nov|de[cz])[a-z]*\b.*[0-9]|[0-9].*\b(?:jan|feb|mar|apr|ma[iy]|jun|jul|aug|sep|o[ck]t|nov|de[cz])",
    re.IGNORECASE,
)
# Of a few values, what can hardly be a name: a whole date, and a number with a currency or a percent sign.
_WHOLE_DATE = re.compile(
    r"[0-9]{4}(?P<a>[-/.])[0-9]{1,2}(?P=a)[0-9]{1,2}|[0-9]{1,2}(?P<b>[-/.])[0-9]{1,2}(?P=b)[0-9]{4}"
)
_MARKED = re.compile(r"[+-]?[$€£¥]\s*[0-9][0-9.,]*|[+-]?[0-9][0-9.,]*\s*[%$€£¥]")

_ID_CAMEL = re.compile(r"[a-z](?:Id|ID|Uuid|UUID|Guid|GUID)$")
# The last three: a frame's index that pandas has written to Parquet, to CSV and read again, and to CSV as Spark reads it.
_ID_SNAKE = re.compile(
    r"(?:^|[_\s.\-])(?:id|uuid|guid)$|^(?:index|rowid|row_number|__index_level_[0-9]+__|unnamed: [0-9]+|_c0)$",
    re.IGNORECASE,
)
_INDEX = re.compile(r"__index_level_[0-9]+__|Unnamed: [0-9]+")
_WORDS_OF_TEXT = 4.0
_FEW_CODES = 20
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
    if storage == "integer" and _INDEX.fullmatch(name):
        return Guess(None, "an index of rows, which pandas has written along")
    unique = len(values) >= 20 and len(set(values)) == len(values)
    # A gap makes fractions of an id's whole numbers, in pandas and in what it writes.
    whole = storage == "integer" or all(float(v).is_integer() for v in values)
    if whole and not unique and named_like_an_id(name) and len(set(values)) > _FEW_CODES:
        return Guess("numeric", warning=_repeated_id(name, "a number"))
    if whole and not named_like_an_id(name) and _dates_as_numbers(values):
        return Guess(
            "numeric",
            warning=f"column {name!r} holds whole numbers that read as dates, such as {values[0]:.0f}, and is used as numbers: those of a month are near each other "
            "and far from the next. Convert it to dates in the source",
        )
    if whole and unique:
        if named_like_an_id(name):
            return Guess(None, "an id: its name says so and every row has another value")
        if storage == "integer" and high - low + 1 <= _DENSE * rows:
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
    dated = [v for v in values if not is_missing(v)]
    if (written := recognise(dated, share=_ALMOST_ALL if many else 1.0)) is not None:
        return Guess("datetime", written=written)
    if _numbers(values, marked_only=not many):
        return Guess(
            "numeric",
            warning=f"column {name!r} holds numbers written as text and is read as numbers; list it in features.categorical if they are codes",
        )
    marked = None if is_plain(values) else recognise_number(values)
    # A few words with commas may be lists of codes; what has a currency, a unit or thousands is a number all the same.
    if marked is not None and (many or marked[0].unit or marked[0].group or marked[0].accounting):
        return Guess("numeric")
    words = sum(len(v.split()) for v in values) / max(1, len(values))
    share = sample_distinct / max(1, len(values))
    if words >= _WORDS_OF_TEXT and share > 0.5 and len(values) >= 20:
        return Guess("text", warning=_unread(name, values, "taken as text"))
    nearly_all = distinct >= _ALMOST_ALL * rows if distinct is not None else share >= _ALMOST_ALL
    if nearly_all and len(values) >= 20:
        return Guess(
            None,
            f"an id: {'nearly ' if distinct is None or distinct < rows else ''}every row has another value",
            warning=_unread(name, values, "left out as an id"),
        )
    if named_like_an_id(name) and sample_distinct > _FEW_CODES:
        return Guess("categorical", warning=_repeated_id(name, "a category"))
    said = many or marked is not None or recognise(dated) is not None or _no_names(dated)
    return Guess("categorical", warning=_unread(name, values, "taken as a category") if said else "")


def _no_names(values: list[str]) -> bool:
    """Whether a few values are dates or marked numbers, in whatever ways beside each other."""
    matcher = re.compile(NUMBER)
    found = [bool(_WHOLE_DATE.fullmatch(v.strip()) or _MARKED.fullmatch(v.strip())) for v in values]
    return any(found) and all(f or matcher.fullmatch(v.strip()) for f, v in zip(found, values, strict=True))


def _dates_as_numbers(values: list[float]) -> bool:
    """Whether whole numbers are dates, written YYYYMMDD; as numbers the last of a month is 70 or more from the first of the next."""
    if len(set(values)) < _FEW_CODES:
        return False
    for value in values:
        year, month, day = int(value) // 10_000, int(value) // 100 % 100, int(value) % 100
        if not (1900 <= year <= 2100 and 1 <= month <= 12 and 1 <= day <= 31):
            return False
    return True


def _repeated_id(name: str, used_as: str) -> str:
    """A warning about an id that stands in several rows: what is learnt of it is known of these alone, on both sides of a split."""
    return (
        f"column {name!r} is named like an id, and its values stand in several rows each; it is used as {used_as}. Exclude it where it tells people or "
        f"things apart that are new when the model predicts, and let split.by: group, split.column: {name} keep the rows of each on one side"
    )


def _numbers(values: list[str], marked_only: bool) -> bool:
    """Whether text holds numbers but for marks of missing ones and a few others; a leading zero is a code's.

    With `marked_only`, of few distinct values, only where it is the marks that make text of numbers: words such as 1 and 2
    that a file's type says are text may be names.
    """
    matcher = re.compile(NUMBER)
    known = [v for v in values if v.strip().casefold() not in MISSING_MARKS]
    if not known:
        return False
    if any(re.match(r"-?0[0-9]", v) for v in known):
        return False
    if marked_only and len(known) == len(values):
        return False
    odd = sum(not matcher.fullmatch(v) for v in known)
    return odd == 0 if marked_only else odd <= _STRAY * len(known)


def _unread(name: str, values: list[str], fate: str) -> str:
    """A warning where most values look like numbers or dates that nobody has read."""
    known = [v for v in values if not is_missing(v)]
    looks = [
        v
        for v in known
        if _LIKE_NUMBER.fullmatch(v.strip()) or _LIKE_DATE.search(v) or _LIKE_EITHER.fullmatch(v)
    ]
    if not known or len(looks) < 0.8 * len(known) or named_like_an_id(name):
        return ""
    shown = ", ".join(repr(v) for v in dict.fromkeys(looks[:3]))
    return (
        f"column {name!r} looks like numbers or dates and is {fate}, because values such as {shown} are written in no way that is "
        "read here. Convert it in the source, or list it in features.categorical if it holds names"
    )


def not_numbers(values: list[str]) -> list[str]:
    """Return the values that are neither numbers nor marks for missing ones."""
    matcher = re.compile(NUMBER)
    return [v for v in values if not matcher.fullmatch(v) and v.strip().casefold() not in MISSING_MARKS]
