"""Numbers as people write them in text: groups of digits, a decimal comma, a currency, a unit or a percent sign."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from synml_dagster.columns import is_missing

if TYPE_CHECKING:
    from pyspark.sql import Column

    from synml_dagster.onnx.graph import Graph

NUMBER = r"-?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,2})?"
"""A number as programs write it, which both compilers read without a format: no blanks, no marks of groups, no overflow."""

_BLANKS = (" ", "\u00a0", "\u202f")
_GROUPS = ("", ",", ".", "'", "\u2019", *_BLANKS)
_MOST_GROUPS = 6
_SHARE = 0.95
_AROUND = re.compile(r"([^0-9.,+-]*)[+-]?([^0-9.,+-]*)([0-9.,](?:.*[0-9.,])?)([^0-9.,]*)", re.DOTALL)
_LONGEST_UNIT = 4
_CURRENCIES = frozenset(
    "USD EUR GBP CHF JPY CNY INR AUD CAD SEK NOK DKK PLN CZK BRL MXN ZAR Rs kr".split()  # noqa: SIM905
)
_MOST_BLANKS = 8


class NumberFormat(BaseModel):
    """How the numbers of a column are written, where that is not as programs write them.

    Attributes
    ----------
    decimal
        The mark before the fraction.
    group
        The mark between groups of three digits, "" where there is none. Digits may also come without it.
    unit
        What may stand before or after a number and is passed over: `$`, `EUR`, `%`. A percentage stays what is written: 45.2.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    decimal: Literal[".", ","] = "."
    group: str = ""
    unit: str = ""

    @property
    def pattern(self) -> str:
        """What a value must match whole; Java, RE2 and Python read it alike."""
        blank = f"[{''.join(_BLANKS)}]"
        digits = "[0-9]{1,30}"
        if self.group:
            mark = re.escape(self.group)
            digits = f"(?:[0-9]{{1,3}}(?:{mark}[0-9]{{3}}){{1,{_MOST_GROUPS}}}|{digits})"
        body = (
            f"(?:{digits}(?:{re.escape(self.decimal)}[0-9]{{0,30}})?|{re.escape(self.decimal)}[0-9]{{1,30}})"
        )
        if not self.unit:
            return f"{blank}?[+-]?{blank}?{body}{blank}?"
        unit = re.escape(self.unit)
        before = f"[+-]?{blank}?(?:{unit})?{blank}?" + r"[+-]?" + f"{blank}?"
        # A sign on both sides of the unit would be two.
        return f"{blank}?{before}{body}{blank}?(?:{unit})?{blank}?"

    def describe(self) -> str:
        """Return the format in a few words."""
        said = [f"{self.decimal!r} before fractions"]
        said += [f"{self.group!r} between thousands"] * bool(self.group) + [
            f"{self.unit!r} passed over"
        ] * bool(self.unit)
        return ", ".join(said)

    def read(self, text: str) -> float:
        """Return the number that `text` is, NaN where it is none."""
        if not re.fullmatch(self.pattern, text):
            return float("nan")
        for mark in self._dropped():
            text = text.replace(mark, "")
        text = text.replace(self.decimal, ".")
        return float(text) if re.fullmatch(NUMBER, text) else float("nan")

    def to_spark(self, text: Column) -> Column:
        """Return what `read` returns, as float64."""
        from pyspark.sql import functions as sf

        plain = text
        for mark in self._dropped():
            plain = sf.replace(plain, sf.lit(mark), sf.lit(""))
        plain = sf.replace(plain, sf.lit(self.decimal), sf.lit("."))
        fits = text.rlike(f"^(?:{self.pattern})$") & plain.rlike(f"^(?:{NUMBER})$")
        return sf.coalesce(sf.when(fits, plain.try_cast("double")), sf.lit(float("nan")))

    def to_onnx(self, graph: Graph, text: str) -> str:
        """Return what `read` returns, as a float64 tensor `[rows, 1]`."""
        import numpy as np

        nan = graph.constant(np.nan, np.float64)
        written = graph.node("RegexFullMatch", text, pattern=self.pattern)
        plain = graph.where(written, text, graph.constant("0"))
        for mark in self._dropped():
            most = 2 if mark == self.unit else _MOST_BLANKS + _MOST_GROUPS
            plain = _joined(graph, plain, mark, most, "")
        if self.decimal != ".":
            plain = _joined(graph, plain, self.decimal, 1, ".")
        fits = graph.node("RegexFullMatch", plain, pattern=NUMBER)
        plain = graph.where(fits, plain, graph.constant("0"))
        both = graph.node("And", written, fits)
        return graph.where(both, graph.cast(plain, "double"), nan)

    def _dropped(self) -> list[str]:
        """The marks that are taken out, a unit with a blank in it before the blanks."""
        marks = [self.unit, self.group, *_BLANKS, "+"]
        return [mark for mark in dict.fromkeys(marks) if mark]


def _joined(graph: Graph, text: str, mark: str, most: int, between: str) -> str:
    """Replace a mark, which a row holds `most` times at most, in `[rows, 1]`.

    Splitting makes as many pieces as the row with the most marks has; a row of its own with `most` of them keeps that fixed.
    """
    import numpy as np

    rows = graph.concat(
        [text, graph.constant(np.array([[mark.join("0" * (most + 1))]], dtype=object))], axis=0
    )
    pieces = graph.node_outputs("StringSplit", rows, delimiter=mark, outputs=2)[0]
    pieces = graph.node("Reshape", pieces, graph.constant([-1, most + 1], np.int64))
    parts = [graph.node("Gather", pieces, graph.constant([i], np.int64), axis=1) for i in range(most + 1)]
    whole = parts[0]
    for part in parts[1:]:
        if between:
            whole = graph.node("StringConcat", whole, graph.constant(between))
        whole = graph.node("StringConcat", whole, part)
    ends = [graph.constant([i], np.int64) for i in (0, -1, 0)]
    return graph.node("Slice", whole, *ends)


def is_plain(values: list[str]) -> bool:
    """Return whether nearly all of the values that are not missing are numbers as programs write them."""
    known = [v for v in values if not is_missing(v)]
    return bool(known) and sum(bool(re.fullmatch(NUMBER, v)) for v in known) >= _SHARE * len(known)


def recognise_number(values: list[str]) -> tuple[NumberFormat, bool] | None:
    """Return the format that nearly all of the values that are not missing have, and whether another one reads them otherwise.

    None where there is none, or where numbers begin with a zero, as codes do.
    """
    known = [v for v in values if not is_missing(v)]
    if not known or len(known) < 0.5 * len(values):
        return None
    around = [found for v in known if (found := _AROUND.fullmatch(v.strip()))]
    if len(around) < _SHARE * len(known) or any(re.match(r"0[0-9]", found[3]) for found in around):
        return None
    # Letters before a number are a code's, as in C1001, unless they are a currency's.
    if any(before and not _is_currency(before) for f in around if (before := (f[1] + f[2]).strip())):
        return None
    units = Counter(
        part.strip() for found in around for part in (found[1] + found[2], found[4]) if part.strip()
    )
    unit = next(iter(units)) if len(units) == 1 else ""
    if len(units) > 1:
        unit, rows = units.most_common(1)[0]
        if rows < _SHARE * units.total():  # kilograms among grams are no number of anything
            return None
    if len(unit) > _LONGEST_UNIT or any(c.isdigit() for c in unit):
        return None
    formats = [
        NumberFormat(decimal=decimal, group=group, unit=unit)
        for decimal in (".", ",")
        for group in _GROUPS
        if group != decimal
    ]
    # The plainest first, so that of equals the one with the least marks is taken.
    hits = [sum(bool(re.fullmatch(f.pattern, v)) for v in known) for f in formats]
    best = max(hits)
    if best < _SHARE * len(known):
        return None
    equal = [f for f, n in zip(formats, hits, strict=True) if n == best]
    # Three digits behind every comma are thousands; a fraction has not always three.
    grouped = [f for f in equal if f.group and f.group in "".join(known)]
    plain = [f for f in equal if not f.group and (f.decimal in "".join(known) or f.decimal == ".")]
    chosen = (grouped or plain or equal)[0]
    others = [f for f in equal if any(not _same(f.read(v), chosen.read(v)) for v in known[:100])]
    return chosen, bool(others)


def _is_currency(text: str) -> bool:
    return text in _CURRENCIES or any(unicodedata.category(c) == "Sc" for c in text)


def _same(one: float, other: float) -> bool:
    return one == other or (one != one and other != other)
