"""What the report says of the model: verdict, metrics, pictures, drivers, explained rows, training."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from synml_dagster.evaluation import METRICS, format_metric, metric_info, primary_metric
from synml_dagster.evaluation.style import short_number

if TYPE_CHECKING:
    from synml_dagster.explain.report_inputs import ReportInputs

_DEPENDENCE = 6


@dataclass(frozen=True)
class Picture:
    """An inline picture and what to see in it."""

    title: str
    caption: str
    svg: Markup


def picture(title: str, caption: str, svg: bytes) -> Picture:
    """Wrap a rendered SVG, naming it for those who cannot see it."""
    text = svg.decode("utf-8")
    named = re.sub(r'aria-label="[^"]*"', lambda _: f'aria-label="{escape(title)}"', text, count=1)
    # Drawn by this package from escaped text (matplotlib writes XML), so it is markup and not data.
    return Picture(title, caption, Markup(named))


def headline(inputs: ReportInputs) -> str:
    """Return in one sentence what the model does and how well."""
    plan, found = inputs.plan, inputs.evaluation
    label, columns = plan.label.column, len(plan.columns)
    what = {
        "binary": f"whether {label} is {found.positive}",
        "multiclass": f"which of {len(found.classes)} classes {label} is",
        "regression": label,
        "ranking": f"an order by {label}",
    }[found.task]
    text = f"Predicts {what} from {columns} column{'s' if columns != 1 else ''}."
    m, b, rows = found.metrics, found.baseline, f"{found.rows:,} test rows that training never saw"
    if found.task == "binary" and "auc" in m:
        text += f" On {rows}, a positive row scores above a negative one {m['auc']:.1%} of the time"
        text += f", and {m['accuracy']:.1%} of the answers are right where always giving the common one is right {b['accuracy']:.1%} of the time."
    elif found.task == "multiclass":
        text += f" On {rows}, {m['accuracy']:.1%} of the answers are right, where always giving the commonest class is right {b['accuracy']:.1%} of the time."
    elif found.task == "regression":
        text += f" On {rows}, it is off by {short_number(m['mae'])} on average, where always answering the median is off by {short_number(b['mae'])}"
        text += f"; it explains {m['r2']:.0%} of the variance." if "r2" in m else "."
    elif found.task == "ranking":
        text += f" On {found.groups:,} test queries, the first ten come in an order of quality {m['ndcg@10']:.3f}, where 1 is ideal."
    return text


def tiles(inputs: ReportInputs) -> list[dict[str, str]]:
    """Return the figures that stand at the top: up to four metrics, the task's own first."""
    found = inputs.evaluation
    chosen = {
        "binary": ["auc", "average_precision", "logloss", "accuracy"],
        "multiclass": ["logloss", "accuracy", "auc_macro", "f1_macro"],
        "regression": ["rmse", "mae", "r2", "mape"],
        "ranking": ["ndcg@10", "ndcg@5", "ndcg@1", "map@10"],
    }[found.task]
    return [
        {
            "title": metric_info(name, found.task).title,
            "value": format_metric(name, found.metrics[name]),
            "note": f"baseline {format_metric(name, found.baseline[name])}" if name in found.baseline else "",
        }
        for name in chosen
        if name in found.metrics
    ]


def verdict(inputs: ReportInputs) -> dict[str, Any] | None:
    """Return whether the model is the champion and why."""
    decision = inputs.champion
    if decision is None:
        return None
    title = metric_info(decision.metric).title
    told = [
        (
            "This model",
            f"version {decision.version}",
            format_metric(decision.metric, decision.challenger_value),
        )
    ]
    if decision.champion_value is not None:
        before = "Champion before" if decision.promoted else "Champion"
        which = "" if decision.promoted else f"version {decision.champion_version}"
        told.append((before, which, format_metric(decision.metric, decision.champion_value)))
    return {
        "promoted": decision.promoted,
        "status": "Champion" if decision.promoted else "Not promoted",
        "reason": decision.reason,
        "metric": title,
        "rows": told,
        "champion_version": decision.champion_version,
    }


def metric_table(inputs: ReportInputs) -> dict[str, Any]:
    """Return every metric on test and validation rows beside the baseline's."""
    found, other = inputs.evaluation, inputs.validation
    known = METRICS[found.task]
    main = primary_metric(found.task)
    rows = [
        {
            "title": info.title,
            "main": name == main,
            "better": "higher is better"
            if info.higher_is_better
            else "lower is better"
            if name != "bias"
            else "best near 0",
            "test": format_metric(name, found.metrics[name]),
            "validation": format_metric(name, other.metrics[name])
            if other and name in other.metrics
            else "–",
            "baseline": format_metric(name, found.baseline[name]) if name in found.baseline else "–",
            "meaning": info.meaning,
        }
        for name, info in known.items()
        if name in found.metrics
    ]
    return {
        "rows": rows,
        "validation": other is not None,
        "baseline": bool(found.baseline),
        "test_rows": f"{found.rows:,}",
        "weighted": found.weighted,
        "baseline_is": {
            "regression": "always answering the mean (for MAE the median)",
            "ranking": "",
        }.get(found.task, "always answering with the classes' shares"),
    }


_CAPTIONS = {
    "ROC": "The further the curve bends to the top left, the better the classes are told apart. The dashed line is guessing.",
    "precision and recall": "What share of flagged rows is really positive, at every share of positives found. The dot marks the threshold with the best F1.",
    "calibration": "Each dot is a twelfth of the rows. On the dashed line, a predicted 30% comes true 30% of the time; bars span two standard errors.",
    "scores": "The less the two shapes overlap, the easier the decision. Each is scaled to its own class.",
    "gains": "How many of the positives one finds by working through the rows from the highest score down.",
    "actual against predicted": "Each cell counts rows; darker is more. A perfect model would lie on the dashed line.",
    "residuals": "How far off the predictions are, and to which side. A narrow peak at zero is what one wants.",
    "queries": "How well each query's first ten are ordered; the further right, the better.",
}
_TITLES = {
    "ROC": "ROC curve",
    "precision and recall": "Precision and recall",
    "calibration": "Calibration",
    "confusion": "Confusion",
    "scores": "Scores by true class",
    "gains": "Gains",
    "actual against predicted": "Actual against predicted",
    "residuals": "Errors",
    "queries": "Queries",
}


def curves(inputs: ReportInputs) -> list[Picture]:
    """Return the evaluation's pictures with what to see in them."""
    from synml_dagster.evaluation import figures

    rule = "at threshold 0.5" if inputs.evaluation.task == "binary" else "by the most likely class"
    captions = _CAPTIONS | {
        "confusion": f"Rows by true class and answer {rule}; percentages are of the true class."
    }
    return [
        picture(_TITLES[name], captions[name], svg)
        for name, svg in figures.curves(inputs.evaluation, "svg").items()
    ]


def threshold_table(inputs: ReportInputs) -> list[dict[str, Any]]:
    """Return what deciding at each threshold leads to, the best F1 marked."""
    found = inputs.evaluation
    best = found.best_f1
    rows = [*found.thresholds, *([best] if best else [])]
    shown = []
    for row in sorted(rows, key=lambda r: r.threshold):
        marked = row is best
        shown.append(
            {
                "best": marked,
                "threshold": f"{row.threshold:.3f}" if marked else f"{row.threshold:.1f}",
                "cells": [
                    f"{v:.1%}"
                    for v in (row.flagged, row.precision, row.recall, row.specificity, row.accuracy)
                ],
                "f1": f"{row.f1:.3f}",
            }
        )
    return shown


def class_table(inputs: ReportInputs) -> list[dict[str, str]]:
    """Return each class against the rest, the largest first."""
    ranked = sorted(inputs.evaluation.per_class, key=lambda c: -c.weight)
    return [
        {
            "name": c.name,
            "weight": f"{c.weight:,.0f}",
            "precision": f"{c.precision:.1%}",
            "recall": f"{c.recall:.1%}",
            "f1": f"{c.f1:.3f}",
            "auc": f"{c.auc:.4f}" if c.auc is not None else "–",
        }
        for c in ranked
    ]


def drivers(inputs: ReportInputs) -> dict[str, Any] | None:
    """Return what drives the answers: importance, beeswarm and dependence pictures."""
    found = inputs.explanations
    if found is None:
        if inputs.model is None:
            return None
        from synml_dagster.evaluation.figures import importance as gain

        svg = gain(inputs.model.feature_importance("gain"), form="svg")
        return {
            "intro": "",
            "main": [picture("Importance", "Share of the gain of all splits by feature.", svg)],
            "single": [],
        }
    from synml_dagster.explain import figures

    of_table = f" of {found.table_rows:,}" if found.table_rows and found.table_rows > found.rows else ""
    top = list(found.importance)
    output = figures.default_output(found)
    several = len(found.outputs) > 1
    of_class = f" for class {found.outputs[output]}" if several else ""
    swarm = (
        f"One dot per row, at the feature's effect on the answer{of_class}: right raises it, left lowers it. "
        "Orange dots are rows with a high value of the feature, blue ones with a low value."
    )
    main = [
        picture(
            "How much each feature matters",
            "Mean size of a feature's effect over the explained rows.",
            figures.importance(found, most=15, form="svg"),
        ),
        picture("How each feature works", swarm, figures.beeswarm(found, form="svg")),
    ]
    effect = {"binary": "log-odds", "multiclass": "class scores", "ranking": "scores"}.get(
        found.task,
        "the unit of the prediction" if found.link == "identity" else f"the {found.link} of the prediction",
    )
    shown = [name for name in top[:_DEPENDENCE] if found.importance[name] > 0]
    return {
        "intro": (
            f"Exact tree SHAP values of {found.rows:,}{of_table} test rows. A row's values add up from the mean answer "
            f"to its own, in {effect}."
        ),
        "top": top[:3],
        "main": main,
        "single": [_dependence(inputs, name, output) for name in shown],
    }


def _dependence(inputs: ReportInputs, feature: str, output: int) -> Picture:
    from synml_dagster.explain import figures
    from synml_dagster.explain.interactions import strongest_partner

    found = inputs.explanations
    assert found is not None
    other = strongest_partner(found, found.features.index(feature), output)
    partner = None if other is None else found.features[other]
    text = f"Coloured by {partner}, which changes the effect most." if partner else ""
    return picture(feature, text, figures.dependence(found, feature, output, partner, "svg"))


def cases(inputs: ReportInputs) -> list[dict[str, Any]]:
    """Return a few rows explained one by one."""
    found = inputs.explanations
    if found is None:
        return []
    from synml_dagster.explain import figures
    from synml_dagster.explain.cases import telling_cases

    return [
        {
            "title": case.title,
            "answer": case.answer,
            "right": case.right,
            "picture": picture(
                f"{case.title}: {case.answer}",
                "",
                figures.waterfall(found, case.row, case.output, form="svg"),
            ),
        }
        for case in telling_cases(found)
    ]


def training(inputs: ReportInputs) -> dict[str, Any] | None:
    """Return how the model was trained and, where a sweep ran, how its parameters were found."""
    model, sweep = inputs.model, inputs.sweep
    if model is None and (sweep is None or not sweep.trials):
        return None
    from synml_dagster.evaluation import figures

    pictures, facts, params = [], [], []
    if model is not None:
        if model.history:
            svg = figures.training_history(model.history, model.best_iteration, "svg")
            text = "The metric after each boosting round."
            if model.best_iteration:
                text += f" The model keeps the first {model.best_iteration} rounds; the dot marks the last."
            pictures.append(picture("Training history", text, svg))
        facts.append(("Objective", model.objective))
        if model.best_iteration:
            facts.append(("Rounds kept", f"{model.best_iteration:,}"))
        params = [
            (name, str(value)) for name, value in sorted(model.params.items()) if value not in (None, "", [])
        ]
    if sweep is not None and sweep.trials:
        best = sweep.best_so_far()
        values = {t.number: t.value for t in sweep.trials if t.value is not None}
        if best:
            numbers = [number for number, _ in best]
            svg = figures.trials(
                numbers, [values[n] for n in numbers], [v for _, v in best], sweep.metric, "svg"
            )
            text = f"Each dot is a trained model with other parameters; the line is the best {sweep.metric} so far."
            pictures.append(picture("Parameter sweep", text, svg))
        if sweep.importance:
            svg = figures.bars(
                sweep.importance, f"Share of the variance of {sweep.metric}", 12, "svg", "sweep-importance"
            )
            pictures.append(
                picture(
                    "Which parameters mattered",
                    "How much of the difference between trials each parameter explains.",
                    svg,
                )
            )
        facts.append(("Trials", f"{len(sweep.trials):,}"))
        if sweep.best_value is not None:
            facts.append((f"Best {sweep.metric}", f"{sweep.best_value:.5g} (trial {sweep.best_trial})"))
    best_params = sorted(sweep.best_params.items()) if sweep is not None else []
    return {
        "pictures": pictures,
        "facts": facts,
        "params": params,
        "best": [
            (name, f"{value:.4g}" if isinstance(value, float) else str(value)) for name, value in best_params
        ],
    }
