"""Fits columns of numbers: what stands for a missing one, how they are scaled, and what is lost of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from synml_dagster.columns import RawInput, is_missing
from synml_dagster.columns.number_format import NumberFormat, is_plain, recognise_number
from synml_dagster.columns.time_format import recognise
from synml_dagster.errors import DataError
from synml_dagster.features.fitting.guess import not_numbers
from synml_dagster.features.fitting.precision import lost_values, shift_for
from synml_dagster.features.fitting.stand_ins import said_of_stand_in, stand_in
from synml_dagster.features.kinds import BooleanColumn, NumericColumn
from synml_dagster.features.kinds.base import Fitted
from synml_dagster.features.kinds.numeric import Affine, Quantiles
from synml_dagster.features.profile.column_sample import Seen, of_numbers, rounded
from synml_dagster.features.spec import ColumnSpec

if TYPE_CHECKING:
    from collections.abc import Callable

_EXACT = 2**53
_WORDLY = 0.05
_KNOTS = 32


def fit_number(
    raw: RawInput,
    seen: Seen,
    own: ColumnSpec,
    said: ColumnSpec,
    unique: Callable[[str], str],
    notes: list[str],
) -> Fitted:
    """Return a fitted column of numbers; warnings are added to `notes`.

    Parameters
    ----------
    own, said
        What is asked of this column, with and without what is asked of all.

    Raises
    ------
    DataError
        The column holds dates or words, or has no finite value to impute or scale by.
    """
    if raw.storage in ("date", "timestamp"):
        raise DataError(
            f"column {raw.name!r} is declared numeric and is of type {raw.spark_type}: dates where numbers are declared. List it in features.datetime, or take it out of features.numeric."
        )
    written = None
    if seen.strings is not None:
        written = _format_of(raw, seen, notes)
        seen = _parsed(raw, seen, written, notes)
    notes += _precision(raw, seen)
    if seen.numbers is not None and (odd := stand_in(seen.numbers)):
        notes.append(said_of_stand_in(f"column {raw.name!r}", odd))
    if not len(seen.finite) and (own.impute in ("mean", "median") or own.scale):
        if said.impute is not None or said.scale:
            raise DataError(f"column {raw.name!r} has no finite value to impute or scale by")
        own = said  # the rest was asked of all columns, and this one has nothing to do it by
    impute = {"mean": seen.mean, "median": median(seen)}.get(own.impute, own.impute)  # type: ignore[arg-type]
    name = unique(raw.name)
    names = [name, unique(f"{name}__missing")] if own.indicator else [name]
    scale = fit_scale(own, seen) or (shift_for(seen.finite) if raw.onnx_type != "float" else None)
    if (scale is None or isinstance(scale, Affine)) and (left := lost_values(seen.finite, scale)):
        notes.append(
            f"column {raw.name!r} holds numbers too near each other for their size: float32, in which learners compute, tells {left} sampled values apart. Make columns of its parts in the source if the small differences count."
        )
    kind = BooleanColumn if raw.storage == "boolean" else NumericColumn
    fitted = kind(
        input=raw if written is None else raw.model_copy(update={"number_marks": written.marks}),
        features=names,
        written=written,
        impute=None if impute is None else rounded(impute),
        indicator=own.indicator,
        scale=scale,
    )
    return fitted, "", notes


def _format_of(raw: RawInput, seen: Seen, notes: list[str]) -> NumberFormat | None:
    """How the numbers of a column of text are written; None where as programs write them."""
    values = [v for v in seen.strings if not is_missing(v)]  # type: ignore[union-attr]
    if is_plain(values) or (found := recognise_number(values)) is None:
        return None
    written, ambiguous = found
    doubt = " Another reading would do as well; if it is meant, convert the column in the source" * ambiguous
    notes.append(
        f"column {raw.name!r} is read as numbers written with {written.describe()}, such as {values[0]!r} as {written.read(values[0]):.10g}.{doubt}"
    )
    return written


def _parsed(raw: RawInput, seen: Seen, written: NumberFormat | None, notes: list[str]) -> Seen:
    strings = seen.strings
    assert strings is not None
    values = [v for v in strings if v]
    odd = not_numbers(values) if written is None else _unread(values, written)
    if len(odd) > _WORDLY * len(values):
        looks = recognise(odd, share=0.9)
        what = f"dates ({looks})" if looks else "words"
        raise DataError(
            f"column {raw.name!r} is declared numeric and holds {what} where numbers are declared, such as {odd[0]!r}. Take it out of features.numeric{', or list it in features.datetime' if looks else ''}."
        )
    if odd:
        notes.append(
            f"column {raw.name!r} is read as numbers; {len(odd)} of {len(values)} sampled values, such as {odd[0]!r}, are none and are taken as missing"
        )
    if written is not None:
        numbers = [written.read(v) for v in strings]
    else:
        bad = set(odd)
        numbers = [float(v) if v and v not in bad and not is_missing(v) else np.nan for v in strings]
    return of_numbers(np.array(numbers, dtype=np.float64), seen.rows)


def _unread(values: list[str], written: NumberFormat) -> list[str]:
    return [v for v in values if np.isnan(written.read(v)) and not is_missing(v)]


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


def median(seen: Seen) -> float:
    """Return the median of the sampled finite values, 0 where there are none."""
    return float(np.median(seen.finite)) if len(seen.finite) else 0.0


def fit_scale(own: ColumnSpec, seen: Seen) -> Affine | Quantiles | None:
    """Return the scaling that a description asks for, fitted on the training rows."""
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
