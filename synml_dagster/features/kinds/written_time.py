"""Dates and times that are written as text, in the few ways that both Spark and ONNX operators can read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from synml_dagster.features.raw import MICROSECONDS_A_DAY

if TYPE_CHECKING:
    from pyspark.sql import Column

    from synml_dagster.features.graph import Graph

_Y, _M, _D = r"[0-9]{4}", r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12][0-9]|3[01])"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"

_FIRST_DAY = -719_162  # 0001-01-01, in days since 1970-01-01


@dataclass(frozen=True)
class Pattern:
    """How a date is written: the mark between its parts, their order, and what stands before a time of day."""

    mark: str
    order: str
    before_time: str | None = None

    @property
    def has_time(self) -> bool:
        """Whether a time of day follows."""
        return self.before_time is not None

    @property
    def regex(self) -> str:
        """What a value must match whole; Java, RE2 and Python read it alike."""
        parts = {"y": _Y, "m": _M, "d": _D}
        date = re.escape(self.mark).join(parts[p] for p in self.order)
        return date + (self.before_time + _TIME if self.before_time else "")


PATTERNS: dict[str, Pattern] = {
    "yyyy-MM-dd": Pattern("-", "ymd"),
    "yyyy-MM-dd HH:mm:ss": Pattern("-", "ymd", " "),
    "yyyy-MM-ddTHH:mm:ss": Pattern("-", "ymd", "T"),
    "yyyy/MM/dd": Pattern("/", "ymd"),
    "dd/MM/yyyy": Pattern("/", "dmy"),
    "MM/dd/yyyy": Pattern("/", "mdy"),
    "dd.MM.yyyy": Pattern(".", "dmy"),
    "yyyy/MM/dd HH:mm:ss": Pattern("/", "ymd", " "),
    "dd/MM/yyyy HH:mm:ss": Pattern("/", "dmy", " "),
    "MM/dd/yyyy HH:mm:ss": Pattern("/", "mdy", " "),
    "dd.MM.yyyy HH:mm:ss": Pattern(".", "dmy", " "),
}


def recognise(values: list[str], share: float = 0.99) -> str | None:
    """Return the way that at least `share` of `values` are written in, or None.

    Day before month is told from month before day by values that only one of them can read; where all values
    fit both, the day comes first, and the plan shows it.
    """
    if not values:
        return None
    best: tuple[int, str] | None = None
    for name, pattern in PATTERNS.items():
        matcher = re.compile(pattern.regex)
        hits = sum(1 for v in values if matcher.fullmatch(v))
        if hits >= share * len(values) and (best is None or hits > best[0]):
            best = (hits, name)
    return best[1] if best else None


def parse_spark(text: Column, pattern: Pattern) -> Column:
    """Return days, or microseconds where there is a time, since 1970 as float64; NaN where it is not a date."""
    from pyspark.sql import functions as sf

    java = {"y": "yyyy", "m": "MM", "d": "dd"}
    layout = pattern.mark.join(java[p] for p in pattern.order)
    day = sf.try_to_timestamp(sf.substring(text, 1, 10), sf.lit(layout)).cast("date")
    days = sf.unix_date(day)
    # Spark reads the year 0000, which databases write where they know no date.
    dated = text.rlike(f"^(?:{pattern.regex})$") & (days >= _FIRST_DAY)
    days = sf.when(dated, days).cast("double")
    if pattern.has_time:
        seconds = sum(
            (
                sf.substring(text, at, 2).try_cast("int") * unit
                for at, unit in ((12, 3600), (15, 60), (18, 1))
            ),
            sf.lit(0),
        )
        days = days * MICROSECONDS_A_DAY + seconds * 1e6
    return sf.coalesce(days, sf.lit(float("nan")))


def parse_onnx(graph: Graph, text: str, pattern: Pattern) -> str:
    """Return what `parse_spark` returns, as a float64 tensor `[rows, 1]`."""
    import numpy as np

    parts = {"y": "1970", "m": "01", "d": "01"}
    stand_in = pattern.mark.join(parts[p] for p in pattern.order)
    stand_in += f"{pattern.before_time}00:00:00" if pattern.before_time else ""
    written = graph.node("RegexFullMatch", text, pattern=pattern.regex)
    text = graph.where(written, text, graph.constant(stand_in))
    pieces = _split(graph, text, pattern.before_time or " ", 2 if pattern.has_time else 1)
    fields = _split(graph, pieces[0], pattern.mark, 3)
    year, month, day = (graph.cast(fields[pattern.order.index(p)], "int64") for p in "ymd")
    number = lambda v: graph.constant(v, np.int64)  # noqa: E731

    def op(name: str, a: str, b: str) -> str:
        return graph.node(name, a, b)

    late = graph.cast(op("Less", month, number(3)), "int64")
    # Years count from March, as in `datetime._calendar`; 400 is added so that year 0000 stays positive.
    y = op("Add", op("Sub", year, late), number(400))
    m = graph.node("Mod", op("Add", month, number(9)), number(12), fmod=0)
    doy = op(
        "Add",
        op("Div", op("Add", op("Mul", m, number(153)), number(2)), number(5)),
        op("Sub", day, number(1)),
    )
    days = op("Add", op("Mul", y, number(365)), op("Div", y, number(4)))
    days = op("Add", op("Sub", days, op("Div", y, number(100))), op("Div", y, number(400)))
    days = op("Sub", op("Add", days, doy), number(719_468 + 146_097))
    # 30 February passes the pattern; Spark's parser refuses it, and so must this.
    leap4 = graph.node("Equal", graph.node("Mod", year, number(4), fmod=0), number(0))
    leap100 = graph.node("Equal", graph.node("Mod", year, number(100), fmod=0), number(0))
    leap400 = graph.node("Equal", graph.node("Mod", year, number(400), fmod=0), number(0))
    leap = graph.node("And", leap4, graph.node("Or", graph.node("Not", leap100), leap400))
    lengths = graph.constant(np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], dtype=np.int64))
    length = graph.node("Gather", lengths, op("Sub", month, number(1)))
    february = graph.node("And", graph.node("Equal", month, number(2)), leap)
    length = op("Add", length, graph.cast(february, "int64"))
    valid = graph.node("And", written, graph.node("LessOrEqual", day, length))
    valid = graph.node("And", valid, graph.node("Greater", year, number(0)))
    value = graph.cast(days, "double")
    if pattern.has_time:
        clock = _split(graph, pieces[1], ":", 3)
        seconds = number(0)
        for piece, unit in zip(clock, (3600, 60, 1), strict=True):
            seconds = op("Add", seconds, op("Mul", graph.cast(piece, "int64"), number(unit)))
        micros = op("Add", op("Mul", days, number(MICROSECONDS_A_DAY)), op("Mul", seconds, number(1_000_000)))
        value = graph.cast(micros, "double")
    return graph.where(valid, value, graph.constant(np.nan, np.float64))


def _split(graph: Graph, text: str, mark: str, n: int) -> list[str]:
    """Split `[rows, 1]` into n tensors `[rows, 1]`; each row is known to hold n pieces."""
    import numpy as np

    if n == 1:
        return [text]
    pieces = graph.node_outputs("StringSplit", text, delimiter=mark, maxsplit=n - 1, outputs=2)[0]
    pieces = graph.node("Reshape", pieces, graph.constant([-1, n], np.int64))
    return [graph.node("Gather", pieces, graph.constant([i], np.int64), axis=1) for i in range(n)]


def parse_text(text: str, pattern: Pattern) -> float:
    """Return what `parse_spark` returns, for one value in Python."""
    from datetime import date

    if not re.fullmatch(pattern.regex, text, re.ASCII):
        return float("nan")
    pieces = text[:10].split(pattern.mark)
    try:
        day = date(*(int(pieces[pattern.order.index(p)]) for p in "ymd"))
    except ValueError:
        return float("nan")
    days = float((day - date(1970, 1, 1)).days)
    if not pattern.has_time:
        return days
    hours, minutes, seconds = (int(p) for p in text[11:].split(":"))
    return days * MICROSECONDS_A_DAY + ((hours * 60 + minutes) * 60 + seconds) * 1e6
