"""What exports write where a value is missing, said once."""

from __future__ import annotations

MISSING_MARKS = frozenset(
    {
        "",
        "na",
        "n/a",
        "#n/a",
        "#na",
        "<na>",
        "nan",
        "nat",
        "null",
        "none",
        "nil",
        "?",
        "-",
        ".",
        "\\n",
        "missing",
        "#n/a n/a",
        "n.a.",
        "na.",
        "--",
        "---",
        "..",
        "(null)",
        "-nan",
        "nan(ind)",
        "1.#ind",
        "-1.#ind",
        "1.#qnan",
        "-1.#qnan",
        "#div/0!",
        "#value!",
        "#ref!",
        "#num!",
        "#name?",
        "#null!",
        "0000-00-00",
        "0000-00-00 00:00:00",
        "00.00.0000",
        "00/00/0000",
    }
)
"""In columns of numbers, dates and truth values, in lower case."""

LABEL_MARKS = (
    "NA",
    "na",
    "N.A.",
    "n.a.",
    "N/A",
    "n/a",
    "#N/A",
    "<NA>",
    "NaN",
    "nan",
    "NaT",
    "NULL",
    "null",
    "Null",
    "(null)",
    "None",
    "?",
    "-",
    "--",
    "\\N",
)
"""In a label of words, as they are written: `none` and `missing` may be classes."""


def is_missing(text: str) -> bool:
    """Return whether a value of a column of numbers or dates is missing.

    Examples
    --------
    >>> is_missing(" N/A "), is_missing("0")
    (True, False)
    """
    return text.strip().casefold() in MISSING_MARKS
