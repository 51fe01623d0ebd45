"""Text that is written in one of the known ways, read as a date or a time: by Spark, by ONNX operators and by Python, all alike."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from synml_dagster.columns.raw import MICROSECONDS_A_DAY
from synml_dagster.columns.time_format import MONTHS, Pattern

if TYPE_CHECKING:
    from pyspark.sql import Column

    from synml_dagster.onnx.graph import Graph

_FIRST_DAY = -719_162  # 0001-01-01, in days since 1970-01-01
_HAIR = 0.0005  # 0.123457 * 1e6 is a little less than 123457
_PIVOT = 69
"""Two-digit years from here on are of the twentieth century, as POSIX has it."""


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
    if pattern.has_time:
        pieces = 3 if pattern.before_time == " " and pattern.clock.endswith("a") else 2
        halves = _split(graph, text, pattern.before_time or " ", pieces)
    else:
        halves = [text]
    year, month, day = _date(graph, halves[0], pattern)
    valid = graph.node("And", written, _is_there(graph, year, month, day))
    value = _days(graph, year, month, day)
    if pattern.has_time:
        value = _moment(graph, value, halves[1:], pattern)
    return graph.where(valid, graph.cast(value, "double"), graph.constant(np.nan, np.float64))


def _date(graph: Graph, text: str, pattern: Pattern) -> tuple[str, str, str]:
    """Return year, month and day of texts that are written as the pattern has it, int64 each."""
    fields = dict(zip(pattern.order, _split(graph, text, pattern.mark, len(pattern.order)), strict=True))
    op, number = graph.node, graph.whole

    year = graph.cast(fields["y"], "int64")
    if not pattern.century:
        late_century = graph.cast(op("Less", year, number(_PIVOT)), "int64")
        year = op("Add", op("Add", year, number(1900)), op("Mul", late_century, number(100)))
    if "q" in fields:
        month = op("Sub", op("Mul", graph.cast(fields["q"], "int64"), number(3)), number(2))
    elif pattern.named:
        month = _looked_up(graph, fields["m"], MONTHS, 1)
    else:
        month = graph.cast(fields["m"], "int64")
    if "d" not in fields:
        return year, month, number(1)
    day = _split(graph, fields["d"], ",", 2)[0] if pattern.comma else fields["d"]
    return year, month, graph.cast(day, "int64")


def _days(graph: Graph, year: str, month: str, day: str) -> str:
    """Return the days since 1970 of dates of the Gregorian calendar, int64."""
    op, number = graph.node, graph.whole
    late = graph.cast(op("Less", month, number(3)), "int64")
    # Years count from March, as in `datetime._calendar`; 400 is added so that year 0000 stays positive.
    y = op("Add", op("Sub", year, late), number(400))
    m = op("Mod", op("Add", month, number(9)), number(12), fmod=0)
    doy = op(
        "Add",
        op("Div", op("Add", op("Mul", m, number(153)), number(2)), number(5)),
        op("Sub", day, number(1)),
    )
    days = op("Add", op("Mul", y, number(365)), op("Div", y, number(4)))
    days = op("Add", op("Sub", days, op("Div", y, number(100))), op("Div", y, number(400)))
    return op("Sub", op("Add", days, doy), number(719_468 + 146_097))


def _is_there(graph: Graph, year: str, month: str, day: str) -> str:
    """Return whether there is such a day: 30 February passes the pattern, Spark's parser refuses it, and so must this."""
    import numpy as np

    op, number = graph.node, graph.whole
    leap4, leap100, leap400 = (
        op("Equal", op("Mod", year, number(n), fmod=0), number(0)) for n in (4, 100, 400)
    )
    leap = op("And", leap4, op("Or", op("Not", leap100), leap400))
    lengths = graph.constant(np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], dtype=np.int64))
    length = op("Gather", lengths, op("Sub", month, number(1)))
    february = op("And", op("Equal", month, number(2)), leap)
    length = op("Add", length, graph.cast(february, "int64"))
    return op("And", op("LessOrEqual", day, length), op("Greater", year, number(0)))


def _moment(graph: Graph, days: str, parts: Sequence[str], pattern: Pattern) -> str:
    """Return the microseconds since 1970 of times of these days, int64; `parts` are the time, and AM or PM where there is it."""
    import numpy as np

    op, number = graph.node, graph.whole
    day_time, offset = _without_zone(graph, parts[0], pattern)
    digits = None
    if pattern.fraction:
        mark = graph.constant(f"{pattern.fraction}0")
        broken = op("RegexFullMatch", day_time, pattern=f".*{re.escape(pattern.fraction)}[0-9]+")
        day_time = graph.where(broken, day_time, op("StringConcat", day_time, mark))
        day_time, digits = _split(graph, day_time, pattern.fraction, 2)
    clock = _split(graph, day_time, ":", 3 if "ss" in pattern.clock else 2)
    times = [graph.cast(piece, "int64") for piece in clock]
    if pattern.clock.endswith("a"):
        half = _looked_up(graph, parts[1], {"AM": 0, "am": 0, "PM": 12, "pm": 12}, 0)
        times[0] = op("Add", op("Mod", times[0], number(12), fmod=0), half)
    seconds = number(0)
    for piece, unit in zip(times, (3600, 60, 1), strict=False):
        seconds = op("Add", seconds, op("Mul", piece, number(unit)))
    if offset is not None:
        seconds = op("Add" if pattern.zone.startswith("-") else "Sub", seconds, offset)
    micros = op("Add", op("Mul", days, number(MICROSECONDS_A_DAY)), op("Mul", seconds, number(1_000_000)))
    if digits is None:
        return micros
    part = graph.cast(op("StringConcat", graph.constant("0."), digits), "double")
    part = op("Mul", part, graph.constant(1e6, np.float64))
    part = op("Floor", op("Add", part, graph.constant(_HAIR, np.float64)))
    return op("Add", micros, graph.cast(part, "int64"))


def _looked_up(graph: Graph, words: str, table: Mapping[str, int], otherwise: int) -> str:
    return graph.node(
        "LabelEncoder",
        words,
        domain="ai.onnx.ml",
        keys_strings=list(table),
        values_int64s=list(table.values()),
        default_int64=otherwise,
    )


def _without_zone(graph: Graph, text: str, pattern: Pattern) -> tuple[str, str | None]:
    """The time of day without what follows it, and the seconds that it is away from UTC."""
    if not pattern.zone:
        return text, None
    if "hh" not in pattern.zone:
        return _split(graph, text, pattern.zone, 2)[0], None
    sign, form = pattern.zone[0], pattern.zone[1:]
    text, away = _split(graph, text, sign, 2)
    number = graph.whole
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
