"""What a sweep found about its table that can mislead a search, and what was done about each, as a table for its page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synml_dagster.features import FeaturePlan

if TYPE_CHECKING:
    from synml_dagster.tuning.folds import FoldPlan

_RARE_SHARE, _RARE_TIMES = 0.2, 5
"""A class is rare below this share of the rows, or with so many times fewer than the largest."""
_MANY_WORDS = 100
_FEW_ROWS = 1000
_NAMED = 5

PASSED, DONE, ALERT = "passed", "done", "look at it"
Guardrail = tuple[str, str, str]
"""What was looked at, how it stands, and what was found and done."""


def guardrails(plan: FeaturePlan, rows: int, folds: FoldPlan, metric: str) -> list[Guardrail]:
    """Return what was looked at, in the order in which a person would.

    Parameters
    ----------
    plan
        As the sweep had it.
    rows
        That trials see.
    folds
        On which rows trials are measured.
    metric
        By which trials are compared.
    """
    return [
        _balance(plan, folds, metric),
        _words(plan),
        _missing(plan),
        _leaks(plan),
        _size(rows),
        (
            "choice of validation",
            DONE,
            f"trials are measured on {folds.why}; test rows are looked at by nothing",
        ),
    ]


def _balance(plan: FeaturePlan, folds: FoldPlan, metric: str) -> Guardrail:
    what, counts = "balance of classes", plan.label.class_rows or []
    if not counts or not plan.label.classes:
        return what, PASSED, "the label has no classes"
    least = min(range(len(counts)), key=lambda i: counts[i])
    share = counts[least] / max(1, sum(counts))
    said = f"the rarest class, {plan.label.classes[least]!r}, has {share:.1%} of the rows"
    if share >= _RARE_SHARE or counts[least] * _RARE_TIMES >= max(counts):
        return what, PASSED, said
    alike = "folds have each class alike, and " if folds.folds and folds.by == "rows" else ""
    if metric.endswith("logloss"):
        return (
            what,
            DONE,
            f"{said}: {alike}trials are compared by log loss, which a model that never answers the class does not win by",
        )
    return what, ALERT, f"{said}: {alike}trials are compared by {metric}; does it count the class as you do?"


def _words(plan: FeaturePlan) -> Guardrail:
    what = "names with many values"
    wide = [
        (way.name, len(way.words), way.encoding)
        for way in plan.ways
        if way.kind == "categorical" and len(way.words) >= _MANY_WORDS
    ]
    if not wide:
        return what, PASSED, f"no column has {_MANY_WORDS} values or more that features tell apart"
    named = ", ".join(f"{name!r} ({n:,}, as {encoding})" for name, n, encoding in wide[:_NAMED])
    more = f" and {len(wide) - _NAMED} more" if len(wide) > _NAMED else ""
    return what, DONE, f"{named}{more}: rare and unseen values share one code"


def _missing(plan: FeaturePlan) -> Guardrail:
    what = "missing values"
    absent = [s.column for s in plan.statistics if s.missing]
    if not absent:
        return what, PASSED, "no column of the training rows has any"
    return (
        what,
        DONE,
        f"{len(absent)} column{'s have' if len(absent) > 1 else ' has'} some: trees take them as they are, other learners what the plan puts in their place",
    )


def _leaks(plan: FeaturePlan) -> Guardrail:
    what = "leaks of the label"
    found = [w for w in plan.warnings if "predicts the label" in w]
    if not found:
        return what, PASSED, "no column alone says the label"
    return what, ALERT, "; ".join(found[:_NAMED])


def _size(rows: int) -> Guardrail:
    what = "number of rows"
    if rows >= _FEW_ROWS:
        return what, PASSED, f"trials see {rows:,}"
    return (
        what,
        ALERT,
        f"trials see {rows:,}: on few rows the best of many trials is mostly the luckiest; what the model is worth has a wide interval",
    )
