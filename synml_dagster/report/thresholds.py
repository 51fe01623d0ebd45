"""What the report says of the threshold: what deciding at each leads to, and which one the user's costs ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synml_dagster.evaluation import Cost, ThresholdChoice, ThresholdRow
    from synml_dagster.report.inputs import ReportInputs

PER = 1_000
"""Rows that costs are told of."""


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
        "saved": _saved(made, unit),
        "unit": f"Cost of {PER:,} rows{f', {made.costs.unit}' if made.costs.unit else ''}",
        "rows": [
            _line(made.at_half, made.cost_at_half, "The likelier class (0.5)", main=False),
            _line(made.at, made.cost, f"From {shown(made.threshold)} on", main=True),
        ],
        "threshold": shown(made.threshold),
    }


def _rule(made: ThresholdChoice) -> str:
    return "flag none" if made.threshold > 1 else f"flag from a probability of {shown(made.threshold)} on"


def _saved(made: ThresholdChoice, unit: str) -> str:
    value, ends = made.saved.value, (made.saved.low, made.saved.high)
    text = "saves" if value >= 0 else "costs"
    told = f"On the test rows that {text} {abs(value) * PER:,.4g}{unit} for every {PER:,} rows against answering with the likelier class"
    if ends[0] is None or ends[1] is None:
        return f"{told}."
    low, high = sorted(end * PER * (1 if value >= 0 else -1) for end in (ends[0], ends[1]))
    unsure = "" if low > 0 else ": these rows are too few to tell the two apart"
    return f"{told} (95% interval {low:,.4g} to {high:,.4g}){unsure}."


def _line(row: ThresholdRow, cost: Cost, title: str, *, main: bool) -> dict[str, Any]:
    interval = (
        "–" if cost.low is None or cost.high is None else f"{cost.low * PER:,.4g} to {cost.high * PER:,.4g}"
    )
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
        "cost": f"{cost.value * PER:,.4g}",
        "interval": interval,
    }


def shown(threshold: float) -> str:
    """Return a threshold as a reader takes it; three digits, more where it is near 0 or 1."""
    if 0.01 <= threshold <= 0.99:
        return f"{threshold:.3f}"
    return f"{threshold:.3g}" if threshold < 0.5 else f"{threshold:.6g}"
