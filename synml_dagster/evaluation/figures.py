"""Pictures of an evaluation and of a training; each function returns PNG bytes, or an inline SVG on request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from synml_dagster.errors import DataError
from synml_dagster.evaluation.result import Evaluation
from synml_dagster.evaluation.style import (
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
    label,
    legend,
    number_axis,
    percent_axis,
    ramp,
    rendered,
    short_number,
    shortened,
)

T = TypeVar("T")
_MOST_CLASSES = 20  # of a confusion table that can be read


def curves(found: Evaluation, form: Format = "png") -> dict[str, bytes]:
    """Return every picture that `found` has the data for, by name, most telling first."""
    pictures: dict[str, bytes] = {}
    if found.roc:
        pictures["ROC"] = roc(found, form)
    if found.pr:
        pictures["precision and recall"] = pr(found, form)
    if found.calibration:
        pictures["calibration"] = calibration(found, form)
    if found.confusion and len(found.confusion.classes) <= _MOST_CLASSES:
        pictures["confusion"] = confusion(found, form)
    if found.scores:
        pictures["scores"] = scores(found, form)
    if found.gains:
        pictures["gains"] = gains(found, form)
    if found.actual_vs_predicted:
        pictures["actual against predicted"] = actual_vs_predicted(found, form)
    if found.residuals:
        pictures["residuals"] = residuals(found, form)
    if found.per_group:
        pictures["queries"] = queries(found, form)
    return pictures


def roc(found: Evaluation, form: Format = "png") -> bytes:
    """ROC curve with the chance diagonal."""
    curve = _part(found.roc, "ROC curve")
    figure, axes = canvas(4.4, 4.0)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    x, y = curve.false_positive_rate, curve.true_positive_rate
    axes.fill_between(x, y, color=BLUE, alpha=0.10, linewidth=0)
    axes.plot(x, y, color=BLUE, linewidth=2)
    axes.text(
        0.97, 0.06, f"AUC {found.metrics['auc']:.4f}", ha="right", color=INK, fontsize=12, fontweight="bold"
    )
    axes.text(0.56, 0.50, "chance", color=MUTED, fontsize=8, rotation=42, ha="center", va="top")
    _unit_square(axes)
    label(axes, "False positive rate", "True positive rate")
    return rendered(figure, form, "roc")


def pr(found: Evaluation, form: Format = "png") -> bytes:
    """Precision-recall curve with the share of positives as the floor."""
    curve = _part(found.pr, "precision-recall curve")
    figure, axes = canvas(4.4, 4.0)
    share = found.baseline.get("average_precision", 0.0)
    axes.axhline(share, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    axes.text(
        0.99, share, f"share of positives {share:.1%}", color=MUTED, fontsize=8, ha="right", va="bottom"
    )
    axes.fill_between(curve.recall, curve.precision, color=BLUE, alpha=0.10, linewidth=0)
    axes.plot(curve.recall, curve.precision, color=BLUE, linewidth=2)
    if found.best_f1:
        best = found.best_f1
        axes.plot(
            best.recall, best.precision, "o", color=ORANGE, markersize=7, markeredgecolor=SURFACE, zorder=5
        )
        axes.annotate(
            f"best F1 {best.f1:.3f}\nat {best.threshold:.2f}",
            (best.recall, best.precision),
            xytext=(-8, -8),
            textcoords="offset points",
            ha="right",
            va="top",
            color=INK,
            fontsize=8.5,
        )
    text = f"average precision {found.metrics['average_precision']:.4f}"
    axes.text(
        0.03,
        max(0.06, share + 0.08) if share < 0.4 else 0.06,
        text,
        color=INK,
        fontsize=10,
        fontweight="bold",
    )
    _unit_square(axes)
    label(axes, "Recall: positives found", "Precision: flagged that are positive")
    return rendered(figure, form, "pr")


def calibration(found: Evaluation, form: Format = "png") -> bytes:
    """Observed share against predicted probability in groups of equal size."""
    points = _part(found.calibration, "calibration")
    figure, axes = canvas(4.4, 4.0)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    x, y, n = (np.array(v) for v in (points.predicted, points.observed, points.weight))
    # Two standard errors of a share; what sticks out of the diagonal by more is no accident.
    reach = 2 * np.sqrt(np.maximum(y * (1 - y), 1e-9) / np.maximum(n, 1))
    low, high = np.minimum(reach, y), np.minimum(reach, 1 - y)
    axes.errorbar(x, y, yerr=[low, high], fmt="none", ecolor=BLUE, alpha=0.45, linewidth=1.2)
    axes.plot(x, y, "o-", color=BLUE, linewidth=1.6, markersize=6, markeredgecolor=SURFACE)
    axes.text(0.58, 0.52, "perfect", color=MUTED, fontsize=8, rotation=42, ha="center", va="top")
    _unit_square(axes)
    label(axes, "Predicted probability", "Observed share")
    return rendered(figure, form, "calibration")


def scores(found: Evaluation, form: Format = "png") -> bytes:
    """Distribution of the predicted probability by true class."""
    bins = _part(found.scores, "score histogram")
    figure, axes = canvas(5.6, 3.4)
    names = found.classes or ["0", "1"]
    positive, negative = sum(bins.positive) or 1.0, sum(bins.negative) or 1.0
    for weight, total, colour, name in (
        (bins.negative, negative, BLUE, names[0]),
        (bins.positive, positive, ORANGE, names[1]),
    ):
        share = np.array(weight) / total
        axes.stairs(share, bins.edges, fill=True, color=colour, alpha=0.35)
        axes.stairs(share, bins.edges, color=colour, linewidth=1.4, label=shortened(f"{name} ({total:,.0f})"))
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    percent_axis(axes.yaxis)
    label(axes, f"Predicted probability of {shortened(names[1])}", "Share of the class")
    legend(axes, loc="upper center", title="True class", title_fontsize=8.5)
    return rendered(figure, form, "scores")


def gains(found: Evaluation, form: Format = "png") -> bytes:
    """Share of the positives found by working through the rows from the highest score down."""
    curve = _part(found.gains, "gains curve")
    figure, axes = canvas(5.6, 3.4)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    axes.fill_between(curve.flagged, curve.found, color=BLUE, alpha=0.10, linewidth=0)
    axes.plot(curve.flagged, curve.found, color=BLUE, linewidth=2)
    for share in (0.1, 0.3):
        at = float(np.interp(share, curve.flagged, curve.found))
        axes.plot(share, at, "o", color=ORANGE, markersize=6, markeredgecolor=SURFACE)
        axes.annotate(
            f"top {share:.0%} of rows: {at:.0%} of positives",
            (share, at),
            xytext=(9, -12),
            textcoords="offset points",
            color=INK,
            fontsize=8.5,
        )
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    percent_axis(axes.xaxis)
    percent_axis(axes.yaxis)
    label(axes, "Rows looked at, best score first", "Positives found")
    return rendered(figure, form, "gains")


def confusion(found: Evaluation, form: Format = "png") -> bytes:
    """Confusion table: each true class's rows by answer, shaded by share of the row."""
    table = _part(found.confusion, "confusion table")
    weight = np.array(table.weight)
    share = weight / np.maximum(weight.sum(1, keepdims=True), 1e-300)
    k = len(table.classes)
    side = min(max(3.6, 0.62 * k + 1.6), 9.0)
    figure, axes = canvas(side + 0.4, side)
    axes.imshow(share, cmap=ramp("density"), vmin=0, vmax=1, aspect="auto")
    axes.grid(False)
    size = 11 if k <= 3 else 9 if k <= 8 else 6.5
    for i in range(k):
        for j in range(k):
            if not weight[i, j]:
                continue
            text = (
                f"{short_number(weight[i, j])}\n{share[i, j]:.1%}" if k <= 8 else short_number(weight[i, j])
            )
            # A full cell is dark blue on any page; a pale one lets the page through, and takes the page's ink.
            colour = "#fefefe" if share[i, j] > 0.5 else INK
            axes.text(j, i, text, ha="center", va="center", fontsize=size, color=colour)
    names = [shortened(name, 16) for name in table.classes]
    axes.set_xticks(range(k), names, rotation=45 if k > 5 else 0, ha="right" if k > 5 else "center")
    axes.set_yticks(range(k), names)
    axes.tick_params(length=0, labelsize=9)
    for spine in axes.spines.values():
        spine.set_visible(False)
    said = "Answer at threshold 0.5" if found.task == "binary" else "Most likely class"
    label(axes, said, "True class")
    return rendered(figure, form, "confusion")


def actual_vs_predicted(found: Evaluation, form: Format = "png") -> bytes:
    """Label against prediction as a density, with the diagonal of a perfect model."""
    from matplotlib.colors import LogNorm

    grid = _part(found.actual_vs_predicted, "grid of labels and predictions")
    weight = np.array(grid.weight).T
    figure, axes = canvas(4.9, 4.1)
    seen = weight[weight > 0]
    norm = LogNorm(vmin=seen.min(), vmax=max(seen.max(), seen.min() * 1.001))
    mesh = axes.pcolormesh(
        grid.x_edges,
        grid.y_edges,
        np.ma.masked_equal(weight, 0),
        cmap=ramp("density"),
        norm=norm,
        rasterized=True,
    )
    ends = [grid.x_edges[0], grid.x_edges[-1]]
    axes.plot(ends, ends, color=ORANGE, linewidth=1.2, linestyle=(0, (4, 3)))
    bar = figure.colorbar(mesh, ax=axes, pad=0.02, aspect=30)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=MUTED, labelsize=8, length=0)
    bar.ax.minorticks_off()
    number_axis(bar.ax.yaxis)
    bar.set_label("Rows" if not found.weighted else "Weight", color=INK, fontsize=8.5)
    number_axis(axes.xaxis)
    number_axis(axes.yaxis)
    label(axes, "Predicted", "Actual")
    return rendered(figure, form, "actual-vs-predicted")


def residuals(found: Evaluation, form: Format = "png") -> bytes:
    """Distribution of the error, prediction minus label."""
    bins = _part(found.residuals, "histogram of residuals")
    figure, axes = canvas(4.9, 4.1)
    share = np.array(bins.weight) / max(sum(bins.weight), 1e-300)
    axes.stairs(share, bins.edges, fill=True, color=BLUE, alpha=0.35)
    axes.stairs(share, bins.edges, color=BLUE, linewidth=1.4)
    axes.axvline(0, color=INK, linewidth=1)
    axes.text(0.03, 0.97, "too low", transform=axes.transAxes, color=MUTED, fontsize=8.5, va="top")
    axes.text(
        0.97, 0.97, "too high", transform=axes.transAxes, color=MUTED, fontsize=8.5, va="top", ha="right"
    )
    axes.set_xlim(bins.edges[0], bins.edges[-1])
    axes.set_ylim(0, max(share) * 1.12)
    percent_axis(axes.yaxis)
    number_axis(axes.xaxis)
    label(axes, "Predicted minus actual", "Share of rows")
    return rendered(figure, form, "residuals")


def queries(found: Evaluation, form: Format = "png") -> bytes:
    """How well each query is ordered."""
    bins = _part(found.per_group, "histogram of queries")
    figure, axes = canvas(5.6, 3.4)
    axes.stairs(bins.weight, bins.edges, fill=True, color=BLUE, alpha=0.35)
    axes.stairs(bins.weight, bins.edges, color=BLUE, linewidth=1.4)
    axes.set_xlim(0, 1)
    number_axis(axes.yaxis)
    label(axes, "NDCG@10 of a query", "Queries")
    return rendered(figure, form, "queries")


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
    from synml_dagster.evaluation.style import dress

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


def importance(gains: Mapping[str, float], most: int = 20, form: Format = "png") -> bytes:
    """Bars of the features that the model gains most from, as shares of the whole gain."""
    return bars(gains, "Share of the model's total gain", most, form, "gain")


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


def _unit_square(axes: object) -> None:
    axes.set_xlim(-0.01, 1.01)  # type: ignore[attr-defined]
    axes.set_ylim(-0.01, 1.02)  # type: ignore[attr-defined]


def _part(part: T | None, what: str) -> T:
    if part is None:
        raise DataError(f"This evaluation holds no {what}: its task or its rows do not give one.")
    return part
