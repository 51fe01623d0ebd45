"""Pictures of an evaluation; each function returns PNG bytes, or an inline SVG on request."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from synml_dagster.errors import DataError
from synml_dagster.evaluation import Confusion, Evaluation
from synml_dagster.plots.style import (
    BLUE,
    GREY,
    INK,
    MUTED,
    ORANGE,
    SURFACE,
    Format,
    canvas,
    colours,
    guarded,
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
_MOST_LINES = 6  # of classes that can be told apart by colour


def curves(found: Evaluation, form: Format = "png") -> dict[str, bytes]:
    """Return every picture that `found` has the data for, by name, most telling first."""
    pictures: dict[str, bytes] = {}
    if found.roc:
        pictures["ROC"] = roc(found, form)
    if found.pr:
        pictures["precision and recall"] = pr(found, form)
    if found.calibration:
        pictures["calibration"] = calibration(found, form)
    if any(c.calibration for c in found.per_class):
        pictures["calibration by class"] = calibration_by_class(found, form)
    if found.confusion and len(found.confusion.classes) <= _MOST_CLASSES:
        pictures["confusion"] = confusion(found, form)
    if found.decision and len(found.decision.confusion.classes) <= _MOST_CLASSES:
        pictures["confusion by costs"] = confusion_by_costs(found, form)
    if found.choice:
        pictures["confusion at the threshold"] = confusion_at_threshold(found, form)
        pictures["cost"] = cost(found, form)
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


@guarded
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


@guarded
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


@guarded
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


@guarded
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


@guarded
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


@guarded
def calibration_by_class(found: Evaluation, form: Format = "png") -> bytes:
    """Observed share against predicted probability, each of the largest classes against the rest."""
    known = [c for c in found.per_class if c.calibration and c.calibration.predicted]
    shown = sorted(known, key=lambda c: -c.weight)[:_MOST_LINES]
    if not shown:
        raise DataError(
            "This evaluation holds no calibration by class: its task or its rows do not give one."
        )
    figure, axes = canvas(4.4, 4.0)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    for one, colour in zip(shown, colours(len(shown)), strict=True):
        points = _part(one.calibration, "calibration")
        axes.plot(
            points.predicted,
            points.observed,
            "o-",
            color=colour,
            linewidth=1.5,
            markersize=5,
            markeredgecolor=SURFACE,
            label=shortened(one.name, 18),
        )
    _unit_square(axes)
    label(axes, "Predicted probability of the class", "Observed share")
    legend(axes, loc="upper left")
    return rendered(figure, form, "calibration-by-class")


@guarded
def cost(found: Evaluation, form: Format = "png") -> bytes:
    """What a thousand rows cost by threshold, with the chosen one and 0.5."""
    made = _part(found.choice, "threshold that costs lead to")
    figure, axes = canvas(5.6, 3.4)
    value = 1_000 * np.array(made.curve.cost)
    axes.fill_between(made.curve.threshold, value, color=BLUE, alpha=0.10, linewidth=0)
    axes.plot(made.curve.threshold, value, color=BLUE, linewidth=2)
    axes.plot(
        0.5,
        1_000 * made.cost_at_half.value,
        "o",
        color=SURFACE,
        markersize=7,
        markeredgecolor=ORANGE,
        zorder=4,
    )
    at = min(made.threshold, 1.0)
    axes.plot(at, 1_000 * made.cost.value, "o", color=ORANGE, markersize=8, markeredgecolor=SURFACE, zorder=5)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, (float(value.max()) or 1.0) * 1.08)
    number_axis(axes.yaxis)
    unit = f" ({shortened(made.costs.unit, 12)})" if made.costs.unit else ""
    label(axes, "Threshold", f"Cost of 1,000 rows{unit}")
    return rendered(figure, form, "cost")


@guarded
def confusion_at_threshold(found: Evaluation, form: Format = "png") -> bytes:
    """Confusion table of the answers at the threshold that costs lead to."""
    made = _part(found.choice, "threshold that costs lead to")
    row = made.at
    table = Confusion(
        classes=found.classes,
        weight=[[row.true_negative, row.false_positive], [row.false_negative, row.true_positive]],
    )
    return _confusion(table, f"Answer at threshold {made.threshold:.3g}", form, "confusion-at-threshold")


@guarded
def confusion_by_costs(found: Evaluation, form: Format = "png") -> bytes:
    """Confusion table of the decisions that a table of costs leads to."""
    made = _part(found.decision, "decision that costs lead to")
    return _confusion(made.confusion, "Decision", form, "confusion-by-costs")


@guarded
def confusion(found: Evaluation, form: Format = "png") -> bytes:
    """Confusion table: each true class's rows by answer, shaded by share of the row."""
    said = "Answer at threshold 0.5" if found.task == "binary" else "Most likely class"
    return _confusion(_part(found.confusion, "confusion table"), said, form, "confusion")


def _confusion(table: Confusion, said: str, form: Format, name: str) -> bytes:
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
    label(axes, said, "True class")
    return rendered(figure, form, name)


@guarded
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


@guarded
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


@guarded
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


def _unit_square(axes: object) -> None:
    axes.set_xlim(-0.01, 1.01)  # type: ignore[attr-defined]
    axes.set_ylim(-0.01, 1.02)  # type: ignore[attr-defined]


def _part(part: T | None, what: str) -> T:
    if part is None:
        raise DataError(f"This evaluation holds no {what}: its task or its rows do not give one.")
    return part
