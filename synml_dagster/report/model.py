"""What the report says of the model: verdict, metrics, curves, thresholds, classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synml_dagster.evaluation import METRICS, format_metric, metric_info, primary_metric
from synml_dagster.plots.style import short_number
from synml_dagster.report.picture import Picture, picture

if TYPE_CHECKING:
    from synml_dagster.evaluation import Evaluation
    from synml_dagster.report.inputs import ReportInputs


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
            "interval": interval_text(found, name),
            "note": f"baseline {format_metric(name, found.baseline[name])}" if name in found.baseline else "",
        }
        for name in chosen
        if name in found.metrics
    ]


def interval_text(found: Evaluation, name: str) -> str:
    """Return a metric's interval in words, nothing where there is none."""
    interval = found.intervals.get(name)
    return f"{format_metric(name, interval.low)} to {format_metric(name, interval.high)}" if interval else ""


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
            "interval": interval_text(found, name) or "–",
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
        "intervals": bool(found.intervals),
        "methods": _methods(found),
        "baseline": bool(found.baseline),
        "test_rows": f"{found.rows:,}",
        "weighted": found.weighted,
        "baseline_is": {
            "regression": "always answering the mean (for MAE the median)",
            "ranking": "rows in no order",
        }.get(found.task, "always answering with the classes' shares"),
    }


_METHODS = {
    "Wilson": "Wilson's for shares",
    "DeLong": "DeLong's for ROC AUC",
    "t": "Student's for means",
    "delta": "the delta method's for RMSE and R²",
    "bootstrap": "a bootstrap's for the others",
}


def _methods(found: Evaluation) -> str:
    """Say where the intervals are from."""
    used = {interval.method for interval in found.intervals.values()}
    words = [text for name, text in _METHODS.items() if name in used]
    of = ", over queries" if found.task == "ranking" else ""
    return f"The intervals are {', '.join(words)}{of}." if words else ""


_CAPTIONS = {
    "ROC": "The further the curve bends to the top left, the better the classes are told apart. The dashed line is guessing.",
    "precision and recall": "What share of flagged rows is really positive, at every share of positives found. The dot marks the threshold with the best F1.",
    "calibration": "Each dot is a twelfth of the rows. On the dashed line, a predicted 30% comes true 30% of the time; bars span two standard errors.",
    "calibration by class": "As one class against the rest: on the dashed line, a predicted 30% comes true 30% of the time.",
    "confusion at the threshold": "Rows by true class and answer, flagging from the threshold that the costs lead to.",
    "confusion by costs": "Rows by true class and the decision of the lowest expected cost.",
    "cost": "What a thousand test rows cost by threshold. The dot is the threshold that was chosen on other rows, the ring is 0.5.",
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
    "calibration by class": "Calibration by class",
    "confusion": "Confusion",
    "confusion at the threshold": "Confusion at the threshold",
    "confusion by costs": "Confusion of the decisions",
    "cost": "Cost by threshold",
    "scores": "Scores by true class",
    "gains": "Gains",
    "actual against predicted": "Actual against predicted",
    "residuals": "Errors",
    "queries": "Queries",
}


_OF_THE_CHOICE = ("cost", "confusion at the threshold", "confusion by costs")


def curves(inputs: ReportInputs) -> tuple[list[Picture], list[Picture]]:
    """Return the evaluation's pictures with what to see in them, and apart from them those of a chosen threshold."""
    from synml_dagster.plots import evaluation as figures

    rule = "at threshold 0.5" if inputs.evaluation.task == "binary" else "by the most likely class"
    captions = _CAPTIONS | {
        "confusion": f"Rows by true class and answer {rule}; percentages are of the true class."
    }
    drawn = {
        name: picture(_TITLES[name], captions[name], svg)
        for name, svg in figures.curves(inputs.evaluation, "svg").items()
    }
    chosen = [drawn.pop(name) for name in _OF_THE_CHOICE if name in drawn]
    return list(drawn.values()), chosen


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
            "interval": f"{c.auc_interval.low:.4f} to {c.auc_interval.high:.4f}" if c.auc_interval else "–",
        }
        for c in ranked
    ]
