"""Dates and times that are written as text, in the few ways that both Spark and ONNX operators can read."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from synml_dagster.columns.raw import MICROSECONDS_A_DAY

if TYPE_CHECKING:
    from pyspark.sql import Column

    from synml_dagster.onnx.graph import Graph

_FIRST_DAY = -719_162  # 0001-01-01, in days since 1970-01-01
_HAIR = 0.0005  # 0.123457 * 1e6 is a little less than 123457
_PIVOT = 69
"""Two-digit years from here on are of the twentieth century, as POSIX has it."""

_ENGLISH = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]


def _forms() -> dict[str, int]:
    """Every way that a month's name is written, and its number."""
    forms: dict[str, int] = {}
    for i, name in enumerate(_ENGLISH, 1):
        for word in (name, name[:3], *(["Sept"] if i == 9 else [])):
            forms |= {word: i, word.upper(): i, word.lower(): i}
    return forms


MONTHS = _forms()

_DIGITS = {"y": "[0-9]{4}", "m": "(?:0[1-9]|1[0-2])", "d": "(?:0[1-9]|[12][0-9]|3[01])", "q": "[1-4]"}
_SHORT = {"m": "(?:0?[1-9]|1[0-2])", "d": "(?:0?[1-9]|[12][0-9]|3[01])"}
_CLOCKS = {
    "HH:mm:ss": "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]",
    "HH:mm": "(?:[01][0-9]|2[0-3]):[0-5][0-9]",
    "H:mm:ss": "(?:[01]?[0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]",
    "H:mm": "(?:[01]?[0-9]|2[0-3]):[0-5][0-9]",
    "h:mm:ss a": "(?:0?[1-9]|1[0-2]):[0-5][0-9]:[0-5][0-9] (?:AM|PM|am|pm)",
    "h:mm a": "(?:0?[1-9]|1[0-2]):[0-5][0-9] (?:AM|PM|am|pm)",
}


@dataclass(frozen=True)
class Pattern:
    """How a date is written.

    Attributes
    ----------
    mark, order
        What stands between the parts, and their order: y year, m month, d day, q quarter. A part that is not there is its first.
    before_time, clock
        What stands before a time of day, and how that is written; None where there is none.
    short
        Whether days, months and hours below ten may have one digit.
    named
        Whether the month is a name in English.
    century
        Whether the year has its century.
    comma
        Whether a comma follows the day.
    fraction
        What stands before a fraction of the second, "" where there is none; a value may lack it.
    zone
        What follows the time of day: a word for UTC, or a sign and `hh:mm`, `hhmm` or `hh` for the distance from it.
    """

    mark: str
    order: str
    before_time: str | None = None
    clock: str = "HH:mm:ss"
    short: bool = False
    named: bool = False
    century: bool = True
    comma: bool = False
    fraction: str = ""
    zone: str = ""

    @property
    def java(self) -> str:
        """As Java writes it, for Spark's `date_format` of a time in UTC."""
        letters = {"y": "yyyy" if self.century else "yy", "m": "M" if self.short else "MM", "q": "q"}
        letters |= {"d": ("d" if self.short else "dd") + "," * self.comma}
        letters |= {"m": "MMM"} if self.named else {}
        date = f"'{self.mark}'".join(letters[p] for p in self.order)
        if not self.before_time:
            return date
        fraction = f"'{self.fraction}'SSSSSS" if self.fraction else ""
        zone = self.zone.replace("hh", "00").replace("mm", "00")
        return f"{date}'{self.before_time}'{self.clock}{fraction}" + (f"'{zone}'" if zone else "")

    @property
    def has_time(self) -> bool:
        """Whether a time of day follows."""
        return self.before_time is not None

    @property
    def regex(self) -> str:
        """What a value must match whole; Java, RE2 and Python read it alike."""
        parts = _DIGITS | (_SHORT if self.short else {})
        if self.named:
            parts["m"] = f"(?:{'|'.join(sorted(MONTHS, key=len, reverse=True))})"
        if not self.century:
            parts["y"] = "[0-9]{2}"
        if self.comma:
            parts["d"] += ","
        date = re.escape(self.mark).join(parts[p] for p in self.order)
        if not self.before_time:
            return date
        fraction = f"(?:{re.escape(self.fraction)}[0-9]{{1,9}})?" if self.fraction else ""
        zone = re.escape(self.zone).replace("hh", "(?:0[0-9]|1[0-8])").replace("mm", "[0-5][0-9]")
        return date + self.before_time + _CLOCKS[self.clock] + fraction + zone

    @property
    def fields(self) -> str:
        """As `regex`, with a group for each part of the date in its order, and for what `clock_parts` names."""
        loose = {
            "y": "([0-9]+)",
            "m": "([A-Za-z]+)" if self.named else "([0-9]+)",
            "d": "([0-9]+),?",
            "q": "([1-4])",
        }
        date = re.escape(self.mark).join(loose[p] for p in self.order)
        if not self.before_time:
            return date
        clock = (
            "([0-9]+):([0-9]+)"
            + ":([0-9]+)" * ("ss" in self.clock)
            + " ([A-Za-z]+)" * self.clock.endswith("a")
        )
        if self.fraction:
            clock += f"(?:{re.escape(self.fraction)}([0-9]+))?"
        zone = re.escape(self.zone).replace("hh", "([0-9][0-9])").replace("mm", "([0-9][0-9])")
        return f"{date}{self.before_time}{clock}{zone}"

    @property
    def clock_parts(self) -> list[str]:
        """What of a time of day has a group in `fields`, in order."""
        told = {
            "second": "ss" in self.clock,
            "half": self.clock.endswith("a"),
            "fraction": bool(self.fraction),
            "zone_hour": "hh" in self.zone,
            "zone_minute": "mm" in self.zone,
        }
        return ["hour", "minute", *(part for part, there in told.items() if there)]

    @property
    def example(self) -> str:
        """A value that the pattern reads."""
        parts = {
            "y": "1970" if self.century else "70",
            "m": "Jan" if self.named else "01",
            "d": "01" + "," * self.comma,
            "q": "1",
        }
        clock = {
            "HH:mm:ss": "00:00:00",
            "HH:mm": "00:00",
            "H:mm:ss": "00:00:00",
            "H:mm": "00:00",
            "h:mm:ss a": "12:00:00 AM",
            "h:mm a": "12:00 AM",
        }
        zone = self.zone.replace("hh", "00").replace("mm", "00")
        return self.mark.join(parts[p] for p in self.order) + (
            self.before_time + clock[self.clock] + zone if self.before_time else ""
        )


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
    "yyyy-MM": Pattern("-", "ym"),
    "yyyyQq": Pattern("Q", "yq"),
    "yyyy-Qq": Pattern("-Q", "yq"),
    "yyyy Qq": Pattern(" Q", "yq"),
    "MMM d, yyyy": Pattern(" ", "mdy", short=True, named=True, comma=True),
    "d MMM yyyy": Pattern(" ", "dmy", short=True, named=True),
    "MMM yyyy": Pattern(" ", "my", named=True),
    "MMM-yyyy": Pattern("-", "my", named=True),
    "MMM-yy": Pattern("-", "my", named=True, century=False),
    "MM/yyyy": Pattern("/", "my"),
    "M/yyyy": Pattern("/", "my", short=True),
    "yyyy/MM": Pattern("/", "ym"),
    "yyyy.MM.dd": Pattern(".", "ymd"),
}
"""The ways by the names that plans keep; of those that read a column equally well the first is taken."""


def _add_short() -> None:
    """People's own: days before months and after them, with one digit or two, years with and without their century."""
    orders = (
        ("d/M/", "/", "dmy"),
        ("M/d/", "/", "mdy"),
        ("d.M.", ".", "dmy"),
        ("d-M-", "-", "dmy"),
        ("M-d-", "-", "mdy"),
    )
    for century in (True, False):
        year = "yyyy" if century else "yy"
        for name, mark, order in orders:
            PATTERNS[name + year] = Pattern(mark, order, short=True, century=century)
        PATTERNS[f"d-MMM-{year}"] = Pattern("-", "dmy", short=True, named=True, century=century)
        for clock in ("H:mm", "H:mm:ss", "h:mm a", "h:mm:ss a"):
            for name, mark, order in orders:
                PATTERNS[f"{name}{year} {clock}"] = Pattern(
                    mark, order, " ", clock, short=True, century=century
                )
            PATTERNS[f"d-MMM-{year} {clock}"] = Pattern(
                "-", "dmy", " ", clock, short=True, named=True, century=century
            )
    for clock in ("H:mm", "h:mm a"):
        PATTERNS[f"yyyy-MM-dd {clock}"] = Pattern("-", "ymd", " ", clock, short=True)
        PATTERNS[f"yyyy/MM/dd {clock}"] = Pattern("/", "ymd", " ", clock, short=True)
    for before in ("T", " "):
        # As programs write moments: a fraction of the second, and where on earth the clock hangs.
        for zone in ("", "Z", " UTC", *(sign + off for sign in "+-" for off in ("hh:mm", "hhmm", "hh"))):
            name = f"yyyy-MM-dd{before}HH:mm"
            for mark in (".", ",") if not zone else (".",):
                PATTERNS[f"{name}:ss{mark}S{zone}"] = Pattern("-", "ymd", before, fraction=mark, zone=zone)
            if zone:
                PATTERNS[name + zone] = Pattern("-", "ymd", before, "HH:mm", zone=zone)
    PATTERNS["yyyy-MM-ddTH:mm"] = Pattern("-", "ymd", "T", "H:mm", short=True)


_add_short()


def recognise(values: list[str], share: float = 0.95) -> str | None:
    """Return the way that at least `share` of `values` are written in, or None.

    Day before month is told from month before day by values that only one of them can read; where all values
    fit both, the day comes first, and `ambiguous` says so.
    """
    if not values:
        return None
    best: tuple[int, str] | None = None
    for name, hits in _hits(values):
        if hits >= share * len(values) and (best is None or hits > best[0]):
            best = (hits, name)
    return best[1] if best else None


def ambiguous(values: list[str], written: str) -> str | None:
    """Return the way that reads all of `values` that `written` reads with month and day the other way round, or None."""
    chosen = PATTERNS[written]
    if chosen.named or chosen.order not in ("dmy", "mdy"):
        return None
    turned = replace(chosen, order="mdy" if chosen.order == "dmy" else "dmy")
    name = next((n for n, p in PATTERNS.items() if p == turned), None)
    if name is None:
        return None
    read = [v for v in values if re.fullmatch(chosen.regex, v)]
    return name if read and all(re.fullmatch(turned.regex, v) for v in read) else None


def _hits(values: list[str]) -> list[tuple[str, int]]:
    # Most of the ways are none for most columns: a few values tell.
    first = values[:20]
    found = []
    for name, pattern in PATTERNS.items():
        matcher = re.compile(pattern.regex)
        if any(matcher.fullmatch(v) for v in first):
            found.append((name, sum(1 for v in values if matcher.fullmatch(v))))
    return found


def parse_spark(text: Column, pattern: Pattern) -> Column:
    """Return days, or microseconds where there is a time, since 1970 as float64; NaN where it is not a date."""
    from pyspark.sql import functions as sf

    def field(i: int) -> Column:
        return sf.regexp_extract(text, f"^{pattern.fields}$", i)

    place = {part: field(i) for i, part in enumerate(pattern.order, 1)}
    year = place["y"].try_cast("int")
    if not pattern.century:
        year = sf.when(year >= _PIVOT, year + 1900).otherwise(year + 2000)
    if "q" in place:
        month = place["q"].try_cast("int") * 3 - 2
    elif pattern.named:
        names = sf.create_map(*(sf.lit(v) for pair in MONTHS.items() for v in pair))
        month = sf.try_element_at(names, place["m"])
    else:
        month = place["m"].try_cast("int")
    day = place["d"].try_cast("int") if "d" in place else sf.lit(1)
    iso = sf.concat_ws(
        "-", *(sf.lpad(part.cast("string"), n, "0") for part, n in ((year, 4), (month, 2), (day, 2)))
    )
    days = sf.unix_date(sf.try_to_timestamp(iso, sf.lit("yyyy-MM-dd")).cast("date"))
    # Spark reads the year 0000, which databases write where they know no date.
    dated = text.rlike(f"^(?:{pattern.regex})$") & (days >= _FIRST_DAY)
    days = sf.when(dated, days).cast("double")
    if pattern.has_time:
        clock = {part: field(i) for i, part in enumerate(pattern.clock_parts, len(pattern.order) + 1)}

        def whole(part: str) -> Column:
            return clock[part].try_cast("int") if part in clock else sf.lit(0)

        hour = whole("hour")
        if "half" in clock:
            hour = hour % 12 + sf.when(sf.lower(clock["half"]) == "pm", 12).otherwise(0)
        if pattern.zone:
            sign = -1 if pattern.zone.startswith("+") else 1
            hour = hour + whole("zone_hour") * sign
        minute = whole("minute") + (whole("zone_minute") * sign if pattern.zone else 0)
        days = days * MICROSECONDS_A_DAY + ((hour * 60 + minute) * 60 + whole("second")) * 1e6
        if "fraction" in clock:
            part = sf.concat(sf.lit("0."), clock["fraction"]).try_cast("double")
            days = days + sf.floor(part * 1e6 + _HAIR)
    return sf.coalesce(days, sf.lit(float("nan")))


def parse_onnx(graph: Graph, text: str, pattern: Pattern) -> str:
    """Return what `parse_spark` returns, as a float64 tensor `[rows, 1]`."""
    import numpy as np

    written = graph.node("RegexFullMatch", text, pattern=pattern.regex)
    text = graph.where(written, text, graph.constant(pattern.example))
    if pattern.has_time and pattern.before_time == " ":
        halves = _split(graph, text, " ", 3 if pattern.clock.endswith("a") else 2)
    else:
        halves = _split(graph, text, pattern.before_time or " ", 2) if pattern.has_time else [text]
    fields = dict(zip(pattern.order, _split(graph, halves[0], pattern.mark, len(pattern.order)), strict=True))
    number = lambda v: graph.constant(v, np.int64)  # noqa: E731

    def op(name: str, a: str, b: str) -> str:
        return graph.node(name, a, b)

    def whole(part: str) -> str:
        return graph.cast(fields[part], "int64")

    year = whole("y")
    if not pattern.century:
        late_century = graph.cast(op("Less", year, number(_PIVOT)), "int64")
        year = op("Add", op("Add", year, number(1900)), op("Mul", late_century, number(100)))
    if "q" in fields:
        month = op("Sub", op("Mul", whole("q"), number(3)), number(2))
    elif pattern.named:
        month = graph.node(
            "LabelEncoder",
            fields["m"],
            domain="ai.onnx.ml",
            keys_strings=list(MONTHS),
            values_int64s=list(MONTHS.values()),
            default_int64=1,
        )
    else:
        month = whole("m")
    if "d" not in fields:
        day = number(1)
    else:
        if pattern.comma:
            fields["d"] = _split(graph, fields["d"], ",", 2)[0]
        day = whole("d")

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
        day_time, offset = _without_zone(graph, halves[1], pattern)
        if pattern.fraction:
            mark = graph.constant(f"{pattern.fraction}0")
            broken = graph.node("RegexFullMatch", day_time, pattern=f".*{re.escape(pattern.fraction)}[0-9]+")
            day_time = graph.where(broken, day_time, graph.node("StringConcat", day_time, mark))
            day_time, digits = _split(graph, day_time, pattern.fraction, 2)
        clock = _split(graph, day_time, ":", 3 if "ss" in pattern.clock else 2)
        times = [graph.cast(piece, "int64") for piece in clock]
        if pattern.clock.endswith("a"):
            half = graph.node(
                "LabelEncoder",
                halves[2],
                domain="ai.onnx.ml",
                keys_strings=["AM", "am", "PM", "pm"],
                values_int64s=[0, 0, 12, 12],
                default_int64=0,
            )
            times[0] = op("Add", graph.node("Mod", times[0], number(12), fmod=0), half)
        seconds = number(0)
        for piece, unit in zip(times, (3600, 60, 1), strict=False):
            seconds = op("Add", seconds, op("Mul", piece, number(unit)))
        if offset is not None:
            seconds = op("Add" if pattern.zone.startswith("-") else "Sub", seconds, offset)
        micros = op("Add", op("Mul", days, number(MICROSECONDS_A_DAY)), op("Mul", seconds, number(1_000_000)))
        if pattern.fraction:
            part = graph.cast(graph.node("StringConcat", graph.constant("0."), digits), "double")
            part = op("Mul", part, graph.constant(1e6, np.float64))
            part = graph.node("Floor", op("Add", part, graph.constant(_HAIR, np.float64)))
            micros = op("Add", micros, graph.cast(part, "int64"))
        value = graph.cast(micros, "double")
    return graph.where(valid, value, graph.constant(np.nan, np.float64))


def _without_zone(graph: Graph, text: str, pattern: Pattern) -> tuple[str, str | None]:
    """The time of day without what follows it, and the seconds that it is away from UTC."""
    import numpy as np

    if not pattern.zone:
        return text, None
    if "hh" not in pattern.zone:
        return _split(graph, text, pattern.zone, 2)[0], None
    sign, form = pattern.zone[0], pattern.zone[1:]
    text, away = _split(graph, text, sign, 2)
    number = lambda v: graph.constant(v, np.int64)  # noqa: E731
    if form == "hh:mm":
        hours, minutes = (graph.cast(piece, "int64") for piece in _split(graph, away, ":", 2))
    else:
        whole = graph.cast(away, "int64")
        step = number(100 if form == "hhmm" else 1)
        hours = graph.node("Div", whole, step)
        minutes = graph.node("Mod", whole, step, fmod=0)
    seconds = graph.node("Mul", graph.node("Add", graph.node("Mul", hours, number(60)), minutes), number(60))
    return text, seconds


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

    found = re.fullmatch(pattern.fields, text, re.ASCII)
    if found is None or not re.fullmatch(pattern.regex, text, re.ASCII):
        return float("nan")
    place = dict(zip(pattern.order, found.groups(), strict=False))
    year = int(place["y"])
    if not pattern.century:
        year += 1900 if year >= _PIVOT else 2000
    if "q" in place:
        month = 3 * int(place["q"]) - 2
    else:
        month = MONTHS[place["m"]] if pattern.named else int(place["m"])
    try:
        day = date(year, month, int(place.get("d", 1)))
    except ValueError:
        return float("nan")
    days = float((day - date(1970, 1, 1)).days)
    if not pattern.has_time:
        return days
    clock = dict(zip(pattern.clock_parts, found.groups()[len(pattern.order) :], strict=True))
    hours, minutes, seconds = int(clock["hour"]), int(clock["minute"]), int(clock.get("second", 0))
    if "half" in clock:
        hours = hours % 12 + 12 * (clock["half"].lower() == "pm")
    sign = -1 if pattern.zone.startswith("+") else 1
    hours += sign * int(clock.get("zone_hour", 0))
    minutes += sign * int(clock.get("zone_minute", 0))
    micros = math.floor(float(f"0.{clock['fraction']}") * 1e6 + _HAIR) if clock.get("fraction") else 0
    return days * MICROSECONDS_A_DAY + ((hours * 60 + minutes) * 60 + seconds) * 1e6 + micros
