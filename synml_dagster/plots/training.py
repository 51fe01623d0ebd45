"""Pictures of a training and of a sweep; each function returns PNG bytes, or an inline SVG on request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from synml_dagster.plots.style import (
    BLUE,
    GREY,
    INK,
    MUTED,
    ORANGE,
    SURFACE,
    Format,
    beside,
    canvas,
    colours,
    dress,
    guarded,
    label,
    legend,
    number_axis,
    percent_axis,
    rendered,
    shortened,
)


@guarded
def training_history(
    history: Mapping[str, Mapping[str, Sequence[float]]],
    best_iteration: int | None = None,
    form: Format = "png",
) -> bytes:
    """Each metric by boosting round, training against validation, the kept round marked.

    Parameters
    ----------
    history
        `{"train" | "validation" | ...: {metric: [value of each round]}}`.
    best_iteration
        How many rounds the model keeps, from 1; None marks nothing.
    """
    metrics = list(dict.fromkeys(name for side in history.values() for name in side))[:3]
    figure, axes = canvas(5.6, 3.4 if len(metrics) < 2 else 2.6 * len(metrics))
    if not metrics:
        axes.text(0.5, 0.5, "no metric was recorded", ha="center", color=MUTED, transform=axes.transAxes)
        return rendered(figure, form, "history")
    figure.clear()
    rows = figure.subplots(len(metrics), 1, sharex=True, squeeze=False)[:, 0]
    for panel, metric in zip(rows, metrics, strict=True):
        dress(panel)
        sides = [(name, side[metric]) for name, side in history.items() if metric in side]
        # Validation is what decides, so it gets the strong colour.
        sides.sort(key=lambda side: "val" not in side[0].lower())
        for (name, values), colour in zip(sides, colours(len(sides)), strict=True):
            panel.plot(range(1, len(values) + 1), values, color=colour, linewidth=1.8, label=shortened(name))
        values = sides[0][1]
        if best_iteration and 0 < best_iteration <= len(values):
            best = values[best_iteration - 1]
            panel.axvline(best_iteration, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
            panel.plot(
                best_iteration, best, "o", color=ORANGE, markersize=7, markeredgecolor=SURFACE, zorder=5
            )
            right = best_iteration < 0.6 * len(values)
            panel.annotate(
                f"round {best_iteration}: {best:.4g}",
                (best_iteration, best),
                xytext=(8 if right else -8, 10),
                textcoords="offset points",
                ha="left" if right else "right",
                color=INK,
                fontsize=8.5,
            )
        number_axis(panel.yaxis)
        panel.margins(x=0.02, y=0.12)
        label(panel, "Boosting round" if panel is rows[-1] else "", metric)
        if len(sides) > 1:
            legend(panel)
    return rendered(figure, form, "history")


@guarded
def importance(
    values: Mapping[str, float],
    measure: str = "gain of all splits",
    most: int = 20,
    form: Format = "png",
) -> bytes:
    """Bars of the features that matter most to a model by its own `measure`, as shares of the whole."""
    return bars(values, f"Share of the {measure}", most, form, "importance")


@guarded
def bars(
    values: Mapping[str, float], axis: str, most: int = 20, form: Format = "png", name: str = "bars"
) -> bytes:
    """Bars of the largest `most` values as shares of their sum; the rest in one grey bar."""
    total = sum(values.values()) or 1.0
    ranked = sorted(values.items(), key=lambda item: -item[1])
    shown = [(key, value / total) for key, value in ranked[:most]]
    rest = sum(value for _, value in ranked[most:]) / total
    figure, axes = canvas(5.6, 0.8 + 0.27 * (len(shown) + bool(rest)))
    names = [shortened(key) for key, _ in shown] + ([f"{len(ranked) - most} others"] if rest else [])
    lengths = [value for _, value in shown] + ([rest] if rest else [])
    place = list(range(len(lengths)))
    axes.barh(place, lengths, color=[BLUE] * len(shown) + [GREY] * bool(rest), height=0.68)
    for at, length in zip(place, lengths, strict=True):
        beside(axes, length, at, f"{length:.1%}")
    axes.set_yticks(place, names)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.grid(False, axis="y")
    axes.set_xlim(0, max(lengths, default=1.0) * 1.13 or 1.0)
    axes.margins(y=0.02)
    percent_axis(axes.xaxis)
    label(axes, axis, "")
    return rendered(figure, form, name)


@guarded
def trials(
    numbers: Sequence[int], values: Sequence[float], best: Sequence[float], metric: str, form: Format = "png"
) -> bytes:
    """Each trial of a sweep, and the best so far."""
    from matplotlib.ticker import MaxNLocator

    figure, axes = canvas(5.6, 3.4)
    axes.plot(numbers, values, "o", color=GREY, markersize=5, label="trial")
    axes.plot(numbers, best, color=BLUE, linewidth=2, drawstyle="steps-post", label="best so far")
    at = next((i for i, v in enumerate(values) if v == best[-1]), None)
    if at is not None:
        axes.plot(numbers[at], values[at], "o", color=ORANGE, markersize=8, markeredgecolor=SURFACE, zorder=5)
    # A failed corner of the search must not flatten what the others tell.
    spread = np.percentile(values, [10, 90]) if len(values) >= 10 else np.array([min(values), max(values)])
    reach = max(float(spread[1] - spread[0]), 1e-9)
    low, high = max(min(values), spread[0] - reach), min(max(values), spread[1] + reach)
    axes.set_ylim(min(low, best[-1]) - 0.08 * reach, max(high, best[-1]) + 0.08 * reach)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    label(axes, "Trial", metric)
    legend(axes)
    return rendered(figure, form, "trials")


@guarded
def leaderboard(
    entries: Sequence[tuple[str, float, float | None]], metric: str, most: int = 12, form: Format = "png"
) -> bytes:
    """The best trials: a dot for the metric, a line for its spread over folds; the best one marked.

    Parameters
    ----------
    entries
        (name, value, standard error or None), best first.
    """
    shown = list(entries[:most])
    figure, axes = canvas(5.6, 1.0 + 0.27 * max(1, len(shown)))
    places = list(range(len(shown)))
    for place, (_, value, spread) in zip(places, shown, strict=True):
        colour = ORANGE if place == 0 else BLUE
        if spread is not None:
            axes.plot([value - spread, value + spread], [place, place], color=colour, linewidth=2, alpha=0.45)
        axes.plot(value, place, "o", color=colour, markersize=6, markeredgecolor=SURFACE)
    axes.set_yticks(places, [shortened(name, 32) for name, _, _ in shown])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.grid(False, axis="y")
    number_axis(axes.xaxis)
    axes.margins(x=0.08, y=0.06)
    label(axes, metric, "")
    return rendered(figure, form, "leaderboard")


@guarded
def front(
    trials: Sequence[tuple[float, float]],
    best: Sequence[tuple[float, float]],
    chosen: Sequence[tuple[float, float]],
    limit: float | None,
    axes_names: tuple[str, str],
    form: Format = "png",
) -> bytes:
    """Each trial by its cost and its metric, those that none beats in both joined, the chosen one marked.

    Parameters
    ----------
    trials, best
        (cost, metric) of all, and of those on the front.
    chosen
        That of the winner; none where it is not among them.
    limit
        The most that the chosen one may cost; what is above it is shaded.
    axes_names
        Of the cost, with its unit, and of the metric.
    """
    figure, axes = canvas(5.6, 3.6)
    axes.scatter([c for c, _ in trials], [v for _, v in trials], s=22, color=GREY, label="a trial", zorder=2)
    ordered = sorted(best)
    costs, values = [c for c, _ in ordered], [v for _, v in ordered]
    axes.step(costs, values, where="post", color=BLUE, linewidth=1.2, zorder=3)
    axes.scatter(costs, values, s=30, color=BLUE, label="beaten in both by none", zorder=4)
    if limit is not None:
        axes.axvspan(
            limit, max([limit, *(c for c, _ in trials)]) * 1.05, color=ORANGE, alpha=0.12, linewidth=0
        )
        axes.axvline(limit, color=ORANGE, linewidth=1, linestyle=(0, (4, 3)), label="the limit")
    for point in chosen:
        axes.plot(*point, "o", color=ORANGE, markersize=9, markeredgecolor=SURFACE, label="chosen", zorder=5)
    if min(c for c, _ in trials) > 0 and max(c for c, _ in trials) > 20 * min(c for c, _ in trials):
        axes.set_xscale("log")
    else:
        number_axis(axes.xaxis)
    number_axis(axes.yaxis)
    axes.margins(x=0.04, y=0.1)
    label(axes, *axes_names)
    legend(axes)
    return rendered(figure, form, "front")
