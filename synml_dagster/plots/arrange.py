"""Where axes stand in a figure: as large as what is written around them lets them be.

Matplotlib's "constrained" arrangement measures every text of a figure twice, and measuring is the most of what a small picture
costs. Once is enough, unless the new size puts other ticks on an axis, or a text that stands at a point of the data beyond them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

_PAD = 3 / 72
"""Inches around everything, as matplotlib leaves."""

_BAR_GAP = 0.02
"""Of the axes' width, between them and their colour bar."""

_LEAST = 0.1
"""Of the figure, for axes whose texts take more room than there is."""


def arrange(figure: Figure) -> None:
    """Place the axes of a figure for good; more than one, beside a colour bar, matplotlib arranges."""
    engine = figure.get_layout_engine()
    if engine is None:
        return
    axes, *others = figure.axes
    one = not others or (len(others) == 1 and others[0].get_label() == "<colorbar>")
    if not one:
        engine.execute(figure)
        figure.set_layout_engine("none")
        return
    figure.set_layout_engine("none")
    bar = others[0] if others else None
    before = _ticks(axes)
    moves = _fit(figure, axes, bar)
    if moves or _ticks(axes) != before:
        _fit(figure, axes, bar)


def _ticks(axes: Axes) -> tuple[list[Any], list[Any]]:
    return list(axes.xaxis.get_majorticklocs()), list(axes.yaxis.get_majorticklocs())


def _fit(figure: Figure, axes: Axes, bar: Axes | None) -> bool:
    """Measure what stands around the axes, and give them the rest; return whether a text at a point of the data reaches furthest.

    Such a text has moved with its point, other than what is written along the axes. In pixels.
    """
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    width, height = figure.bbox.width, figure.bbox.height
    pad = _PAD * figure.dpi
    inner = axes.get_position(original=True).transformed(figure.transFigure)
    outer = axes.get_tightbbox(renderer, for_layout_only=True) or inner
    left, bottom = pad + inner.x0 - outer.x0, pad + inner.y0 - outer.y0
    right, top = width - pad - (outer.x1 - inner.x1), height - pad - (outer.y1 - inner.y1)
    if bar is not None:
        written = bar.get_tightbbox(renderer, for_layout_only=True) or bar.bbox
        drawn = bar.get_position().transformed(figure.transFigure)  # measuring gives it its shape
        bottom = max(bottom, pad + drawn.y0 - written.y0)
        top = min(top, height - pad - (written.y1 - drawn.y1))
    top = max(top, bottom + _LEAST * height)
    if bar is not None:
        thick = (top - bottom) / float(bar.get_box_aspect() or 20)
        lead, trail = drawn.x0 - written.x0, written.x1 - drawn.x1
        right = (right - lead - thick - trail + _BAR_GAP * left) / (1 + _BAR_GAP)
        right = max(right, left + _LEAST * width)
        x0 = right + (outer.x1 - inner.x1) + _BAR_GAP * (right - left) + lead
        bar.set_position((x0 / width, bottom / height, thick / width, (top - bottom) / height))
    right = max(right, left + _LEAST * width)
    moves = any(_reaches(text.get_window_extent(renderer), outer, inner) for text in axes.texts)
    axes.set_position((left / width, bottom / height, (right - left) / width, (top - bottom) / height))
    return moves


def _reaches(box: Bbox, outer: Bbox, inner: Bbox) -> bool:
    low = (box.x0 < inner.x0 and box.x0 <= outer.x0 + 1) or (box.y0 < inner.y0 and box.y0 <= outer.y0 + 1)
    high = (box.x1 > inner.x1 and box.x1 >= outer.x1 - 1) or (box.y1 > inner.y1 and box.y1 >= outer.y1 - 1)
    return bool(low or high)
