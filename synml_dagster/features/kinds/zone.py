"""A time zone as a table of offsets that Spark and ONNX can both look up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from synml_dagster.errors import ConfigError, did_you_mean
from synml_dagster.features.compile.lookup import literal

if TYPE_CHECKING:
    from pyspark.sql import Column

    from synml_dagster.onnx.graph import Graph

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_SECOND = 1_000_000


@dataclass(frozen=True)
class ZoneGrid:
    """Offsets from UTC in cells of equal length, each with at most one change of the clock inside.

    From 1900 to 2100; before and after, the first and the last offset go on. All in microseconds.
    """

    start: int
    cell: int
    before: tuple[int, ...]
    change: tuple[int, ...]
    after: tuple[int, ...]

    @staticmethod
    @lru_cache(maxsize=64)
    def of(name: str) -> ZoneGrid:
        """Return the grid of the zone `name`.

        Raises
        ------
        ConfigError
            There is no such zone.
        """
        zone = time_zone(name)
        changes = _changes(zone)
        gaps = [b - a for (a, _), (b, _) in pairwise(changes)]
        start, end = _micros(_FIRST), _micros(_LAST)
        cell = min([*gaps, end - start])
        before, change, after = [], [], []
        offset, todo = _offset(zone, _FIRST), list(changes)
        for low in range(start, end + cell, cell):
            inside = bool(todo) and todo[0][0] < low + cell
            before.append(offset)
            moment, offset = todo.pop(0) if inside else (low, offset)
            change.append(moment)
            after.append(offset)
        return ZoneGrid(start, cell, tuple(before), tuple(change), tuple(after))

    def to_spark(self, micros: Column) -> Column:
        """Return the offset, bigint, of bigint microseconds since 1970 in UTC."""
        from pyspark.sql import functions as sf

        if len(set(self.before + self.after)) == 1:
            return sf.lit(self.before[0])
        place = (micros - self.start) - sf.pmod(micros - self.start, sf.lit(self.cell))
        index = (
            sf.greatest(sf.lit(0.0), sf.least(sf.lit(len(self.change) - 1.0), place / self.cell)).cast("int")
            + 1
        )
        tables = [literal(t, "array<bigint>") for t in (self.change, self.before, self.after)]
        change, before, after = (sf.element_at(t, index) for t in tables)
        return sf.when(micros < change, before).otherwise(after)

    def to_onnx(self, graph: Graph, micros: str) -> str:
        """Return the offset of int64 microseconds since 1970 in UTC."""
        import numpy as np

        since = graph.node("Sub", micros, graph.constant(self.start, np.int64))
        part = graph.node("Mod", since, graph.constant(self.cell, np.int64), fmod=0)
        index = graph.node("Div", graph.node("Sub", since, part), graph.constant(self.cell, np.int64))
        index = graph.node(
            "Clip", index, graph.constant(0, np.int64), graph.constant(len(self.change) - 1, np.int64)
        )
        tables = (np.array(t, dtype=np.int64) for t in (self.change, self.before, self.after))
        change, before, after = (graph.node("Gather", graph.constant(t), index) for t in tables)
        return graph.where(graph.node("Less", micros, change), before, after)


def time_zone(name: str) -> ZoneInfo:
    """Return the zone `name`, or say which names are near."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(
            f"features: there is no time zone {name!r}.{did_you_mean(name, available_timezones())}"
        ) from None


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _offset(zone: ZoneInfo, moment: datetime) -> int:
    found = moment.astimezone(zone).utcoffset()
    assert found is not None
    return found // timedelta(microseconds=1)


def _changes(zone: ZoneInfo) -> list[tuple[int, int]]:
    """Every (moment, offset from then on): the standard library does not list them, so each week is looked at."""
    out = []
    low, week = _FIRST, timedelta(days=7)
    while low < _LAST:
        high = min(low + week, _LAST)
        if _offset(zone, low) != _offset(zone, high):
            a, b = _micros(low) // _SECOND, _micros(high) // _SECOND
            old = _offset(zone, low)
            while b - a > 1:
                middle = (a + b) // 2
                a, b = (
                    (middle, b) if _offset(zone, _EPOCH + timedelta(seconds=middle)) == old else (a, middle)
                )
            out.append((b * _SECOND, _offset(zone, _EPOCH + timedelta(seconds=b))))
        low = high
    return out
