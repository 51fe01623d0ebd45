"""A picture of one column in the training rows and in the rows to score."""

from __future__ import annotations

from collections.abc import Sequence

from synml_dagster.plots.style import (
    BLUE,
    ORANGE,
    Format,
    canvas,
    guarded,
    label,
    legend,
    percent_axis,
    rendered,
    shortened,
)

_MOST_BINS = 24


@guarded
def two_distributions(
    column: str, bins: Sequence[str], expected: Sequence[float], found: Sequence[float], form: Format = "png"
) -> bytes:
    """Bars side by side: each bin's share of the training rows and of the rows to score.

    Of more bins than fit, those with the largest difference are shown, in their order.
    """
    places = sorted(range(len(bins)), key=lambda i: -abs(found[i] - expected[i]))[:_MOST_BINS]
    places.sort()
    figure, axes = canvas(6.4, 1.3 + 0.26 * len(places))
    at = list(range(len(places)))
    axes.barh([y - 0.19 for y in at], [expected[i] for i in places], 0.36, color=BLUE, label="training rows")
    axes.barh([y + 0.19 for y in at], [found[i] for i in places], 0.36, color=ORANGE, label="rows to score")
    axes.set_yticks(at, [shortened(bins[i]) for i in places])
    axes.invert_yaxis()
    percent_axis(axes.xaxis)
    more = f", {len(places)} of {len(bins)} bins" if len(places) < len(bins) else ""
    label(axes, "share of rows", "", f"{shortened(column)}{more}")
    legend(axes)
    return rendered(figure, form, "drift")
