"""Whether two models answer one question, so that a metric can say which is better."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synml_dagster.features import FeaturePlan

_SAID = ("excluded by the description", "not among features.include")


def another_question(challenger: FeaturePlan, champion: FeaturePlan) -> str | None:
    """Return why no metric can compare a champion with a challenger, None where one can.

    Two models are rivals where label, task, classes by name and group are the same, and the champion uses no column that
    the challenger's description now forbids: one that tells the answer would win for ever.
    """
    new, old = challenger.label, champion.label
    if new.column != old.column:
        return f"it predicts {old.column!r}, and this one {new.column!r}"
    if challenger.task != champion.task:
        return f"its task is {champion.task!r}, and this one's {challenger.task!r}"
    if (new.classes or []) != (old.classes or []):
        gone = [c for c in old.classes or [] if c not in (new.classes or [])]
        come = [c for c in new.classes or [] if c not in (old.classes or [])]
        what = (
            f"without {gone[:5]}" * bool(gone)
            + " and " * bool(gone and come)
            + f"with {come[:5]}" * bool(come)
        )
        return f"the classes of {new.column!r} are others now: {what or 'in another order'}"
    groups = [plan.group.name if plan.group else None for plan in (champion, challenger)]
    if groups[0] != groups[1]:
        return f"it ranks by {groups[0]!r}, and this one by {groups[1]!r}"
    forbidden = {d.column for d in challenger.dropped if d.reason in _SAID}
    used = [c.name for c in champion.columns if c.name in forbidden]
    if used:
        return f"it uses {', '.join(map(repr, used[:5]))}, which the description now leaves out"
    return None
