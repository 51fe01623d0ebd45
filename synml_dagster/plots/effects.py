"""Pictures of what columns do to a model's answers: curves over their values, maps of two of them, and permutation importance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from synml_dagster.plots.style import (
    BLUE,
    GREY,
    INK,
    MUTED,
    ORANGE,
    Format,
    beside,
    canvas,
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
    import pandas as pd
    from matplotlib.axes import Axes

    from synml_dagster.explain import AttributedRows
    from synml_dagster.explain.effects import Effects

_MOST_BARS, _MOST_CURVES, _MOST_WORDS = 25, 60, 30


@guarded
def dependence(found: Effects, column: str, output: str | None = None, form: Format = "png") -> bytes:
    """The mean answer over a column's values, a few rows' own curves behind it, and its accumulated effect where it has one."""
    output = output or found.outputs[-1]
    told = _of(found.to_pandas("dependence"), column, output)
    told = told[told["column_2"].isna()]
    numbers = bool(told["number"].notna().all())
    figure, axes = canvas(5.2, 3.4)
    x = told["number"].to_numpy() if numbers else np.arange(len(told))
    own = _of(found.to_pandas("curves"), column, output)
    for row in sorted(own["row"].unique())[:_MOST_CURVES]:
        axes.plot(x, own.loc[own["row"] == row, "answer"].to_numpy(), color=GREY, linewidth=0.7, alpha=0.45)
    axes.plot(
        x,
        told["mean"].to_numpy(),
        "-" if numbers else "o",
        color=BLUE,
        linewidth=2.4,
        markersize=7,
        label="mean of all rows",
        zorder=4,
    )
    along = _of(found.to_pandas("accumulated"), column, output)
    if len(along) and numbers:
        middle = found.mean_answer[found.outputs.index(output)]
        axes.plot(
            along["number"].to_numpy(),
            along["effect"].to_numpy() + middle,
            "--",
            color=ORANGE,
            linewidth=1.8,
            label="accumulated local effect",
            zorder=3,
        )
        axes.set_xlim(float(x.min()), float(x.max()))
        legend(axes, loc="best")
    if numbers:
        number_axis(axes.xaxis)
    else:
        _words(axes, [shortened(v, 16) for v in told["value"]])
    number_axis(axes.yaxis)
    label(axes, shortened(column), _answer(found, output))
    return rendered(figure, form, f"effect-{found.columns.index(column)}")


@guarded
def together(found: Effects, pair: tuple[str, str], output: str | None = None, form: Format = "png") -> bytes:
    """The mean answer over the values of two columns, darker where it is higher."""
    output = output or found.outputs[-1]
    told = found.to_pandas("dependence")
    told = told[(told["column"] == pair[0]) & (told["column_2"] == pair[1]) & (told["output"] == output)]
    first, second = (list(dict.fromkeys(told[name])) for name in ("value", "value_2"))
    mean = told["mean"].to_numpy().reshape(len(first), len(second))
    figure, axes = canvas(5.4, 4.0)
    drawn = axes.imshow(mean.T, cmap=ramp("density"), aspect="auto", origin="lower")
    axes.grid(False)
    for axis, words in ((axes.xaxis, first), (axes.yaxis, second)):
        step = max(1, len(words) // 6)
        axis.set_ticks(range(0, len(words), step), [_short(w) for w in words[::step]])
    bar = figure.colorbar(drawn, ax=axes)
    bar.set_label(_answer(found, output), color=MUTED, fontsize=8.5)
    bar.ax.tick_params(colors=MUTED, labelsize=8)
    bar.outline.set_visible(False)
    label(axes, shortened(pair[0]), shortened(pair[1]))
    return rendered(figure, form, f"effect-pair-{found.pairs.index(pair)}")


@guarded
def permutation(found: Effects, most: int = _MOST_BARS, form: Format = "png") -> bytes:
    """How much worse the metric is where a column is shuffled; thin lines reach from the least to the most over the shuffles."""
    told = found.to_pandas("permutation").head(most)
    place = np.arange(len(told))
    mean = told["mean"].to_numpy()
    figure, axes = canvas(5.2, 1.0 + 0.32 * max(1, len(told)))
    axes.barh(place, mean, color=BLUE, height=0.66)
    around = np.abs(np.stack([mean - told["low"].to_numpy(), told["high"].to_numpy() - mean]))
    axes.errorbar(mean, place, xerr=around, fmt="none", ecolor=MUTED, elinewidth=1, capsize=2)
    for at, value, reach in zip(place, mean, told["high"], strict=True):
        beside(axes, max(float(reach), float(value), 0.0), float(at), short_number(value))
    axes.axvline(0, color=GREY, linewidth=1)
    axes.set_yticks(place, [shortened(c) for c in told["column"]])
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.grid(False, axis="y")
    low, high = min(0.0, float(told["low"].min())), max(float(told["high"].max()), 0.0)
    axes.set_xlim(low * 1.05, (high or 1.0) * 1.18)
    axes.set_ylim(len(told) - 0.4, -0.6)
    number_axis(axes.xaxis)
    label(axes, f"{found.metric} worse by, where the column is shuffled", "")
    return rendered(figure, form, "permutation-importance")


@guarded
def attributions(found: AttributedRows, most: int = _MOST_BARS, form: Format = "png") -> bytes:
    """Mean size of the attribution by column, over the explained rows."""
    told = list(found.importance.items())[:most]
    figure, axes = canvas(5.2, 1.0 + 0.32 * max(1, len(told)))
    for at, (_, size) in enumerate(told):
        axes.barh(at, size, color=BLUE, height=0.66)
        beside(axes, size, float(at), short_number(size))
    axes.set_yticks(range(len(told)), [shortened(name) for name, _ in told])
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.grid(False, axis="y")
    axes.set_xlim(0, (max((size for _, size in told), default=0.0) or 1.0) * 1.14)
    axes.set_ylim(len(told) - 0.4, -0.6)
    number_axis(axes.xaxis)
    label(axes, f"Mean size of the attribution, {found.method}", "")
    return rendered(figure, form, "attributions")


def _of(table: pd.DataFrame, column: str, output: str) -> pd.DataFrame:
    return table[(table["column"] == column) & (table["output"] == output)]


def _answer(found: Effects, output: str) -> str:
    if found.task in ("binary", "multiclass"):
        return f"Probability of {shortened(output, 20)}"
    return "Score" if found.task == "ranking" else "Prediction"


def _words(axes: Axes, words: list[str]) -> None:
    many = len(words) > 5 or max(map(len, words), default=0) > 9
    step = max(1, len(words) // _MOST_WORDS)
    axes.set_xticks(
        range(0, len(words), step),
        words[::step],
        rotation=45 if many else 0,
        ha="right" if many else "center",
    )
    axes.set_xlim(-0.5, len(words) - 0.5)


def _short(word: str) -> str:
    try:
        return short_number(float(word))
    except ValueError:
        return shortened(word, 12)
