"""What a plan has otherwise than the plan before it: a second run that learns something else should say so.

Nothing is read: both plans hold the figures of their tables.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

from synml_dagster.columns.same_words import plainly
from synml_dagster.errors import nearest
from synml_dagster.features.fitting.candidates import EXCLUDED, NOT_INCLUDED
from synml_dagster.features.kinds import CategoricalColumn, DatetimeColumn

if TYPE_CHECKING:
    from synml_dagster.features.kinds import AnyColumn
    from synml_dagster.features.plan import FeaturePlan, LabelPlan
    from synml_dagster.features.stats import ColumnStats

_FEWEST = 30
_SHRUNK = 0.5
_MOVED, _FACTOR, _SURE = 0.15, 3.0, 4.0
_GONE, _LEARNT = 0.95, 0.5
_STRANGE = 0.5
_NEARLY_ALL = 1.2
_MOST_SAID = 5
_MOST_WARNINGS = 20


@dataclass(frozen=True)
class PlanChanges:
    """Sentences about what is otherwise now.

    Attributes
    ----------
    warnings
        What may be a mistake in the table: classes that come or go, columns that are lost, values in another unit.
    notes
        What is good to know and harms nothing: columns that have come.
    """

    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def changes_since(
    plan: FeaturePlan, previous: FeaturePlan | None, declared: Collection[str] = ()
) -> PlanChanges:
    """Return what `plan` has otherwise than `previous`, which was fitted to an earlier state of the same source.

    `declared` are the columns whose kind the description says: another one is no surprise. Columns of dates are left out, which move by nature. Where there is no plan before, or it has another label, there
    is nothing to compare.

    Examples
    --------
    >>> changes_since(plan, None)  # doctest: +SKIP
    PlanChanges(warnings=(), notes=())
    """
    if previous is None or previous.label.column != plan.label.column:
        return PlanChanges()
    warnings = [*_rows(plan, previous), *_label(plan, previous)]
    notes: list[str] = []
    before, now = ({c.name: c for c in reversed(p.ways)} for p in (previous, plan))
    left_out = {d.column: d.reason for d in plan.dropped}
    asked = [name for name, reason in left_out.items() if reason in (EXCLUDED, NOT_INCLUDED)]
    seen = before.keys() | {d.column for d in previous.dropped}
    # A column that the description gives another role is neither lost nor new.
    roles = {r.name for p in (plan, previous) for r in (p.weight, p.group, p.split.column) if r is not None}
    new = [name for name in now if name not in seen | roles]
    lost = [name for name in before if name not in now and name not in roles.union(asked)]
    for name in lost:
        if name in left_out:
            warnings.append(f"column {name!r} made features and is left out now: {left_out[name]}")
        else:
            warnings.append(
                f"column {name!r} made features and is not in the table now{_renamed(name, lost, new)}"
            )
    if new:
        more = f" and {len(new) - _MOST_SAID} more" if len(new) > _MOST_SAID else ""
        notes.append(f"new since the last plan: {', '.join(repr(n) for n in new[:_MOST_SAID])}{more}")
    figures = [{s.column: s for s in p.statistics} for p in (previous, plan)]
    for name, column in now.items():
        if name in before and not (column.kind != before[name].kind and name in declared):
            warnings += _column(before[name], column, *(f.get(name) for f in figures))
    if len(warnings) > _MOST_WARNINGS:
        warnings[_MOST_WARNINGS:] = [f"and {len(warnings) - _MOST_WARNINGS} more things are otherwise"]
    return PlanChanges(tuple(warnings), tuple(notes))


def _rows(plan: FeaturePlan, previous: FeaturePlan) -> Iterator[str]:
    if plan.rows < _SHRUNK * previous.rows:
        yield f"the table has {plan.rows:,} rows and had {previous.rows:,} when the last plan was fitted; is a part of it missing?"


def _label(plan: FeaturePlan, previous: FeaturePlan) -> Iterator[str]:
    now, before = plan.label, previous.label
    if now.classes is None or before.classes is None:
        if plan.task != previous.task:
            yield f"the label {now.column!r} made the task {previous.task} and makes it {plan.task} now"
        elif _elsewhere(before.mean, now.minimum, now.maximum) or _elsewhere(
            now.mean, before.minimum, before.maximum
        ):
            yield (
                f"the label {now.column!r} is {now.mean:.6g} in the mean ({now.minimum:.6g} to {now.maximum:.6g}) and was {before.mean:.6g} "
                f"({before.minimum:.6g} to {before.maximum:.6g}) when the last plan was fitted; is it measured in another unit?"
            )
        return
    if (
        sorted(map(plainly, now.classes)) == sorted(map(plainly, before.classes))
        and now.classes != before.classes
    ):
        yield (
            f"the classes of {now.column!r} are written otherwise now: {_listed(now.classes)}, where the last plan had {_listed(before.classes)}"
        )
        return
    for some, others, said in (
        (now, before, "which the last plan did not know"),
        (before, now, "which is no longer there"),
    ):
        for word in (w for w in some.classes or () if w not in (others.classes or ())):
            yield f"the label {now.column!r} {'has' if some is now else 'had'} the class {word!r} ({_count(some, word)}), {said}"
    yield from _shares(now, before)


def _shares(now: LabelPlan, before: LabelPlan) -> Iterator[str]:
    """Classes whose share of the rows is another: by far more than chance, and by much."""
    if now.classes != before.classes or not now.class_rows or not before.class_rows:
        return
    rows, earlier = sum(now.class_rows), sum(before.class_rows)
    moved = []
    for word, a, b in zip(now.classes or (), now.class_rows, before.class_rows, strict=True):
        new, old = a / rows, b / earlier
        pooled = (a + b) / (rows + earlier)
        noise = sqrt(pooled * (1 - pooled) * (1 / rows + 1 / earlier))
        low, high = sorted((new, old))
        if high - low > _SURE * noise and (high - low > _MOVED or high > _FACTOR * low):
            moved.append((high - low, word, new, old))
    for _, word, new, old in sorted(moved, reverse=True)[: 1 if len(now.classes or ()) == 2 else _MOST_SAID]:
        yield (
            f"the class {word!r} of {now.column!r} is {new:.2%} of the rows and was {old:.2%} when the last plan was fitted; "
            "does it mean the same, and are the rows drawn in the same way?"
        )


def _column(
    before: AnyColumn, now: AnyColumn, old: ColumnStats | None, new: ColumnStats | None
) -> Iterator[str]:
    if now.kind != before.kind:
        yield f"column {now.name!r} was used as {before.kind} and is used as {now.kind} now"
        return
    if old is None or new is None or min(old.rows - old.missing, new.rows) < _FEWEST:
        return
    if new.missing_share >= _GONE and old.missing_share <= _LEARNT:
        yield f"column {now.name!r} is missing in {new.missing_share:.0%} of the training rows and was in {old.missing_share:.0%} of those of the last plan"
    elif isinstance(now, CategoricalColumn) and isinstance(before, CategoricalColumn):
        yield from _words(before, now, old, new)
    elif not isinstance(now, DatetimeColumn) and (
        _elsewhere(new.quantiles.get("p50"), old.minimum, old.maximum)
        or _elsewhere(old.quantiles.get("p50"), new.minimum, new.maximum)
    ):
        yield (
            f"column {now.name!r} is {new.quantiles['p50']:.6g} in the middle ({new.minimum:.6g} to {new.maximum:.6g}) and was {old.quantiles['p50']:.6g} "
            f"({old.minimum:.6g} to {old.maximum:.6g}) when the last plan was fitted; is it measured in another unit, or does it grow with time?"
        )


def _words(
    before: CategoricalColumn, now: CategoricalColumn, old: ColumnStats, new: ColumnStats
) -> Iterator[str]:
    # Rare words and other spellings have no place of their own, and were there all the same.
    known = {*before.words, *before.spellings, *old.top}
    strange = [word for word in new.top if word not in known]
    rows = sum(new.top.values())
    # Of a column of many words the most frequent are known, and others may be so by chance today.
    if not known or old.distinct is None or old.distinct > _NEARLY_ALL * len(known):
        return
    if sum(new.top[w] for w in strange) < _STRANGE * rows or rows < _STRANGE * new.rows:
        return
    twins = {plainly(word): word for word in before.words}
    one = next((w for w in strange if plainly(w) in twins), strange[0])
    had = repr(twins[plainly(one)]) if plainly(one) in twins else _listed(before.words)
    yield f"column {now.name!r} holds words that the last plan did not know in most rows, such as {one!r}, where that had {had}"


def _elsewhere(middle: float | None, low: float | None, high: float | None) -> bool:
    if middle is None or low is None or high is None or low == high:
        return False
    slack = 1e-9 * max(abs(low), abs(high))
    return not low - slack <= middle <= high + slack


def _renamed(name: str, lost: list[str], new: list[str]) -> str:
    if len(lost) == len(new) == 1:
        return f"; is it {new[0]!r}, which has come?"
    near = nearest(name, new)
    return f"; is it {near[0]!r}, which has come?" if near else ""


def _count(label: LabelPlan, word: str) -> str:
    rows = dict(zip(label.classes or (), label.class_rows or (), strict=False)).get(word)
    return "rows unknown" if rows is None else f"{rows:,} of {sum(label.class_rows or ()):,} rows"


def _listed(words: list[str]) -> str:
    return ", ".join(map(repr, words[:3])) + (" ..." if len(words) > 3 else "")
