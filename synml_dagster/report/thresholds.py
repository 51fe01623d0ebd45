"""What the report says of the threshold: what deciding at each leads to, and which one the user's costs ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synml_dagster.evaluation import Cost, ThresholdChoice, ThresholdRow
    from synml_dagster.report.inputs import ReportInputs

PER = 1_000
"""Rows that costs are told of."""
_MOST_CLASSES = 12
"""Of a table of costs that can be read."""


def threshold_table(inputs: ReportInputs) -> list[dict[str, Any]]:
    """Return what deciding at each threshold leads to; the one of the costs is marked, else the one of the best F1."""
    found = inputs.evaluation
    best = found.choice.at if found.choice else found.best_f1
    rows = [*found.thresholds, *([best] if best else [])]
    return [
        {
            "best": row is best,
            "threshold": shown(row.threshold) if row is best else f"{row.threshold:.1f}",
            "cells": [
                f"{v:.1%}" for v in (row.flagged, row.precision, row.recall, row.specificity, row.accuracy)
            ],
            "f1": f"{row.f1:.3f}",
        }
        for row in sorted(rows, key=lambda r: r.threshold)
    ]


def choice(inputs: ReportInputs) -> dict[str, Any] | None:
    """Return what the user's costs lead to, None where the description has none."""
    made = inputs.evaluation.choice
    if made is None:
        return None
    unit = f" {made.costs.unit}" if made.costs.unit else ""
    positive = inputs.evaluation.positive or "positive"
    return {
        "told": (
            f"Flagging a row that is not {positive} costs {made.costs.false_positive:,g}{unit}, missing one that is costs "
            f"{made.costs.false_negative:,g}{unit}. On {made.chosen_rows:,} {made.chosen_on} rows it costs least to "
            f"{_rule(made)}; were every probability exactly right, it would be from {made.of_calibrated:.3f} on."
        ),
        "saved": _saved_of(made.saved, unit, "the likelier class"),
        "unit": f"Cost of {PER:,} rows{f', {made.costs.unit}' if made.costs.unit else ''}",
        "rows": [
            _line(made.at_half, made.cost_at_half, "The likelier class (0.5)", main=False),
            _line(made.at, made.cost, f"From {shown(made.threshold)} on", main=True),
        ],
        "threshold": shown(made.threshold),
    }


def decision(inputs: ReportInputs) -> dict[str, Any] | None:
    """Return what a table of costs leads to, None where the description has none."""
    made = inputs.evaluation.decision
    if made is None:
        return None
    classes = made.confusion.classes
    unit = f" {made.costs.unit}" if made.costs.unit else ""
    matrix = made.costs.matrix(classes)
    return {
        "told": (
            f"Each row is decided for the class whose expected cost is lowest by the model's probabilities; that is not the likeliest class in {made.changed:.1%} of the "
            f"test rows. Predictions hold it in the column decision, beside the likeliest class. The probabilities led to expect {made.expected * PER:,.4g}{unit} for every {PER:,} rows."
        ),
        "saved": _saved_of(made.saved, unit, "the likeliest class")
        if made.changed
        else "So far nothing is gained by it.",
        "unit": f"Cost of {PER:,} rows{f', {made.costs.unit}' if made.costs.unit else ''}",
        "rows": [
            {"title": title, "main": main, **_priced(cost)}
            for title, cost, main in (
                ("The likeliest class", made.cost_of_likeliest, False),
                ("The class of the lowest expected cost", made.cost, True),
            )
        ],
        "classes": classes,
        "matrix": [
            {"name": name, "cells": [f"{v:,g}" for v in row]}
            for name, row in zip(classes, matrix, strict=True)
        ]
        if len(classes) <= _MOST_CLASSES
        else [],
    }


def _rule(made: ThresholdChoice) -> str:
    return "flag none" if made.threshold > 1 else f"flag from a probability of {shown(made.threshold)} on"


def _saved_of(saved: Cost, unit: str, against: str) -> str:
    value, ends = saved.value, (saved.low, saved.high)
    text = "saves" if value >= 0 else "costs"
    told = f"On the test rows that {text} {abs(value) * PER:,.4g}{unit} for every {PER:,} rows against answering with {against}"
    if ends[0] is None or ends[1] is None:
        return f"{told}."
    low, high = sorted(end * PER * (1 if value >= 0 else -1) for end in (ends[0], ends[1]))
    unsure = "" if low > 0 else ": these rows are too few to tell the two apart"
    return f"{told} (95% interval {low:,.4g} to {high:,.4g}){unsure}."


def _line(row: ThresholdRow, cost: Cost, title: str, *, main: bool) -> dict[str, Any]:
    return {
        "title": title,
        "main": main,
        "cells": [
            f"{row.flagged:.1%}",
            f"{row.precision:.1%}",
            f"{row.recall:.1%}",
            f"{row.false_positive:,.0f}",
            f"{row.false_negative:,.0f}",
        ],
        **_priced(cost),
    }


def _priced(cost: Cost) -> dict[str, str]:
    """Return what many rows cost, and how sure that is."""
    known = cost.low is not None and cost.high is not None
    return {
        "cost": f"{cost.value * PER:,.4g}",
        "interval": f"{cost.low * PER:,.4g} to {cost.high * PER:,.4g}" if known else "–",  # type: ignore[operator]
    }


def shown(threshold: float) -> str:
    """Return a threshold as a reader takes it; three digits, more where it is near 0 or 1."""
    if 0.01 <= threshold <= 0.99:
        return f"{threshold:.3f}"
    return f"{threshold:.3g}" if threshold < 0.5 else f"{threshold:.6g}"
