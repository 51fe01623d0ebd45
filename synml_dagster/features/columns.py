"""Fits one column: its kind as declared or guessed, and what that kind has to know."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from synml_dagster.errors import ConfigError, DataError
from synml_dagster.features.figures import Seen, by_frequency, of_numbers, rounded
from synml_dagster.features.guess import Guess, guess_number, guess_words, not_numbers
from synml_dagster.features.kinds import (
    BooleanColumn,
    CategoricalColumn,
    DatetimeColumn,
    FittedColumn,
    NumericColumn,
    TextColumn,
    VectorColumn,
)
from synml_dagster.features.kinds.datetime import CYCLES
from synml_dagster.features.kinds.numeric import Affine, Quantiles
from synml_dagster.features.kinds.text import choose_words
from synml_dagster.features.kinds.written_time import PATTERNS, parse_text, recognise
from synml_dagster.features.kinds.zone import time_zone
from synml_dagster.features.raw import MICROSECONDS_A_DAY, RawInput
from synml_dagster.features.spec import ColumnSpec, DatePart, FeatureSpec

if TYPE_CHECKING:
    from synml_dagster.features.names import UniqueNames

Fitted = tuple[FittedColumn | None, str, list[str]]
"""The column, or None and the reason; and what there is to warn of."""

_EXACT = 2**53
_WORDLY = 0.05
_KNOTS = 32
_TEXT_WIDTH = 64
_PARTS: tuple[DatePart, ...] = ("days", "year", "month", "day", "dayofweek", "hour")


def fit_column(raw: RawInput, seen: Seen | list[Seen], spec: FeatureSpec, unique: UniqueNames) -> Fitted:
    """Return the fitted column, or the rule by which it gives no feature.

    Raises
    ------
    DataError
        A declared kind does not fit the values; the message shows one.
    ConfigError
        A declared kind or option does not fit the column's type.
    """
    own = spec.overrides.get(raw.name, ColumnSpec())
    if isinstance(seen, list):
        return _vector(raw, seen, own, unique)
    if seen.there == 0:
        return None, "empty: no row has a value", []
    guess = kind_of(raw, seen, spec)
    if guess.kind is None:
        return None, guess.reason, []
    if reason := _constant(raw, seen):
        return None, reason, []
    notes = [guess.warning] if guess.warning else []
    if guess.kind == "boolean" and raw.storage != "boolean":
        raise ConfigError(
            f"features: column {raw.name!r} is declared boolean and is of type {raw.spark_type}"
        )
    if guess.kind in ("numeric", "boolean"):
        return _numeric(raw, seen, own, unique, notes)
    if guess.kind == "datetime":
        return _datetime(raw, seen, own, spec, guess.written, unique, notes)
    if guess.kind == "categorical":
        return _categorical(raw, seen, own, spec, unique, notes)
    return _text(raw, seen, own, unique, notes)


def kind_of(raw: RawInput, seen: Seen, spec: FeatureSpec) -> Guess:
    """Return a column's kind: what the description says, or what its values look like."""
    declared = spec.declared().get(raw.name)
    if declared not in (None, "datetime"):
        return Guess(declared)
    if seen.strings is not None:
        values = [v for v in seen.strings if v]
        if declared == "datetime":
            written = recognise(values, share=0.95)
            if written is None:
                raise DataError(
                    f"column {raw.name!r} is declared as dates and holds {values[0]!r}, which is in none of the ways read: {', '.join(PATTERNS)}. Parse it in the source, or exclude it."
                )
            return Guess("datetime", written=written)
        return guess_words(
            raw.name, values, len(seen.counts) if seen.counts is not None else None, seen.there
        )
    assert seen.numbers is not None
    if declared == "datetime" and raw.storage not in ("date", "timestamp"):
        raise ConfigError(
            f"features.datetime: column {raw.name!r} is of type {raw.spark_type}, neither date, timestamp nor text. Convert it in the source."
        )
    known = seen.numbers[~np.isnan(seen.numbers)].tolist()
    return guess_number(raw.name, raw.storage, known, seen.there, seen.low, seen.high)


def _constant(raw: RawInput, seen: Seen) -> str | None:
    """One value in all rows; one value in some rows and none in others tells them apart."""
    if seen.missing:
        return None
    if seen.figures is not None:
        if seen.low == seen.high and np.isfinite(seen.figures[2]) and seen.figures[2] == 0:
            return "constant: one value in all training rows"
    elif seen.counts is not None and len(seen.counts) == 1:
        return f"constant: {next(iter(seen.counts))!r} in all training rows"
    return None


def _numeric(raw: RawInput, seen: Seen, own: ColumnSpec, unique: UniqueNames, notes: list[str]) -> Fitted:
    if raw.storage in ("date", "timestamp"):
        raise DataError(
            f"column {raw.name!r} is declared numeric and is of type {raw.spark_type}: dates where numbers are declared. List it in features.datetime, or take it out of features.numeric."
        )
    if seen.strings is not None:
        seen = _parsed(raw, seen, notes)
    notes += _precision(raw, seen)
    if not len(seen.finite) and (own.impute in ("mean", "median") or own.scale):
        raise DataError(f"column {raw.name!r} has no finite value to impute or scale by")
    impute = {"mean": seen.mean, "median": _median(seen)}.get(own.impute, own.impute)  # type: ignore[arg-type]
    name = unique(raw.name)
    names = [name, unique(f"{name}__missing")] if own.indicator else [name]
    kind = BooleanColumn if raw.storage == "boolean" else NumericColumn
    fitted = kind(
        input=raw,
        features=names,
        impute=None if impute is None else rounded(impute),
        indicator=own.indicator,
        scale=_scale(own, seen),
    )
    return fitted, "", notes


def _parsed(raw: RawInput, seen: Seen, notes: list[str]) -> Seen:
    values = [v for v in seen.strings if v]  # type: ignore[union-attr]
    odd = not_numbers(values)
    if len(odd) > _WORDLY * len(values):
        written = recognise(odd, share=0.9)
        what = f"dates ({written})" if written else "words"
        raise DataError(
            f"column {raw.name!r} is declared numeric and holds {what} where numbers are declared, such as {odd[0]!r}. Take it out of features.numeric{', or list it in features.datetime' if written else ''}."
        )
    if odd:
        notes.append(
            f"column {raw.name!r} is read as numbers; values such as {odd[0]!r} are taken as missing"
        )
    strings = seen.strings
    assert strings is not None
    bad = set(odd)
    numbers = [float(v) if v and v not in bad and v.casefold() not in _marks() else np.nan for v in strings]
    return of_numbers(np.array(numbers, dtype=np.float64), seen.rows)


def _marks() -> set[str]:
    from synml_dagster.features.guess import MISSING_MARKS

    return MISSING_MARKS


def _precision(raw: RawInput, seen: Seen) -> list[str]:
    if raw.storage == "integer" and max(abs(seen.low), abs(seen.high)) > _EXACT:
        return [
            f"column {raw.name!r} holds whole numbers beyond 2^53 ({max(abs(seen.low), abs(seen.high)):.0f}); as features neighbours of that size are equal"
        ]
    if raw.spark_type.startswith("decimal"):
        digits = int(raw.spark_type.removeprefix("decimal(").split(",")[0])
        if digits > 15:
            return [f"column {raw.name!r} is {raw.spark_type}; features keep about 7 of its {digits} digits"]
    return []


def _median(seen: Seen) -> float:
    return float(np.median(seen.finite)) if len(seen.finite) else 0.0


def _scale(own: ColumnSpec, seen: Seen) -> Affine | Quantiles | None:
    if own.scale is None:
        return None
    finite = seen.finite
    if own.scale == "quantile":
        shares = np.linspace(0, 1, _KNOTS + 1)
        knots, first = np.unique(np.quantile(finite, shares), return_index=True)
        if len(knots) < 2:
            knots, first = np.array([knots[0], knots[0] + 1]), np.array([0, _KNOTS])
        last = np.append(first[1:] - 1, _KNOTS)
        middles = (shares[first] + shares[last]) / 2
        middles[0], middles[-1] = 0.0, 1.0
        return Quantiles(knots=[rounded(k) for k in knots], shares=[rounded(s) for s in middles])
    if own.scale == "standard":
        center, spread = seen.mean, seen.deviation
    elif own.scale == "minmax":
        center, spread = seen.low, seen.high - seen.low
    else:
        low, center, high = np.percentile(finite, (25, 50, 75))
        spread = high - low
    return Affine(kind=own.scale, center=rounded(center), spread=rounded(spread) or 1.0)


def _categorical(
    raw: RawInput, seen: Seen, own: ColumnSpec, spec: FeatureSpec, unique: UniqueNames, notes: list[str]
) -> Fitted:
    if raw.storage in ("date", "timestamp"):
        raise ConfigError(
            f"features.categorical: column {raw.name!r} is of type {raw.spark_type}; give features.overrides.{raw.name}.parts instead"
        )
    counts = seen.counts
    assert counts is not None, "a vocabulary too large for the profile is counted before"
    most = own.max_categories or spec.max_categories
    least = own.rare_below or spec.rare_below
    frequent = [w for w in by_frequency(counts) if counts[w] >= least]
    words = frequent[:most]
    if len(frequent) > most:
        rows = sum(counts[w] for w in frequent[most:])
        notes.append(
            f"column {raw.name!r} has {len(counts)} categories; the {most} most frequent have a code each, the others ({rows} rows) share one. Raise features.max_categories for more."
        )
    encoding = own.encoding or "index"
    name = unique(raw.name)
    native = encoding == "index" and len(words) <= spec.native_categories
    fitted = CategoricalColumn(input=raw, features=[name], encoding="index", words=words, native=native)
    if encoding == "onehot":
        names = [unique(f"{name}={w}") for w in words] + [unique(f"{name}=other")]
        fitted = fitted.model_copy(update={"encoding": "onehot", "features": names})
    elif encoding == "frequency":
        shares = [rounded(counts[w] / seen.rows) for w in words]
        least_share = rounded(min(counts.values()) / seen.rows)
        fitted = fitted.model_copy(
            update={
                "encoding": "frequency",
                "numbers": shares,
                "rare": least_share,
                "missing": rounded(seen.missing / seen.rows),
            }
        )
    elif encoding == "target":
        fitted = fitted.model_copy(update={"encoding": "target"})
    return fitted, "", notes


def _text(raw: RawInput, seen: Seen, own: ColumnSpec, unique: UniqueNames, notes: list[str]) -> Fitted:
    if raw.storage != "string" or seen.strings is None:
        raise ConfigError(f"features.text: column {raw.name!r} is of type {raw.spark_type}, not text")
    width = own.width or _TEXT_WIDTH
    if own.encoding == "hashed":
        names = [unique(f"{raw.name}__{i}") for i in range(width)]
        return TextColumn(input=raw, features=names, encoding="hashed"), "", notes
    words, weights = choose_words((t for t in seen.strings if t), width)
    if not words:
        return None, "text without a word that is in two rows and not in all", notes
    names = [unique(f"{raw.name}__{w}") for w in words]
    return TextColumn(input=raw, features=names, words=words, weights=weights), "", notes


def _datetime(
    raw: RawInput,
    seen: Seen,
    own: ColumnSpec,
    spec: FeatureSpec,
    written: str | None,
    unique: UniqueNames,
    notes: list[str],
) -> Fitted:
    zone = own.time_zone or spec.time_zone
    time_zone(zone)
    values = seen.numbers
    if written is not None:
        assert seen.strings is not None
        values = np.array([parse_text(v, PATTERNS[written]) for v in seen.strings])
        odd = [s for s, v in zip(seen.strings, values, strict=True) if s and np.isnan(v)]
        if odd:
            notes.append(
                f"column {raw.name!r} is read as {written}; values such as {odd[0]!r} are taken as missing"
            )
    assert values is not None
    is_date = raw.storage == "date" or (written is not None and not PATTERNS[written].has_time)
    days = values[np.isfinite(values)] / (1 if is_date else MICROSECONDS_A_DAY)
    if not len(days):
        return None, "empty: no value could be read as a date", notes
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
        input=raw,
        features=[unique(n) for n in names],
        parts=list(parts),
        time_zone="UTC" if is_date else zone,
        reference=reference,
        written=written,
    )
    return fitted, "", notes


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


def _vector(raw: RawInput, seen: list[Seen], own: ColumnSpec, unique: UniqueNames) -> Fitted:
    if own.kind not in (None, "vector"):
        raise ConfigError(
            f"features.overrides.{raw.name}: kind {own.kind!r} of an array; leave it out or use 'vector'"
        )
    impute = center = spread = None
    if own.impute is not None:
        impute = [
            float(own.impute)
            if not isinstance(own.impute, str)
            else s.mean
            if own.impute == "mean"
            else _median(s)
            for s in seen
        ]
    if own.scale == "quantile":
        raise ConfigError(
            f"features.overrides.{raw.name}.scale: 'quantile' is for single numbers; use standard, minmax or robust"
        )
    if own.scale is not None:
        scales = [
            _scale(own, s) if len(s.finite) else Affine(kind=own.scale, center=0, spread=1) for s in seen
        ]
        center = [s.center for s in scales if isinstance(s, Affine)]
        spread = [s.spread for s in scales if isinstance(s, Affine)]
    names = [unique(f"{raw.name}__{i}") for i in range(raw.width)]
    fitted = VectorColumn(input=raw, features=names, impute=impute, center=center, spread=spread)
    return fitted, "", []
