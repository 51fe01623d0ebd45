"""Pictures of groups: how many rows they have, what their label is, and what a model answers them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synml_dagster.plots.style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    TEAL,
    Format,
    canvas,
    guarded,
    label,
    legend,
    number_axis,
    percent_axis,
    rendered,
    shortened,
)

if TYPE_CHECKING:
    from synml_dagster.balance import DataBalance, Fairness

_MOST_GROUPS = 24
_RATES = {
    "selection_rate": ("flagged", BLUE),
    "true_positive_rate": ("found, of the positives", TEAL),
    "false_positive_rate": ("flagged, of the negatives", ORANGE),
}


@guarded
def label_by_group(found: DataBalance, form: Format = "png") -> bytes:
    """The class's share (or the label's mean) of each group with its 95% interval; beside it the group's share of the rows."""
    shown = [g for g in found.groups if g.label in (None, found.classes[0] if found.classes else None)]
    shown = shown[:_MOST_GROUPS]
    shares = {(d.column, g): s for d in found.distributions for g, s in zip(d.groups, d.shares, strict=True)}
    rows = [(g.column, g.group) for g in shown] or [*shares][:_MOST_GROUPS]
    figure, axes = canvas(6.4, 1.1 + 0.3 * len(rows))
    place = list(range(len(rows)))
    if shown:
        values = [g.mean if g.mean is not None else (g.of_class or 0) / g.rows for g in shown]
        for at, value, g in zip(place, values, shown, strict=True):
            if g.low is not None and g.high is not None:
                axes.plot([g.low, g.high], [at, at], color=GREY, linewidth=2, zorder=1)
            axes.plot(value, at, "o", color=BLUE, markersize=6, zorder=2)
        name = f"share of {shown[0].label}" if shown[0].label else f"mean of {found.label}"
    else:
        axes.barh(place, [shares[r] for r in rows], color=BLUE, height=0.6)
        name = "share of the rows"
    ticks = [f"{shortened(c)}: {shortened(g)} ({shares[(c, g)]:.0%} of rows)" for c, g in rows]
    _by_row(axes, place, ticks)
    (number_axis if shown and shown[0].mean is not None else percent_axis)(axes.xaxis)
    label(axes, name, "")
    return rendered(figure, form, "label-by-group")


@guarded
def answers_by_group(found: Fairness, form: Format = "png") -> bytes:
    """Rates of each group with their 95% intervals (of the first class of several), or its bias where answers are numbers."""
    first = found.classes[0] if found.classes else None
    alone = [g for g in found.groups if len(g.columns) == 1]  # the combined ones are in the tables
    shown = [g for g in alone if g.label == first and not g.small][:_MOST_GROUPS]
    figure, axes = canvas(6.4, 1.3 + 0.36 * len(shown))
    place = list(range(len(shown)))
    if found.task == "regression":
        for at, g in zip(place, shown, strict=True):
            low, high = g.errors.get("bias_low"), g.errors.get("bias_high")
            if low is not None and high is not None:
                axes.plot([low, high], [at, at], color=GREY, linewidth=2, zorder=1)
            axes.plot(g.errors["bias"] or 0.0, at, "o", color=BLUE, markersize=6, zorder=2)
        axes.axvline(0, color=INK, linewidth=0.8)
        number_axis(axes.xaxis)
        label(axes, "mean of prediction less label", "")
    else:
        for offset, (rate, (name, colour)) in zip((-0.2, 0.0, 0.2), _RATES.items(), strict=True):
            told = name  # once a rate, by the first group that has it
            for at, g in zip(place, shown, strict=True):
                found_rate = g.rates[rate]
                if found_rate.value is None:
                    continue
                axes.plot(
                    [found_rate.low or 0.0, found_rate.high or 0.0],
                    [at + offset] * 2,
                    color=colour,
                    linewidth=1.6,
                    alpha=0.5,
                )
                axes.plot(
                    found_rate.value,
                    at + offset,
                    "o",
                    color=colour,
                    markersize=5,
                    label=told,
                )
                told = "_"
        percent_axis(axes.xaxis)
        label(axes, f"rows answered {first}", "")
        if shown:
            # Above the axes: inside of them it would hide a group.
            legend(axes, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=len(_RATES), borderaxespad=0.2)
    _by_row(axes, place, [f"{shortened(' & '.join(g.columns))}: {shortened(g.name)}" for g in shown])
    return rendered(figure, form, "answers-by-group")


def _by_row(axes: object, place: list[int], ticks: list[str]) -> None:
    axes.set_yticks(place, ticks)  # type: ignore[attr-defined]
    axes.invert_yaxis()  # type: ignore[attr-defined]
    axes.tick_params(axis="y", length=0, labelcolor=INK)  # type: ignore[attr-defined]
    axes.margins(y=0.06)  # type: ignore[attr-defined]
