"""Dates and times as calendar parts, read on the clock of a stated time zone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from synml_dagster.columns.raw import MICROSECONDS_A_DAY
from synml_dagster.columns.time_format import PATTERNS
from synml_dagster.columns.time_parsing import parse_onnx, parse_spark
from synml_dagster.features.kinds.base import FittedColumn
from synml_dagster.features.kinds.zone import ZoneGrid
from synml_dagster.features.spec import DatePart

if TYPE_CHECKING:
    from pyspark.sql import Column

    from synml_dagster.onnx.graph import Graph

NAN = float("nan")
CYCLES = {"month_cycle": 12.0, "dayofweek_cycle": 7.0, "dayofyear_cycle": 365.25, "hour_cycle": 24.0}
_DAYS_TO_1970 = 719_468  # from 0000-03-01, the civil calendar's year that starts in March
_ERA = 146_097  # days of 400 years
_SHIFT = 1000  # eras added so that every dividend is positive: integer division truncates in ONNX


class DatetimeColumn(FittedColumn):
    """Calendar parts of a date or time; Monday is day 0 of a week; `days` and `age` count days with fractions.

    A cycle gives two features, the sine and the cosine of the part's place in it. `days` are counted from `origin`, in
    days since 1970: float32 takes times of one minute for equal that are counted from 1970.
    """

    kind: Literal["datetime"] = "datetime"
    parts: list[DatePart]
    time_zone: str = "UTC"
    reference: float | None = None
    origin: float = 0.0
    written: str | None = None

    def prepare(self, value: Column) -> Column:
        """Return days, or microseconds on the clock of the time zone, since 1970; null where missing."""
        from pyspark.sql import functions as sf

        if self.written is not None:
            value = parse_spark(value, PATTERNS[self.written])
        there = sf.when(~sf.isnan(value), value)
        if self._is_date():
            return there
        micros = there.cast("bigint")
        return micros if self._zone is None else micros + self._zone.to_spark(micros)

    def to_spark(self, value: Column, fold: Column | None = None) -> list[Column]:
        """Return the parts, a cycle as its sine and its cosine."""
        from pyspark.sql import functions as sf

        if self._is_date():
            days, exact = value.cast("int"), value
            hour = minute = sf.lit(0.0)
        else:
            clock = sf.pmod(value, sf.lit(MICROSECONDS_A_DAY))
            days = ((value - clock) / MICROSECONDS_A_DAY).cast("int")
            exact = value.cast("double") / float(MICROSECONDS_A_DAY)
            hour = sf.floor(clock / 3_600_000_000)
            minute = sf.floor(clock / 60_000_000) % 60
        date = sf.date_from_unix_date(days)
        made = {
            "days": lambda: exact - self.origin,
            "age": lambda: sf.lit(self.reference) - exact,
            "year": lambda: sf.year(date),
            "quarter": lambda: sf.quarter(date),
            "month": lambda: sf.month(date),
            "day": lambda: sf.dayofmonth(date),
            "dayofweek": lambda: sf.weekday(date),
            "dayofyear": lambda: sf.dayofyear(date),
            "hour": lambda: hour,
            "minute": lambda: minute,
        }
        out = []
        for part in self.parts:
            if part in CYCLES:
                base = part.removesuffix("_cycle")
                first = 0 if base in ("dayofweek", "hour") else 1
                angle = (made[base]().cast("double") - first) * (2 * math.pi / CYCLES[part])
                out += [sf.sin(angle), sf.sin(angle + math.pi / 2)]
            else:
                out.append(made[part]().cast("double"))
        return [sf.coalesce(sf.when(value.isNotNull(), o), sf.lit(NAN)) for o in out]

    def to_onnx(self, graph: Graph, value: str) -> str:
        """Return the parts side by side, a cycle as its sine and its cosine."""
        import numpy as np

        if self.written is not None:
            value = parse_onnx(graph, value, PATTERNS[self.written])
        missing = graph.node("IsNaN", value)
        number = graph.where(missing, graph.constant(0.0, np.float64), value)
        whole = graph.cast(number, "int64")
        arith = _Integers(graph)
        if self._is_date():
            days, clock, exact = whole, graph.constant(0, np.int64), number
        else:
            if self._zone is not None:
                whole = graph.node("Add", whole, self._zone.to_onnx(graph, whole))
            clock = arith.mod(whole, MICROSECONDS_A_DAY)
            days = arith.div(graph.node("Sub", whole, clock), MICROSECONDS_A_DAY)
            exact = graph.node(
                "Div", graph.cast(whole, "double"), graph.constant(float(MICROSECONDS_A_DAY), np.float64)
            )
        calendar = _calendar(arith, days) | {
            "hour": arith.div(clock, 3_600_000_000),
            "minute": arith.mod(arith.div(clock, 60_000_000), 60),
        }
        out = []
        for part in self.parts:
            if part == "days":
                origin = graph.constant(self.origin, np.float64)
                out.append(graph.node("Sub", exact, origin) if self.origin else exact)
            elif part == "age":
                out.append(graph.node("Sub", graph.constant(self.reference, np.float64), exact))
            elif part in CYCLES:
                base = part.removesuffix("_cycle")
                first = 0 if base in ("dayofweek", "hour") else 1
                place = graph.cast(arith.add(calendar[base], -first), "double")
                angle = graph.node("Mul", place, graph.constant(2 * math.pi / CYCLES[part], np.float64))
                quarter = graph.constant(math.pi / 2, np.float64)
                out += [graph.node("Sin", angle), graph.node("Sin", graph.node("Add", angle, quarter))]
            else:
                out.append(graph.cast(calendar[part], "double"))
        nan = graph.constant(np.nan, np.float64)
        # An hour of a date is one constant for all rows; Where against the rows' mask gives it their shape.
        return graph.cast(graph.concat([graph.where(missing, nan, o) for o in out]), "float")

    def _is_date(self) -> bool:
        if self.written is not None:
            return not PATTERNS[self.written].has_time
        return self.input.storage == "date"

    @property
    def _zone(self) -> ZoneGrid | None:
        fixed = self.time_zone == "UTC" or self.input.wall_clock or self._is_date()
        return None if fixed else ZoneGrid.of(self.time_zone)


class _Integers:
    """int64 arithmetic with constants."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def _with(self, op: str, a: str, b: str | int, **attributes: Any) -> str:
        import numpy as np

        other = b if isinstance(b, str) else self.graph.constant(b, np.int64)
        return self.graph.node(op, a, other, **attributes)

    def add(self, a: str, b: str | int) -> str:
        return self._with("Add", a, b)

    def sub(self, a: str, b: str | int) -> str:
        return self._with("Sub", a, b)

    def mul(self, a: str, b: str | int) -> str:
        return self._with("Mul", a, b)

    def div(self, a: str, b: str | int) -> str:
        return self._with("Div", a, b)

    def mod(self, a: str, b: str | int) -> str:
        return self._with("Mod", a, b, fmod=0)

    def less(self, a: str, b: int) -> str:
        return self._with("Less", a, b)


def _calendar(n: _Integers, days: str) -> dict[str, str]:
    """Days since 1970-01-01 to calendar parts by counting years from March (Hinnant, chrono-Compatible Low-Level
    Date Algorithms, 2013): the leap day is then the last of its year."""
    z = n.add(days, _DAYS_TO_1970 + _SHIFT * _ERA)
    era = n.div(z, _ERA)
    day_of_era = n.mod(z, _ERA)
    leaps = n.add(n.sub(n.div(day_of_era, 36_524), n.div(day_of_era, 1_460)), day_of_era)
    year_of_era = n.div(n.sub(leaps, n.div(day_of_era, 146_096)), 365)
    march_days = n.sub(
        day_of_era,
        n.sub(n.add(n.mul(year_of_era, 365), n.div(year_of_era, 4)), n.div(year_of_era, 100)),
    )
    march_month = n.div(n.add(n.mul(march_days, 5), 2), 153)
    day = n.add(n.sub(march_days, n.div(n.add(n.mul(march_month, 153), 2), 5)), 1)
    month = n.add(n.mod(n.add(march_month, 2), 12), 1)
    next_year = n.graph.cast(n.less(month, 3), "int64")
    positive_year = n.add(n.add(year_of_era, n.mul(era, 400)), next_year)
    before = n.add(positive_year, -1)
    first = n.add(n.mul(before, 365), n.div(before, 4))
    first = n.add(n.sub(first, n.div(before, 100)), n.div(before, 400))
    january = n.sub(first, 719_162 + _SHIFT * _ERA)
    return {
        "year": n.sub(positive_year, 400 * _SHIFT),
        "quarter": n.add(n.div(n.add(month, -1), 3), 1),
        "month": month,
        "day": day,
        "dayofweek": n.mod(n.add(days, 3), 7),
        "dayofyear": n.add(n.sub(days, january), 1),
    }
