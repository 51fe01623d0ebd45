"""Numbers and days that stand where nobody knew one: -999, 99999, 9999-12-31."""

from __future__ import annotations

import re
from datetime import date

import numpy as np

_LEAST_ROWS, _LEAST_SHARE = 5, 0.005
_NINES = re.compile(r"-?(99+|88888+|77777+)|-9|-1")
_EPOCH = date(1970, 1, 1).toordinal()
_DAYS = {
    day.toordinal() - _EPOCH: day.isoformat()
    for day in (*(date(y, 1, 1) for y in (1, 1753, 1899, 1900, 1901, 1970)), date(1899, 12, 30))
} | {day.toordinal() - _EPOCH: day.isoformat() for day in (date(9999, 12, 31), date(2099, 12, 31))}


def stand_in(values: np.ndarray, days: bool = False) -> str | None:
    """Return in words the value that stands for a missing one, as far as it can be told, and in how many rows; None where none does.

    It is the least or the greatest of the values, a run of nines or a first or last day of calendars, stands in more than a
    few rows, and lies further from the others than those lie from one another.

    Parameters
    ----------
    values
        Sampled values, NaN where missing.
    days
        Whether they are days since 1970-01-01, with or without a time of day.

    Examples
    --------
    >>> stand_in(np.array([-999.0] * 9 + [float(i) for i in range(80)]))
    '-999 in 9 of 89 rows, far from the others (0 to 79)'
    >>> stand_in(np.array([float(i) for i in range(100)])) is None
    True
    """
    finite = values[np.isfinite(values)]
    if len(finite) < 4 * _LEAST_ROWS:
        return None
    finite = np.floor(finite) if days else finite
    for end in (finite.min(), finite.max()):
        name = _DAYS.get(int(end)) if days else _written(end)
        if name is None:
            continue
        there = finite == end
        rows, rest = int(there.sum()), finite[~there]
        if rows < max(_LEAST_ROWS, _LEAST_SHARE * len(finite)) or not len(rest):
            continue
        low, high = rest.min(), rest.max()
        if low == high or min(abs(end - low), abs(end - high)) <= high - low:
            continue
        others = (
            f"{_day(low)} to {_day(high)}" if days else f"{float(f'{low:.6g}'):g} to {float(f'{high:.6g}'):g}"
        )
        return f"{name} in {rows} of {len(finite)} rows, far from the others ({others})"
    return None


def said_of_stand_in(what: str, found: str) -> str:
    """Return the warning about a stand-in of a column or a label."""
    return f"{what} has {found}; where it stands for a missing value, set it to null in the source"


def _written(value: float) -> str | None:
    text = f"{value:.0f}" if value == np.floor(value) and abs(value) < 1e15 else ""
    return text if _NINES.fullmatch(text) else None


def _day(value: float) -> str:
    return date.fromordinal(int(value) + _EPOCH).isoformat()
