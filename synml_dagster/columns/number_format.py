"""Numbers as people write them in text: groups of digits, a decimal comma, a currency, a unit or a percent sign."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from synml_dagster.columns.missing import is_missing

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
_MINUS = "\u2212"
_NEGATIVE = f"[({_MINUS}-]"
_MAGNITUDES = frozenset("% k m mm b bn mn mio mrd t tsd tn cr".split())  # noqa: SIM905
"""Units without which a number is another one: 950 beside 1.2k."""

_BRACKETED = re.compile(r"([^0-9()]*)\(([^()]*)\)([^0-9()]*)")


class NumberFormat(BaseModel):
    """How the numbers of a column are written, where that is not as programs write them.

    What is not written so is read as programs write numbers, where it is one.

    Attributes
    ----------
    decimal
        The mark before the fraction.
    group
        The mark between groups of three digits, "" where there is none. Digits may also come without it.
    unit
        What may stand before or after a number and is passed over: `$`, `EUR`, `%`. A percentage stays what is written: 45.2.
    accounting
        Whether negative numbers are in brackets, or have their minus behind them or as the sign that typesetters use.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    decimal: Literal[".", ","] = "."
    group: str = ""
    unit: str = ""
    accounting: bool = False

    @property
    def marks(self) -> tuple[str, str, str, bool]:
        """What `RawInput.number_marks` holds."""
        return self.decimal, self.group, self.unit, self.accounting

    @classmethod
    def of(cls, marks: tuple[str, str, str, bool]) -> NumberFormat:
        """Return the format that `marks` are of."""
        decimal, group, unit, accounting = marks
        return cls(decimal=decimal, group=group, unit=unit, accounting=accounting)

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
        unit = f"(?:{re.escape(self.unit)})?{blank}?" if self.unit else ""
        if self.accounting:
            body += "(?:[eE][+]?[0-9]{1,2})?"  # a minus in it would be taken for the number's
            bare = f"{unit}{body}{blank}?{unit}"
            signed = f"(?:[+{_MINUS}-]{blank}?)?{bare}|{unit}[{_MINUS}-]{blank}?{body}{blank}?{unit}"
            return f"{blank}?(?:{signed}|{unit}\\({blank}?{bare}\\){blank}?{unit}|{bare}-{blank}?{unit})"
        body += "(?:[eE][+-]?[0-9]{1,2})?"
        if not self.unit:
            return f"{blank}?[+-]?{blank}?{body}{blank}?"
        # A sign on both sides of the unit would be two.
        return f"{blank}?[+-]?{blank}?{unit}[+-]?{blank}?{body}{blank}?{unit}"

    def describe(self) -> str:
        """Return the format in a few words."""
        said = [f"{self.decimal!r} before fractions"]
        said += [f"{self.group!r} between thousands"] * bool(self.group) + [
            f"{self.unit!r} passed over"
        ] * bool(self.unit)
        said += ["negative ones in brackets or with the minus behind"] * self.accounting
        return ", ".join(said)

    def read(self, text: str) -> float:
        """Return the number that `text` is, NaN where it is none."""
        plain = text
        if re.fullmatch(self.pattern, text):
            for mark in self._dropped():
                plain = plain.replace(mark, "")
            plain = plain.replace(self.decimal, ".")
        if not re.fullmatch(NUMBER, plain):
            return float("nan")
        negative = self.accounting and plain is not text and re.search(_NEGATIVE, text)
        return -float(plain) if negative else float(plain)

    def to_spark(self, text: Column) -> Column:
        """Return what `read` returns, as float64."""
        from pyspark.sql import functions as sf

        plain = text
        for mark in self._dropped():
            plain = sf.replace(plain, sf.lit(mark), sf.lit(""))
        plain = sf.replace(plain, sf.lit(self.decimal), sf.lit("."))
        written = text.rlike(f"^(?:{self.pattern})$")
        number = sf.when(written & plain.rlike(f"^(?:{NUMBER})$"), plain.try_cast("double"))
        if self.accounting:
            number = sf.when(text.rlike(_NEGATIVE), -number).otherwise(number)
        # Today's rows may come from a program.
        as_it_is = sf.when(text.rlike(f"^(?:{NUMBER})$"), text.try_cast("double"))
        return sf.coalesce(sf.when(written, number).otherwise(as_it_is), sf.lit(float("nan")))

    def to_onnx(self, graph: Graph, text: str) -> str:
        """Return what `read` returns, as a float64 tensor `[rows, 1]`."""
        import numpy as np

        nan = graph.constant(np.nan, np.float64)
        written = graph.node("RegexFullMatch", text, pattern=self.pattern)
        plain = graph.where(written, text, graph.constant("0"))
        for mark in self._dropped():
            most = 2 if mark in (self.unit, *f"()-+{_MINUS}") else _MOST_BLANKS + _MOST_GROUPS
            plain = _joined(graph, plain, mark, most, "")
        if self.decimal != ".":
            plain = _joined(graph, plain, self.decimal, 1, ".")
        read = graph.where(written, plain, text)
        fits = graph.node("RegexFullMatch", read, pattern=NUMBER)
        number = graph.cast(graph.where(fits, read, graph.constant("0")), "double")
        if self.accounting:
            below = graph.node("RegexFullMatch", text, pattern=f".*{_NEGATIVE}.*")
            below = graph.node("And", written, below)
            number = graph.where(below, graph.node("Neg", number), number)
        return graph.where(fits, number, nan)

    def _dropped(self) -> list[str]:
        """The marks that are taken out, a unit with a blank in it before the blanks."""
        marks = [self.unit, self.group, *_BLANKS, "+", *("()-" + _MINUS) * self.accounting]
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
    if not known:
        return None
    bare = [_without_brackets(v.strip()) for v in known]
    accounting = any(b != v.strip() for b, v in zip(bare, known, strict=True))
    around = [found for v in bare if (found := _AROUND.fullmatch(v))]
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
    if unit.casefold() in _MAGNITUDES and units[unit] < _SHARE * len(around):
        return None
    if len(unit) > _LONGEST_UNIT or any(c.isdigit() for c in unit):
        return None
    formats = [
        NumberFormat(decimal=decimal, group=group, unit=unit, accounting=accounting)
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
    grouped = [
        f
        for f in equal
        if f.group and any(re.search(rf"[0-9]{re.escape(f.group)}[0-9]{{3}}", v) for v in known)
    ]
    plain = [f for f in equal if not f.group and (f.decimal in "".join(known) or f.decimal == ".")]
    chosen = (grouped or plain or equal)[0]
    others = [f for f in equal if any(not _same(f.read(v), chosen.read(v)) for v in known[:100])]
    return chosen, bool(others)


def _without_brackets(text: str) -> str:
    """A value as it would be if it were not negative, where that is told in the ways of accountants."""
    if (found := _BRACKETED.fullmatch(text)) is not None:
        return "".join(found.groups()).strip()
    if re.fullmatch(r".*[0-9,.]-[^0-9-]*", text, re.DOTALL):
        text = "".join(text.rsplit("-", 1))
    return text.replace(_MINUS, "")


def _is_currency(text: str) -> bool:
    return text in _CURRENCIES or any(unicodedata.category(c) == "Sc" for c in text)


def _same(one: float, other: float) -> bool:
    return one == other or (one != one and other != other)
