"""Dates and moments in text, one by one, as Spark casts them; the twin of `try_cast` to a date or a timestamp."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache

MICROSECONDS_A_DAY = 86_400_000_000

_EPOCH = date(1970, 1, 1)
_DATE = re.compile(r"([0-9]{4})(?:-([0-9]{1,2})(?:-([0-9]{1,2})(?:[ T].*)?)?)?", re.ASCII | re.DOTALL)
_MOMENT = re.compile(
    r"([0-9]{4})(?:-([0-9]{1,2})(?:-([0-9]{1,2})"
    r"(?:[ T]([0-9]{1,2})(?::([0-9]{1,2})(?::([0-9]{1,2})(?:\.([0-9]*))? *([^ 0-9:.].*)?)?)?)?)?)?",
    re.ASCII | re.DOTALL,
)
_OFFSET = re.compile(
    r"(?:UTC|GMT|UT)?([+-])([0-9]{1,2})(?::([0-9]{1,2})(?::([0-9]{2}))?|([0-9]{2})([0-9]{2})?)?", re.ASCII
)


def written_days(text: str) -> float | None:
    """Return the days since 1970-01-01 of a date; None where `text` is none, or of a year outside of 1 to 9999.

    Examples
    --------
    >>> written_days("1970-1-2"), written_days("1970-01-02T23:59"), written_days("2.1.1970")
    (1.0, 1.0, None)
    """
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    day = _day(found[1], found[2], found[3])
    return None if day is None else float((day - _EPOCH).days)


def written_micros(text: str, wall_clock: bool = False) -> float | None:
    """Return the microseconds since 1970-01-01 of a moment, which is in UTC where it names no zone; None where `text` is none.

    Digits of a second beyond the sixth are cut off. `wall_clock` passes a zone over, as timestamps without one do.

    Examples
    --------
    >>> written_micros("1970-01-01 01:00:00.5+01:00"), written_micros("01:00")
    (500000.0, None)
    """
    found = _MOMENT.fullmatch(text)
    if found is None:
        return None
    day = _day(found[1], found[2], found[3])
    if day is None:
        return None
    hour, minute, second = (int(found[i] or 0) for i in (4, 5, 6))
    if hour > 23 or minute > 59 or second > 59:
        return None
    micros = (day - _EPOCH).days * MICROSECONDS_A_DAY + ((hour * 60 + minute) * 60 + second) * 1_000_000
    micros += int(((found[7] or "") + "000000")[:6])
    if found[8]:
        zone = _zone(found[8].strip())
        if zone is None:
            return None
        if not wall_clock:
            offset = zone.utcoffset(datetime(day.year, day.month, day.day, hour, minute, second))
            assert offset is not None
            micros -= offset // timedelta(microseconds=1)
    return float(micros)


def _day(year: str, month: str | None, day: str | None) -> date | None:
    try:
        return date(int(year), int(month or 1), int(day or 1))
    except ValueError:
        return None


@lru_cache(maxsize=256)
def _zone(name: str) -> tzinfo | None:
    if name in ("Z", "UTC", "GMT", "UT"):
        return UTC
    if found := _OFFSET.fullmatch(name):
        hours, minutes, seconds = (
            int(found[2]),
            int(found[3] or found[5] or 0),
            int(found[4] or found[6] or 0),
        )
        away = timedelta(hours=hours, minutes=minutes, seconds=seconds)
        if away > timedelta(hours=18) or minutes > 59 or seconds > 59:
            return None
        return timezone(away if found[1] == "+" else -away)
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # no such zone, or no name of one
        return None
