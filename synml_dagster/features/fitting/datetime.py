"""Fits columns of dates and times: the parts that tell rows apart, the clock they are read on."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from synml_dagster.columns import RawInput, is_missing
from synml_dagster.columns.raw import MICROSECONDS_A_DAY
from synml_dagster.columns.time_format import PATTERNS, ambiguous
from synml_dagster.columns.time_parsing import parse_text
from synml_dagster.errors import ConfigError
from synml_dagster.features.fitting.precision import origin_for
from synml_dagster.features.fitting.stand_ins import said_of_stand_in, stand_in
from synml_dagster.features.kinds import DatetimeColumn
from synml_dagster.features.kinds.base import Fitted
from synml_dagster.features.kinds.datetime import CYCLES
from synml_dagster.features.kinds.zone import time_zone
from synml_dagster.features.profile.column_sample import Seen
from synml_dagster.features.spec import ColumnSpec, DatePart, FeatureSpec

if TYPE_CHECKING:
    from collections.abc import Callable

_PARTS: tuple[DatePart, ...] = ("days", "year", "month", "day", "dayofweek", "hour")


def fit_moment(
    raw: RawInput,
    seen: Seen,
    own: ColumnSpec,
    spec: FeatureSpec,
    written: str | None,
    unique: Callable[[str], str],
    notes: list[str],
) -> Fitted:
    """Return a fitted column of dates or times; warnings are added to `notes`.

    Raises
    ------
    ConfigError
        There is no such time zone, the reference is not a day, or a date is asked for its hour.
    """
    zone = own.time_zone or spec.time_zone
    time_zone(zone)
    values = seen.numbers
    if written is not None:
        assert seen.strings is not None
        values = np.array([parse_text(v, PATTERNS[written]) for v in seen.strings])
        odd = [s for s, v in zip(seen.strings, values, strict=True) if s and np.isnan(v)]
        odd = [v for v in odd if not is_missing(v)]
        if odd:
            known = sum(1 for v in seen.strings if v)
            notes.append(
                f"column {raw.name!r} is read as {written}; {len(odd)} of {known} sampled values, such as {odd[0]!r}, are none and are taken as missing"
            )
        if own.written is None:
            notes += _guesses(raw.name, [v for v in seen.strings if v], written)
    assert values is not None
    is_date = raw.storage == "date" or (written is not None and not PATTERNS[written].has_time)
    days = values[np.isfinite(values)] / (1 if is_date else MICROSECONDS_A_DAY)
    if not len(days):
        return None, "empty: no value could be read as a date", notes
    if odd_day := stand_in(days, days=True):
        notes.append(said_of_stand_in(f"column {raw.name!r}", odd_day))
    parts = own.parts or _telling_parts(days, is_date)
    if is_date and (late := [p for p in parts if p.startswith(("hour", "minute"))]):
        raise ConfigError(
            f"features.overrides.{raw.name}.parts: {late[0]!r} of a date, which has no time of day"
        )
    reference = None
    if "age" in parts:
        reference = (
            float((_day(own.reference, raw.name) - date(1970, 1, 1)).days)
            if own.reference
            else float(np.ceil(days.max()))
        )
    names = []
    for part in parts:
        names += (
            [f"{raw.name}__{part}_sin", f"{raw.name}__{part}_cos"]
            if part in CYCLES
            else [f"{raw.name}__{part}"]
        )
    fitted = DatetimeColumn(
        input=raw.model_copy(update={"time_way": written}) if written is not None else raw,
        features=[unique(n) for n in names],
        parts=list(parts),
        time_zone="UTC" if is_date else zone,
        reference=reference,
        origin=origin_for(days),
        written=written,
    )
    return fitted, "", notes


def _guesses(name: str, values: list[str], written: str) -> list[str]:
    """What of the reading of dates in text is a guess."""
    said = []
    if (other := ambiguous(values, written)) is not None:
        said.append(
            f"column {name!r} is read as {written}, and {other} would read all of its values, too; say features.overrides.{name}.written"
        )
    if not PATTERNS[written].century:
        said.append(
            f"column {name!r} is read as {written}: years from 69 on are of the twentieth century, the others of this one"
        )
    return said


def _telling_parts(days: np.ndarray, is_date: bool) -> list[DatePart]:
    """The usual parts without those that are one value in all sampled rows."""
    stamps = np.floor(days).astype("datetime64[D]")
    by_part = {
        "days": days,
        "year": stamps.astype("datetime64[Y]").astype(int),
        "month": stamps.astype("datetime64[M]").astype(int) % 12,
        "day": (stamps - stamps.astype("datetime64[M]")).astype(int),
        "dayofweek": (np.floor(days).astype(int) + 3) % 7,
        "hour": np.floor((days - np.floor(days)) * 24).astype(int),
    }
    usual = _PARTS[:-1] if is_date else _PARTS
    return [p for p in usual if len(np.unique(by_part[p])) > 1] or ["days"]


def _day(text: str, column: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"features.overrides.{column}.reference: {text!r} is not a day; write it as 2026-01-31"
        ) from None
