"""Where the points of a picture of explanations go: places, colours and groups of features' values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from synml_dagster.explain import Explanations
from synml_dagster.explain.value_names import MISSING, OTHER, FeatureReading
from synml_dagster.plots.style import GREY, MUTED, colours, number_axis, number_between, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_MOST_POINTS = 4_000  # more cannot be told apart, and make the picture heavy
_MOST_CATEGORIES = 10


def thinned(found: Explanations, most: int = _MOST_POINTS) -> NDArray[np.intp]:
    """Return the rows to draw: all, or `most` of them, as many as can be told apart."""
    if found.rows <= most:
        return np.arange(found.rows)
    return np.sort(np.random.default_rng(0).choice(found.rows, most, replace=False))


def heat(found: Explanations, feature: int, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the place of each value between the 5th and the 95th percentile as 0..1; NaN for what has no order."""
    value = found.values[rows, feature].astype(np.float64)
    reading = found.readings.get(found.features[feature])
    if reading is not None and reading.kind == "category" and reading.categories != ("false", "true"):
        return np.full(len(rows), np.nan)
    finite = value[np.isfinite(value)]
    if not len(finite):
        return np.full(len(rows), np.nan)
    low, high = np.percentile(finite, [5, 95])
    if low == high:
        low, high = finite.min(), finite.max()
    with np.errstate(invalid="ignore"):
        return (
            np.clip((value - low) / (high - low), 0, 1)
            if high > low
            else np.where(np.isnan(value), np.nan, 0.5)
        )


def ends(found: Explanations, feature: int, rows: NDArray[np.intp]) -> tuple[str, str]:
    """Return what the low and the high end of a feature's colours stand for."""
    value = found.values[rows, feature].astype(np.float64)
    value = value[np.isfinite(value)]
    if not len(value):
        return "low", "high"
    low, high = (
        np.percentile(value, [5, 95]) if np.ptp(np.percentile(value, [5, 95])) else (value.min(), value.max())
    )
    reading = found.readings.get(found.features[feature], FeatureReading())
    if reading.kind == "number":
        first, last = reading.number(float(low)), reading.number(float(high))
        return number_between(first, first, last), number_between(last, first, last)
    return reading.text(float(low)), reading.text(float(high))


def spread(phi: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return offsets that stack points of nearly equal effect, widest where most are."""
    low, high = float(phi.min()), float(phi.max())
    if low == high:
        return np.random.default_rng(0).uniform(-0.3, 0.3, len(phi))
    bins = np.minimum(((phi - low) / (high - low) * 90).astype(int), 89)
    counts = np.bincount(bins, minlength=90)
    order = np.argsort(bins, kind="stable")
    rank = np.empty(len(phi))
    first = np.cumsum(counts) - counts
    rank[order] = np.arange(len(phi)) - first[bins[order]]
    # Points of a bin take places 0, 1, -1, 2, -2, ...; a full bin fills the row's height.
    place = np.where(rank % 2 == 0, -rank / 2, (rank + 1) / 2)
    return np.asarray(place / max(counts.max() / 2, 6) * 0.40, dtype=np.float64)


def number_places(axes: Axes, found: Explanations, at: int, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return where each value of a number goes on the x axis, missing ones beside all others."""
    reading = found.readings.get(found.features[at], FeatureReading())
    x = found.values[rows, at].astype(np.float64) * reading.spread + reading.center
    finite = x[np.isfinite(x)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
    tail_low, tail_high = np.percentile(finite, [0.5, 99.5]) if len(finite) else (0.0, 1.0)
    # A few far values must not squeeze all others into a corner.
    if high - low > 4 * (tail_high - tail_low) > 0:
        low, high = tail_low, tail_high
    pad = 0.04 * (high - low) or 0.5
    if reading.kind == "date":
        axes.xaxis_date()  # days since 1970 is what matplotlib counts too
        axes.tick_params(axis="x", rotation=30)
    else:
        number_axis(axes.xaxis)
    missing = np.isnan(x)
    axes.set_xlim(low - pad, high + pad)
    if missing.any():
        place = low - 3 * pad
        jitter = np.random.default_rng(0).uniform(-pad, pad, int(missing.sum())) * 0.7
        x = x.copy()
        x[missing] = place + jitter
        axes.set_xlim(place - 1.5 * pad, high + pad)
        axes.axvline(low - 1.5 * pad, color=GREY, linewidth=0.8, linestyle=(0, (2, 2)))
        axes.text(
            place,
            0.985,
            "missing",
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="top",
            rotation=90,
            color=MUTED,
            fontsize=8,
        )
    return np.clip(x, None, high)


def category_places(
    axes: Axes, found: Explanations, at: int, rows: NDArray[np.intp], phi: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return where each value of a category goes on the x axis, ordered by mean effect."""
    names = np.array([found.shown(int(r), at) for r in rows])
    seen, counts = np.unique(names, return_counts=True)
    kept = set(seen[np.argsort(-counts, kind="stable")][:_MOST_CATEGORIES])
    names = np.array([name if name in kept else OTHER for name in names])
    ordered = sorted(set(names), key=lambda name: float(phi[names == name].mean()))
    place = {name: i for i, name in enumerate(ordered)}
    axes.set_xticks(
        range(len(ordered)), [shortened(str(name), 16) for name in ordered], rotation=40, ha="right"
    )
    axes.set_xlim(-0.6, len(ordered) - 0.4)
    axes.grid(False, axis="x")
    jitter = np.random.default_rng(0).uniform(-0.26, 0.26, len(names))
    return np.array([place[name] for name in names], dtype=np.float64) + jitter


def category_groups(
    found: Explanations, feature: int, rows: NDArray[np.intp], most: int = 4
) -> list[tuple[str, NDArray[np.bool_], str]]:
    """Return name, rows and colour of a category's most frequent values, and of the others together."""
    names = np.array([found.shown(int(r), feature) for r in rows])
    seen, counts = np.unique(names, return_counts=True)
    top = [str(name) for name in seen[np.argsort(-counts, kind="stable")] if name != MISSING][:most]
    groups = [(name, names == name, colour) for name, colour in zip(top, colours(len(top)), strict=True)]
    rest = ~np.isin(names, top)
    # Drawn first, so that the named ones lie on top.
    return [*([("others", rest, GREY)] if rest.any() else []), *groups]
