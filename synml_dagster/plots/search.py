"""Pictures of how a metric lies over the parameters that a sweep has tried; each function returns PNG bytes, or an inline SVG on request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from synml_dagster.plots.style import (
    BLUE,
    GREY,
    INK,
    MUTED,
    ORANGE,
    SURFACE,
    Format,
    canvas,
    dress,
    guarded,
    label,
    number_axis,
    rendered,
    shortened,
)

Tried = tuple[Mapping[str, Any], float]
"""The parameters of a trial and its metric; None is one that the trial did not have."""
_WIDE = 10.0


@guarded
def slices(tried: Sequence[Tried], metric: str, form: Format = "png") -> bytes:
    """The metric by each parameter, a panel each: where a parameter matters, the dots lie on a slope or in a bowl.

    Parameters
    ----------
    tried
        Best first; the first is marked.
    """
    names = list(tried[0][0])
    across = min(4, len(names))
    down = -(-len(names) // across)
    figure, _ = canvas(max(2.6, 1.9 * across), 0.3 + 1.9 * down)
    figure.clear()
    panels = figure.subplots(down, across, sharey=True, squeeze=False)
    low, high = _bulk([value for _, value in tried])
    for i, panel in enumerate(panels.flat):
        if i >= len(names):
            panel.set_visible(False)
            continue
        dress(panel)
        name = names[i]
        known = [(params[name], value) for params, value in tried if params.get(name) is not None]
        numbers = _are_numbers(known)
        if numbers:
            panel.scatter(
                [x for x, _ in known], [y for _, y in known], s=14, color=BLUE, alpha=0.7, linewidth=0
            )
            if _is_log([x for x, _ in known]):
                panel.set_xscale("log")
            else:
                number_axis(panel.xaxis)
        else:
            words = list(dict.fromkeys(str(x) for x, _ in known))
            panel.scatter(
                [words.index(str(x)) for x, _ in known], [y for _, y in known], s=14, color=BLUE, linewidth=0
            )
            panel.set_xticks(range(len(words)), [shortened(w, 10) for w in words])
            panel.set_xlim(-0.5, len(words) - 0.5)
        best, value = tried[0][0].get(name), tried[0][1]
        if best is not None:
            at = best if numbers else words.index(str(best))
            panel.plot(at, value, "o", color=ORANGE, markersize=6, markeredgecolor=SURFACE, zorder=5)
        panel.set_ylim(low, high)
        panel.set_title(shortened(name, 22), fontsize=8.5, color=INK)
        panel.tick_params(labelsize=7)
        if i % across == 0:
            label(panel, "", metric)
            number_axis(panel.yaxis)
    return rendered(figure, form, "slices")


@guarded
def parallel(tried: Sequence[Tried], metric: str, maximize: bool, form: Format = "png") -> bytes:
    """A line a trial over all parameters and the metric at the right; the best quarter is strong, the best one marked.

    Parameters
    ----------
    tried
        Best first.
    """
    names = list(tried[0][0])
    figure, axes = canvas(max(5.6, 0.95 * (len(names) + 1)), 3.4)
    columns = [_places([params.get(name) for params, _ in tried]) for name in names]
    low, high = _bulk([value for _, value in tried])
    columns.append(
        (
            [(min(max(value, low), high) - low) / ((high - low) or 1.0) for _, value in tried],
            f"{low:.3g}",
            f"{high:.3g}",
        )
    )
    strong = max(1, len(tried) // 4)
    for i in reversed(range(len(tried))):
        heights = [places[i] for places, _, _ in columns]
        colour, width, alpha = (
            (ORANGE, 2.0, 1.0) if i == 0 else (BLUE, 1.2, 0.7) if i < strong else (GREY, 0.8, 0.5)
        )
        axes.plot(range(len(columns)), heights, color=colour, linewidth=width, alpha=alpha)
    for i, (_, least, most) in enumerate(columns):
        axes.axvline(i, color=MUTED, linewidth=0.7, zorder=0)
        axes.annotate(
            least, (i, 0), xytext=(0, -9), textcoords="offset points", ha="center", fontsize=7, color=MUTED
        )
        axes.annotate(
            most, (i, 1), xytext=(0, 4), textcoords="offset points", ha="center", fontsize=7, color=MUTED
        )
    better = "more is better" if maximize else "less is better"
    axes.set_xticks(
        range(len(columns)),
        [shortened(n.removeprefix("features."), 16) for n in names] + [f"{metric}\n({better})"],
        rotation=25,
        ha="right",
        fontsize=7.5,
    )
    axes.tick_params(axis="x", length=0, pad=12)
    axes.set_yticks([])
    axes.grid(False)
    axes.set_ylim(-0.09, 1.07)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return rendered(figure, form, "parallel")


def _bulk(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of an axis that a failed corner of the search does not flatten."""
    spread = np.percentile(values, [10, 90]) if len(values) >= 10 else np.array([min(values), max(values)])
    reach = max(float(spread[1] - spread[0]), 1e-9)
    low, high = max(min(values), spread[0] - reach), min(max(values), spread[1] + reach)
    return float(low - 0.08 * reach), float(high + 0.08 * reach)


def _are_numbers(known: Sequence[tuple[Any, float]]) -> bool:
    return all(isinstance(x, int | float) and not isinstance(x, bool) for x, _ in known)


def _is_log(values: Sequence[float]) -> bool:
    return min(values) > 0 and max(values) > _WIDE * min(values)


def _places(values: Sequence[Any]) -> tuple[list[float], str, str]:
    """Return where values stand between 0 and 1, NaN for none, and what the ends are called."""
    known = [v for v in values if v is not None]
    if _are_numbers([(v, 0.0) for v in known]):
        least, most = min(known), max(known)
        if _is_log(known):
            ends = np.log(least), np.log(most)
            places = [
                float("nan") if v is None else (np.log(v) - ends[0]) / ((ends[1] - ends[0]) or 1)
                for v in values
            ]
        else:
            places = [float("nan") if v is None else (v - least) / ((most - least) or 1) for v in values]
        return [float(p) for p in places], f"{least:.3g}", f"{most:.3g}"
    words = sorted({str(v) for v in known})
    step = 1 / max(1, len(words) - 1)
    return (
        [float("nan") if v is None else words.index(str(v)) * step for v in values],
        shortened(words[0], 10),
        shortened(words[-1], 10) if len(words) > 1 else "",
    )
