"""Pictures of explanations; each function returns PNG bytes, or an inline SVG on request.

Orange is up and blue is down, for a feature's value as for what it does to the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import DataError, did_you_mean
from synml_dagster.explain import Explanations
from synml_dagster.explain.interactions import strongest_partner
from synml_dagster.explain.value_names import FeatureReading
from synml_dagster.plots.points import (
    category_groups,
    category_places,
    ends,
    heat,
    number_places,
    spread,
    thinned,
)
from synml_dagster.plots.style import (
    BLUE,
    GREY,
    INK,
    MUTED,
    ORANGE,
    Format,
    beside,
    canvas,
    colours,
    guarded,
    label,
    legend,
    number_axis,
    ramp,
    rendered,
    short_number,
    shortened,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_IN_A_ROW = 2_000
"""Points of one feature in a beeswarm: so many fill its row."""


@guarded
def importance(found: Explanations, most: int = 20, form: Format = "png") -> bytes:
    """Mean size of the SHAP value by feature, with its 95% interval over the explained rows; several classes are told apart by colour."""
    size = np.abs(found.phi).mean(0, dtype=np.float64)
    order = np.argsort(-size.sum(1), kind="stable")[:most]
    # As high as the beeswarm, beside which it stands in the report: a feature is on the same line in both.
    figure, axes = canvas(5.0, 1.0 + 0.36 * len(order))
    place = np.arange(len(order))
    left = np.zeros(len(order))
    shown = list(range(len(found.outputs)))[:6]
    parts = [(found.outputs[j], size[order, j]) for j in shown]
    if len(shown) < len(found.outputs):
        parts.append((f"{len(found.outputs) - len(shown)} more", size[order][:, len(shown) :].sum(1)))
    for (name, part), colour in zip(parts, colours(len(parts)), strict=True):
        axes.barh(place, part, left=left, color=colour, height=0.68, label=shortened(name))
        left += part
    reach = _sampling(found)[order]
    if found.rows > 1:
        axes.errorbar(left, place, xerr=reach, fmt="none", ecolor=MUTED, elinewidth=1, capsize=2)
    for at, length, more in zip(place, left, reach, strict=True):
        beside(axes, length + more, float(at), short_number(length))
    axes.set_yticks(place, [shortened(found.features[i]) for i in order])
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.grid(False, axis="y")
    axes.set_xlim(0, (float((left + reach).max()) or 1.0) * 1.14)
    axes.set_ylim(len(order) - 0.4, -0.6)
    number_axis(axes.xaxis)
    label(axes, f"Mean size of the effect on {_unit(found)}", "")
    if len(found.outputs) > 1:
        legend(axes, loc="lower right")
    return rendered(figure, form, "shap-importance")


def _sampling(found: Explanations) -> NDArray[np.float64]:
    """[features] half of the 95% interval of the mean size, over samples of as many rows: what a bootstrap of them would spread by."""
    if found.rows < 2:
        return np.zeros(len(found.features))
    size = np.abs(found.phi).sum(2, dtype=np.float64)
    return np.asarray(1.96 * size.std(0, ddof=1) / np.sqrt(found.rows))


@guarded
def beeswarm(found: Explanations, output: int | None = None, most: int = 15, form: Format = "png") -> bytes:
    """One point per row and feature: place is the effect, colour the feature's value (grey: a category or missing)."""
    output = _output(found, output)
    rows = thinned(found, _MOST_IN_A_ROW)
    order = [found.features.index(name) for name in list(found.importance)[:most]]  # as in the bars beside it
    figure, axes = canvas(6.2, 1.0 + 0.36 * len(order))
    axes.axvline(0, color=GREY, linewidth=1)
    effect = found.phi[rows][:, order, output].astype(np.float64)
    height = np.column_stack([at + spread(effect[:, at]) for at in range(len(order))])
    warmth = np.column_stack([heat(found, i, rows) for i in order])
    known = ~np.isnan(warmth)
    grey_too = not known.all()
    style: dict[str, Any] = {"s": 7, "linewidths": 0, "rasterized": True}
    axes.scatter(effect[~known], height[~known], color="#8b96a1", alpha=0.6, **style)
    axes.scatter(
        effect[known], height[known], c=warmth[known], cmap=ramp(), vmin=0, vmax=1, alpha=0.85, **style
    )
    axes.set_yticks(range(len(order)), [shortened(found.features[i]) for i in order])
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.grid(False, axis="x")
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.spines["left"].set_visible(False)
    number_axis(axes.xaxis)
    _colour_bar(
        figure, axes, "low", "high", "Feature value" + ("\n(grey: category or missing)" if grey_too else "")
    )
    label(axes, f"Effect on {_unit(found, output)}", "")
    return rendered(figure, form, f"beeswarm-{output}")


@guarded
def dependence(
    found: Explanations,
    feature: str,
    output: int | None = None,
    partner: str | None = "auto",
    form: Format = "png",
) -> bytes:
    """Effect of one feature against its value, coloured by the feature that it works with most.

    Raises
    ------
    DataError
        When the explanations hold no such feature.
    """
    output = _output(found, output)
    at = _position(found, feature)
    rows = thinned(found)
    phi = found.phi[rows, at, output]
    other = (
        None
        if partner is None
        else strongest_partner(found, at, output)
        if partner == "auto"
        else _position(found, partner)
    )
    figure, axes = canvas(4.9, 3.5)
    axes.axhline(0, color=GREY, linewidth=1)
    reading = found.readings.get(feature, FeatureReading())
    x = (
        category_places(axes, found, at, rows, phi)
        if reading.kind == "category"
        else number_places(axes, found, at, rows)
    )
    style: dict[str, Any] = {"s": 11, "linewidths": 0, "alpha": 0.75, "rasterized": True}
    if other is None:
        axes.scatter(x, phi, color=BLUE, **style)
    elif found.readings.get(found.features[other], FeatureReading()).kind == "category":
        for name, chosen, colour in category_groups(found, other, rows):
            axes.scatter(x[chosen], phi[chosen], color=colour, label=shortened(name, 18), **style)
        legend(
            axes,
            title=shortened(found.features[other]),
            title_fontsize=8.5,
            loc="best",
            fontsize=8,
            markerscale=1.6,
        )
    else:
        warmth = heat(found, other, rows)
        known = ~np.isnan(warmth)
        axes.scatter(x[~known], phi[~known], color="#8b96a1", **style)
        axes.scatter(x[known], phi[known], c=warmth[known], cmap=ramp(), vmin=0, vmax=1, **style)
        low, high = ends(found, other, rows)
        _colour_bar(figure, axes, low, high, shortened(found.features[other]))
    number_axis(axes.yaxis)
    label(axes, shortened(feature, 40), f"Effect on {_unit(found, output)}")
    return rendered(figure, form, f"dependence-{at}-{output}")


@guarded
def waterfall(
    found: Explanations, row: int, output: int | None = None, most: int = 8, form: Format = "png"
) -> bytes:
    """How the features of one row lead from the mean answer to this row's answer."""
    output = _output(found, output)
    phi = found.phi[row, :, output].astype(np.float64)
    order = [int(i) for i in np.argsort(-np.abs(phi), kind="stable") if phi[i]][:most]
    rest = float(phi.sum() - phi[order].sum())
    left_out = int(np.count_nonzero(phi)) - len(order)
    steps = [
        (f"{shortened(found.features[i], 20)} = {shortened(found.shown(row, i), 16)}", float(phi[i]))
        for i in order
    ]
    if left_out:
        steps.append((f"{left_out} other feature{'s' if left_out > 1 else ''}", rest))
    figure, axes = canvas(5.2, 1.3 + 0.34 * len(steps))
    start = float(found.base[output])
    end = start + float(phi.sum())
    edge = start
    spread = max(abs(value) for _, value in steps) if steps else 1.0
    reach = [start, end]
    for at, (_, value) in enumerate(steps):
        axes.barh(at, value, left=edge, height=0.62, color=ORANGE if value > 0 else BLUE)
        if at:
            axes.plot([edge, edge], [at - 0.69, at - 0.31], color=GREY, linewidth=0.8)
        tip = edge + value
        text = ("+" if value > 0 else "") + short_number(float(f"{value:.2g}"))
        side = max(edge, tip) if value > 0 else min(edge, tip)
        beside(axes, side, at, text, left=value < 0, size=8.5, color=INK)
        edge = tip
        reach.append(edge)
    axes.plot([start, start], [-0.62, -0.31], color=MUTED, linewidth=1)
    text = f"mean {_ending(found, start)}"
    axes.text(start, -0.7, text, ha="center", va="bottom", color=MUTED, fontsize=8.5)
    last = len(steps) - 1
    axes.plot([end, end], [last + 0.31, last + 0.62], color=INK, linewidth=1)
    text = f"this row {_ending(found, end)}"
    axes.text(end, last + 0.7, text, ha="center", va="top", color=INK, fontsize=9, fontweight="bold")
    axes.set_yticks(range(len(steps)), [name for name, _ in steps])
    axes.set_ylim(len(steps) + 0.35, -1.35)
    pad = 0.2 * max(max(reach) - min(reach), spread)
    axes.set_xlim(min(reach) - pad, max(reach) + pad)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.grid(False, axis="y")
    axes.spines["left"].set_visible(False)
    number_axis(axes.xaxis)
    unit = _unit(found, output)
    label(axes, unit.removeprefix("the ").capitalize() if "the " in unit else unit[0].upper() + unit[1:], "")
    return rendered(figure, form, f"waterfall-{row}-{output}")


def default_output(found: Explanations) -> int:
    """Return the output to show where one has to do: the only one, or the class that is most often the answer."""
    if len(found.outputs) == 1:
        return 0
    return int(np.bincount(found.raw_score.argmax(1), minlength=len(found.outputs)).argmax())


def _output(found: Explanations, output: int | None) -> int:
    return default_output(found) if output is None else output


def _unit(found: Explanations, output: int | None = None) -> str:
    if found.link.name == "probability":
        several = "the classes' probabilities"
        if found.task == "multiclass":
            return several if output is None else f"probability of {shortened(found.outputs[output])}"
        return f"probability of {shortened(found.classes[1])}" if len(found.classes) == 2 else "probability"
    if found.task == "binary":
        return f"log-odds of {shortened(found.classes[1])}" if len(found.classes) == 2 else "log-odds"
    if found.task == "multiclass":
        return f"score of {shortened(found.outputs[output])}" if output is not None else "the classes' scores"
    if found.task == "regression":
        return "the prediction" if found.link.name == "identity" else found.link.unit
    return "the score"


def _ending(found: Explanations, score: float) -> str:
    """Return where a waterfall begins or ends, with the probability that it stands for."""
    text = short_number(float(f"{score:.2f}") if abs(score) < 100 else score)
    return f"{text} = {float(found.link.apply(np.array([score]))[0]):.0%}" if found.task == "binary" else text


def _position(found: Explanations, feature: str) -> int:
    if feature not in found.features:
        raise DataError(
            f"The explanations hold no feature {feature!r}.{did_you_mean(feature, found.features)}"
        )
    return found.features.index(feature)


def _colour_bar(figure: Figure, axes: Axes, low: str, high: str, title: str) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), ramp()), ax=axes, pad=0.02, aspect=32)
    bar.outline.set_visible(False)
    bar.set_ticks([0.02, 0.98], labels=[low, high])
    bar.ax.tick_params(colors=MUTED, labelsize=8, length=0)
    bar.set_label(title, color=INK, fontsize=8.5, labelpad=-2)
