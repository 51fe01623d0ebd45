"""Reads one column's figures, words and sampled values out of a profile."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from synml_dagster.features.profile.profile import (
    COUNT,
    HIGH,
    INFINITE,
    LOW,
    MEAN,
    MISSING,
    SQUARES,
    Profile,
    figures_of,
)
from synml_dagster.features.stats import ColumnStats, Histogram

if TYPE_CHECKING:
    from synml_dagster.columns import RawInput

_QUANTILES = (1, 5, *range(10, 100, 10), 95, 99)
_TOP = 50
_BINS = 20


@dataclass(frozen=True)
class Seen:
    """What a profile saw of one raw column.

    Attributes
    ----------
    numbers
        Sampled values, float64 `[rows]` with NaN where missing, of a column of numbers, dates or times.
    strings
        Sampled values, "" where missing, of a column of strings.
    counts
        All words and their rows; None where there are too many, or the column holds numbers.
    """

    rows: int
    missing: int
    figures: np.ndarray | None = None
    numbers: np.ndarray | None = None
    strings: np.ndarray | None = None
    counts: dict[str, int] | None = None

    @property
    def there(self) -> int:
        """Rows with a value."""
        return self.rows - self.missing

    @property
    def finite(self) -> np.ndarray:
        """The sampled finite numbers, sorted."""
        assert self.numbers is not None
        return np.sort(self.numbers[np.isfinite(self.numbers)])

    @property
    def mean(self) -> float:
        """Mean of the finite values."""
        assert self.figures is not None
        return float(self.figures[MEAN])

    @property
    def deviation(self) -> float:
        """Standard deviation of the finite values, over n."""
        assert self.figures is not None
        finite = self.figures[COUNT] - self.figures[MISSING] - self.figures[INFINITE]
        return float(np.sqrt(self.figures[SQUARES] / finite)) if finite else 0.0

    @property
    def low(self) -> float:
        """The least finite value."""
        assert self.figures is not None
        return float(self.figures[LOW])

    @property
    def high(self) -> float:
        """The greatest finite value."""
        assert self.figures is not None
        return float(self.figures[HIGH])


def seen_number(profile: Profile, i: int) -> Seen:
    """Return what `profile` saw of its i-th column of numbers."""
    figures = profile.figures[:, i]
    sample = profile.sample
    assert sample is not None
    return Seen(
        rows=profile.rows,
        missing=int(figures[MISSING]),
        figures=figures,
        numbers=sample.column(profile.numbers[i]).to_numpy(),
    )


def seen_words(profile: Profile, i: int) -> Seen:
    """Return what `profile` saw of its i-th column of strings."""
    sample = profile.sample
    assert sample is not None
    return Seen(
        rows=profile.rows,
        missing=int(profile.missing_words[i]),
        strings=np.array(sample.column(profile.words[i]).to_pylist(), dtype=object),
        counts=profile.counts[i],
    )


def without_marks(seen: Seen, marks: tuple[str, ...]) -> Seen:
    """Return what was seen of a column of words where those of `marks` are missing."""
    if seen.counts is None or not (there := seen.counts.keys() & set(marks)):
        return seen
    assert seen.strings is not None
    return replace(
        seen,
        missing=seen.missing + sum(seen.counts[mark] for mark in there),
        strings=np.where(np.isin(seen.strings, list(there)), "", seen.strings),
        counts={word: rows for word, rows in seen.counts.items() if word not in there},
    )


def of_numbers(values: np.ndarray, rows: int) -> Seen:
    """Return what there is to see in parsed values of a sample, as if they were the whole column."""
    figures = figures_of(values)
    share = rows / max(1, len(values))
    return Seen(rows=rows, missing=round(figures[MISSING] * share), figures=figures, numbers=values)


def statistics(raw: RawInput, seen: Seen) -> ColumnStats:
    """Return the figures of a column that go into the plan, rounded so that equal data gives equal text."""
    base = ColumnStats(column=raw.name, type=raw.spark_type, rows=seen.rows, missing=seen.missing)
    if seen.numbers is not None and seen.figures is not None:
        finite = seen.finite
        if not len(finite):
            return base
        marks = np.percentile(finite, _QUANTILES)
        return base.model_copy(
            update={
                "minimum": rounded(seen.low),
                "maximum": rounded(seen.high),
                "mean": _written(seen.mean),
                "deviation": _written(seen.deviation),
                "infinite": int(seen.figures[INFINITE]),
                "distinct": len(np.unique(finite)),
                "quantiles": {f"p{q:02d}": rounded(v) for q, v in zip(_QUANTILES, marks, strict=True)},
                "histogram": histogram(finite),
            }
        )
    if seen.counts is not None:
        ordered = by_frequency(seen.counts)
        top = {w: seen.counts[w] for w in ordered[:_TOP]}
        return base.model_copy(update={"distinct": len(seen.counts), "top": top})
    return base


def histogram(finite: np.ndarray) -> Histogram:
    """Return how sorted finite values, at least one, are spread: a bin per value where there are few, else per 5% of the rows."""
    edges = np.unique(finite)
    if len(edges) > _BINS:
        shares = np.arange(1, _BINS) / _BINS
        edges = np.unique(np.append(np.quantile(finite, shares, method="inverted_cdf"), finite[-1]))
    edges = edges[:-1]
    upto = np.searchsorted(finite, edges, side="right")
    counts = np.diff(upto, prepend=0, append=len(finite))
    return Histogram(edges=edges.tolist(), counts=counts.tolist())


def by_frequency(counts: dict[str, int]) -> list[str]:
    """Return the words, the most frequent first, equally frequent ones by their characters."""
    return sorted(counts, key=lambda w: (-counts[w], w))


def _written(value: float) -> float | None:
    """JSON has no number for a sum of squares that is past the largest float64."""
    return rounded(value) if np.isfinite(value) else None


def rounded(value: float) -> float:
    """Return `value` to 10 digits: the digits behind depend on the order in which parts were added up."""
    return float(f"{value:.10g}")
