"""Fits one column: its kind as declared or guessed, and what that kind has to know."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from synml_dagster.columns import RawInput
from synml_dagster.columns.same_words import listed_groups, same_words
from synml_dagster.columns.time_format import PATTERNS, recognise
from synml_dagster.errors import ConfigError, DataError, did_you_mean
from synml_dagster.features.fitting.datetime import fit_moment
from synml_dagster.features.fitting.guess import Guess, guess_number, guess_words
from synml_dagster.features.fitting.numeric import fit_number, fit_scale, median
from synml_dagster.features.kinds import CategoricalColumn, TextColumn, VectorColumn
from synml_dagster.features.kinds.base import Fitted
from synml_dagster.features.kinds.numeric import Affine
from synml_dagster.features.kinds.text import choose_words
from synml_dagster.features.profile.column_sample import Seen, by_frequency, rounded, without_marks
from synml_dagster.features.spec import ColumnSpec, FeatureSpec

if TYPE_CHECKING:
    from collections.abc import Callable

_TEXT_WIDTH = 64


def fit_column(
    raw: RawInput, seen: Seen | list[Seen], spec: FeatureSpec, unique: Callable[[str], str]
) -> Fitted:
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
    if without_marks(seen, tuple(spec.missing)).there == 0:
        return None, "empty: no row has a value, but for marks of missing ones", []
    guess = kind_of(raw, seen, spec)
    if guess.kind is None:
        return None, guess.reason, [guess.warning] if guess.warning else []
    if reason := _constant(raw, seen):
        return None, reason, []
    notes = [guess.warning] if guess.warning else []
    own = spec.own(raw.name, guess.kind)
    if guess.kind == "boolean" and raw.storage != "boolean":
        raise ConfigError(
            f"features: column {raw.name!r} is declared boolean and is of type {raw.spark_type}"
        )
    if guess.kind in ("numeric", "boolean"):
        said = spec.overrides.get(raw.name, ColumnSpec())
        return fit_number(raw, seen, own, said, unique, notes)
    if guess.kind == "datetime":
        return fit_moment(raw, seen, own, spec, guess.written, unique, notes)
    if guess.kind == "categorical":
        return _categorical(raw, seen, own, spec, unique, notes)
    return _text(raw, seen, own, unique, notes)


def kind_of(raw: RawInput, seen: Seen, spec: FeatureSpec) -> Guess:
    """Return a column's kind: what the description says, or what its values look like."""
    declared = spec.declared().get(raw.name)
    own = spec.overrides.get(raw.name)
    if own is not None and own.written is not None:
        if own.written not in PATTERNS:
            raise ConfigError(
                f"features.overrides.{raw.name}.written: {own.written!r} is none of the ways that are read: {', '.join(PATTERNS)}.{did_you_mean(own.written, PATTERNS)}"
            )
        if seen.strings is None:
            raise ConfigError(
                f"features.overrides.{raw.name}.written: column {raw.name!r} is of type {raw.spark_type}, not text"
            )
        return Guess("datetime", written=own.written)
    if declared not in (None, "datetime"):
        return Guess(declared)
    if seen.strings is not None:
        values = [v for v in seen.strings if v]
        if declared == "datetime":
            written = recognise(values)
            if written is None:
                raise DataError(
                    f"column {raw.name!r} is declared as dates and holds {values[0]!r}, which is in none of the ways read: {', '.join(PATTERNS)}. Parse it in the source, or exclude it."
                )
            return Guess("datetime", written=written)
        known = without_marks(seen, tuple(spec.missing))
        return guess_words(
            raw.name, values, len(known.counts) if known.counts is not None else None, known.there
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
            told = ", as far as float64 tells them apart" if abs(seen.low) >= 2**53 else ""
            return f"constant: one value in all training rows{told}"
    elif seen.counts is not None and len(seen.counts) == 1:
        return f"constant: {next(iter(seen.counts))!r} in all training rows"
    return None


def _categorical(
    raw: RawInput,
    seen: Seen,
    own: ColumnSpec,
    spec: FeatureSpec,
    unique: Callable[[str], str],
    notes: list[str],
) -> Fitted:
    if raw.storage in ("date", "timestamp"):
        raise ConfigError(
            f"features.categorical: column {raw.name!r} is of type {raw.spark_type}; give features.overrides.{raw.name}.parts instead"
        )
    assert seen.counts is not None, "a vocabulary too large for the profile is counted before"
    spellings: dict[str, str] = {}
    if raw.storage == "string":
        raw, seen = _with_marks(raw, seen, spec, notes)
        seen, spellings = _of_one_truth(seen)
    counts = seen.counts
    assert counts is not None
    if raw.storage == "string" and (groups := same_words(by_frequency(counts))):
        notes.append(
            f"column {raw.name!r} has categories that differ in case or blanks alone, or say one thing in several ways, and each is learnt as one of its own: {listed_groups(groups)}. Write them in one way in the source if one is meant"
        )
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
    if raw.storage == "integer" and any(abs(int(w)) >= 2**53 for w in counts):
        # A tensor of whole numbers comes through float64, where two such ids can be one; text keeps them apart.
        raw = raw.model_copy(update={"storage": "string", "onnx_type": "string"})
    name = unique(raw.name)
    native = encoding == "index" and len(words) <= spec.native_categories
    fitted = CategoricalColumn(
        input=raw, features=[name], encoding="index", words=words, native=native, spellings=spellings
    )
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


def _with_marks(raw: RawInput, seen: Seen, spec: FeatureSpec, notes: list[str]) -> tuple[RawInput, Seen]:
    """The column where marks are missing, which is said where there are any; and how long its codes are."""
    assert seen.counts is not None
    marks = tuple(spec.missing)
    told: dict[str, Any] = {"missing": marks}
    digits = {len(word) for word in seen.counts if word.isascii() and word.isdigit()}
    if len(digits) == 1 and any(word.startswith("0") for word in seen.counts):
        told["padded"] = digits.pop()
    there = [mark for mark in marks if mark in seen.counts]
    if there:
        rows = sum(seen.counts[mark] for mark in there)
        shown = ", ".join(repr(mark) for mark in there[:3])
        notes.append(
            f"column {raw.name!r} has {rows} rows with {shown}, which is taken for a missing value; leave out of features.missing what is a category"
        )
    return raw.model_copy(update=told), without_marks(seen, marks)


def _of_one_truth(seen: Seen) -> tuple[Seen, dict[str, str]]:
    """The words with one spelling of true and one of false, and the others: a file of truth values is as true as one of words."""
    counts = dict(seen.counts or {})
    spellings: dict[str, str] = {}
    for plain in ("true", "false"):
        forms = (plain, plain.title(), plain.upper())
        there = by_frequency({form: counts[form] for form in forms if form in counts})
        if there:
            rows = sum(counts.pop(form) for form in there)
            counts[there[0]] = rows
            spellings |= {form: there[0] for form in forms if form != there[0]}
    return replace(seen, counts=counts), spellings


def _text(
    raw: RawInput, seen: Seen, own: ColumnSpec, unique: Callable[[str], str], notes: list[str]
) -> Fitted:
    if raw.storage != "string" or seen.strings is None:
        raise ConfigError(f"features.text: column {raw.name!r} is of type {raw.spark_type}, not text")
    width, ngrams = own.width or _TEXT_WIDTH, own.ngrams or 1
    if own.encoding == "hashed":
        names = [unique(f"{raw.name}__{i}") for i in range(width)]
        return TextColumn(input=raw, features=names, encoding="hashed", ngrams=ngrams), "", notes
    words, weights = choose_words((t for t in seen.strings if t), width, ngrams)
    if not words:
        return None, "text without a word that is in two rows and not in all", notes
    names = [unique(f"{raw.name}__{w}") for w in words]
    return TextColumn(input=raw, features=names, ngrams=ngrams, words=words, weights=weights), "", notes


def _vector(raw: RawInput, seen: list[Seen], own: ColumnSpec, unique: Callable[[str], str]) -> Fitted:
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
            else median(s)
            for s in seen
        ]
    if own.scale == "quantile":
        raise ConfigError(
            f"features.overrides.{raw.name}.scale: 'quantile' is for single numbers; use standard, minmax or robust"
        )
    if own.scale is not None:
        scales = [
            fit_scale(own, s) if len(s.finite) else Affine(kind=own.scale, center=0, spread=1) for s in seen
        ]
        center = [s.center for s in scales if isinstance(s, Affine)]
        spread = [s.spread for s in scales if isinstance(s, Affine)]
    names = [unique(f"{raw.name}__{i}") for i in range(raw.width)]
    fitted = VectorColumn(input=raw, features=names, impute=impute, center=center, spread=spread)
    return fitted, "", []
