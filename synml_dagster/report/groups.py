"""What the report says of groups of people: how balanced the rows are, and how the answers differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synml_dagster.explain.value_names import number_text
from synml_dagster.report.picture import picture

if TYPE_CHECKING:
    from synml_dagster.balance import Fairness, Rate, Reweighing
    from synml_dagster.report.inputs import ReportInputs

_MOST_GROUPS = 60
_MOST_CHANGES = 12
_RATES = {
    "selection_rate": "Flagged",
    "true_positive_rate": "True positives",
    "false_positive_rate": "False positives",
    "precision": "Precision",
    "accuracy": "Accuracy",
}
_ERRORS = {
    "mean_label": "Mean label",
    "mean_prediction": "Mean answer",
    "bias": "Bias",
    "mae": "MAE",
    "rmse": "RMSE",
}
_TITLES = {
    "demographic_parity": "Flagged (demographic parity)",
    "equalized_odds": "Equalised odds",
    "equal_opportunity": "True positives (equal opportunity)",
    "false_positive_rate": "False positives",
    "predictive_parity": "Precision",
    "accuracy": "Accuracy",
    "mean_prediction": "Mean answer",
    "bias": "Bias",
    "mae": "MAE",
    "rmse": "RMSE",
}


def groups(inputs: ReportInputs, pictures: bool = True) -> dict[str, Any] | None:
    """Return the section on groups, with its pictures or without, None where the description names no sensitive columns."""
    balance, fairness = inputs.data_balance, inputs.fairness
    if balance is None and fairness is None:
        return None
    from synml_dagster.plots import groups as figures

    told: dict[str, Any] = {
        "pictures": [],
        "notes": [],
        "groups": [],
        "disparities": [],
        "changes": [],
        "weights": None,
    }
    if balance is not None:
        of = "mean" if balance.task == "regression" else f"share of {balance.classes[0]}"
        text = f"{balance.rows:,} labelled rows: the {of} in each group, with its 95% interval."
        if pictures:
            told["pictures"].append(
                picture("The label by group", text, figures.label_by_group(balance, "svg"))
            )
        told["notes"] += balance.notes
        told["changes"] = [
            {
                "group": f"{c.column}: {c.group}",
                "label": c.label,
                "rows": f"{c.rows:,}",
                "change": f"add {c.add:,}" if c.add else f"leave out {c.take:,}",
                "before": f"{c.gap_before:.1%}",
                "after": f"{c.gap_after:.1%}",
            }
            for c in balance.changes[:_MOST_CHANGES]
        ]
    if fairness is not None and fairness.reweighing is not None:
        told["weights"] = _weights(fairness.reweighing)
    if fairness is not None:
        title = "Answers by group" if fairness.task != "regression" else "Bias by group"
        caption = f"{fairness.rows:,} test rows; dots are rates and lines their 95% intervals. Groups of fewer than {fairness.minimum:,} rows are left out."
        if pictures:
            told["pictures"].append(picture(title, caption, figures.answers_by_group(fairness, "svg")))
        told["notes"] += fairness.notes
        told |= _tables(fairness)
    return told


def _weights(found: Reweighing) -> dict[str, Any]:
    """Return what training rows weighed, group by group."""
    classes = list(dict.fromkeys(c.label for c in found.cells))
    by_group: dict[tuple[str, ...], dict[str, tuple[int, float]]] = {}
    for cell in found.cells:
        by_group.setdefault(tuple(cell.group), {})[cell.label] = (cell.rows, cell.weight)
    shown = list(by_group.items())[:_MOST_GROUPS]
    return {
        "columns": " & ".join(found.columns),
        "rows": f"{found.rows:,}",
        "classes": classes,
        "lines": [
            {
                "group": " & ".join(group),
                "cells": [{"weight": f"{cells[c][1]:.3f}", "rows": f"{cells[c][0]:,} rows"} for c in classes],
            }
            for group, cells in shown
        ],
        "more": len(by_group) - len(shown),
    }


def _tables(fairness: Fairness) -> dict[str, Any]:
    numbers = fairness.task == "regression"
    several = len(fairness.classes) > 1
    lines = []
    for g in fairness.groups[:_MOST_GROUPS]:
        cells = (
            [_rate(g.rates[name]) for name in _RATES]
            if not numbers
            else [_number(g.errors[name]) for name in _ERRORS]
        )
        lines.append(
            {
                "columns": " & ".join(g.columns),
                "name": g.name,
                "label": g.label or "",
                "rows": f"{g.rows:,}",
                "small": g.small,
                "cells": cells,
            }
        )
    disparities = [
        {
            "columns": " & ".join(d.columns),
            "label": d.label or "",
            "title": _TITLES[d.measure],
            "difference": _reason(d.reason) if d.difference is None else number_text(round(d.difference, 4)),
            "interval": "" if d.low is None or d.high is None else f"{d.low:.3f} to {d.high:.3f}",
            "ratio": "–" if d.ratio is None else f"{d.ratio:.2f}",
            "between": f"{' & '.join(d.largest)} and {' & '.join(d.smallest)}" if d.largest else "",
        }
        for d in fairness.disparities[:_MOST_GROUPS]
    ]
    return {
        "head": list((_ERRORS if numbers else _RATES).values()),
        "several": several,
        "groups": lines,
        "more": max(0, len(fairness.groups) - _MOST_GROUPS),
        "disparities": disparities,
        "threshold": fairness.threshold,
    }


def _rate(rate: Rate) -> dict[str, str]:
    if rate.value is None:
        return {"text": "–", "interval": "", "title": rate.reason or ""}
    return {
        "text": f"{rate.value:.1%}",
        "interval": f"{100 * (rate.low or 0.0):.0f} to {rate.high or 0.0:.0%}",
        "title": f"95% interval {rate.low:.1%} to {rate.high:.1%}, of {rate.of:,} rows",
    }


def _number(value: float | None) -> dict[str, str]:
    return {"text": "–" if value is None else number_text(value), "interval": "", "title": ""}


def _reason(text: str | None) -> str:
    return text or "–"
