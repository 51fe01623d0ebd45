"""Which columns say where a row stands in a split, when equal rows are too many for that, and whether two splits are one."""

from __future__ import annotations

import numpy as np

from synml_dagster.columns import RawInput
from synml_dagster.features.fitting.guess import named_like_an_id
from synml_dagster.features.plan import FeaturePlan, SplitPlan
from synml_dagster.features.profile.outline import SPOTS, Outline
from synml_dagster.features.spec import FeatureSpec, SplitBy, SplitSpec

_FEWEST = 20.0
"""A side of fewer different rows than this is no picture of the table."""

_OFF = 0.25
"""A side may miss its share by this part of it."""

_HAIR = 0.02
"""Limits of a table that has grown a little differ by less than this."""


def placing_columns(
    inputs: list[RawInput],
    features: FeatureSpec,
    target: RawInput,
    weights: RawInput | None,
    previous: SplitPlan | None,
) -> list[RawInput]:
    """Return the columns whose content says where a row stands: never the label, and what features are made of.

    Ids, weights and excluded columns are among them only where a table has nothing else. The columns of a `previous`
    split are taken over, so that another choice of features moves no row.
    """
    if previous is not None:
        found = {raw.path: raw for raw in inputs}
        return [found[path] for path in previous.hashed]
    left_out = set(features.exclude) | {weights.name if weights is not None else target.name}
    others = [raw for raw in inputs if raw.name != target.name]
    given = [
        raw for raw in others if not {raw.name, raw.path[0]} & left_out and not named_like_an_id(raw.path[-1])
    ]
    return given or others or [target]


def taken_over(
    previous: FeaturePlan | None, label: str, split: SplitSpec, by: SplitBy, inputs: list[RawInput]
) -> SplitPlan | None:
    """Return the split of a `previous` plan where rows can stay where it has put them: same label, seed and columns."""
    if previous is None or previous.label.column != label:
        return None
    old, here = previous.split, {raw.path for raw in inputs}
    same = old.by == by and old.spec.seed == split.seed and old.spec.column == split.column
    # Splits of earlier versions looked at the label.
    usable = (
        bool(old.hashed) and {*old.hashed, *old.ordered} <= here and previous.label.path not in old.hashed
    )
    return old if same and usable else None


def too_alike(split: SplitPlan, outline: Outline) -> str:
    """Return in words why rows have to be spread over the sides, or nothing where sides can be cut between them."""
    if split.by not in ("random", "stratified"):
        return ""
    spec, n = split.spec, int(outline.spots.sum())
    asked = [share for share in (spec.test, spec.validation) if share > 0]
    if n == 0 or not asked:
        return ""
    if outline.sampled:
        counts = outline.spots
        # The parts that rows are counted in hold many rows each: what they would add by themselves is taken off.
        alike = float(((counts / n) ** 2).sum()) - 1 / SPOTS
        said = "the rows of a large part of the table are equal in all columns that features are made of"
    else:
        counts = np.unique(outline.positions, return_counts=True)[1]
        alike = float(((counts / n) ** 2).sum())
        said = f"of {n} labelled rows only {len(counts)} differ in the columns that features are made of"
    few = alike * _FEWEST > min(asked) and alike * n > 2
    if not few and split.by == "random" and not outline.sampled:
        few = alike * n > 2 and _misses(split, outline.positions)
    if not few and split.by == "stratified":
        few = any(
            len(places) > len(asked) and len(set(places)) <= len(asked)
            for word in outline.places
            if (places := outline.small_class(word)) is not None
        )
    return (
        f"split: {said}, too few to cut {' and '.join(f'{share:g}' for share in asked)} of the rows between them. "
        "Equal rows are spread over the sides, so the model is measured on rows whose like it has learnt"
        if few
        else ""
    )


def kept_limits(fresh: SplitPlan, previous: SplitPlan | None, outline: Outline) -> SplitPlan:
    """Return `fresh` with the limits of a `previous` split where they still give the shares asked for."""
    if previous is None or fresh.spec != previous.spec or fresh.by not in ("random", "group"):
        return fresh
    if fresh.ordered != previous.ordered or outline.sampled:
        return fresh
    old = fresh.model_copy(update={"test": previous.test, "validation": previous.validation})
    return fresh if _misses(old, outline.positions) else old


def _misses(split: SplitPlan, places: np.ndarray) -> bool:
    """Whether a side is far from the share asked for, by a quarter of it and by more than two rows."""
    n = len(places)
    below = [int((places < limit[0]).sum()) for limit in (split.test, split.validation)]
    rows = (below[0], below[1] - below[0])
    return any(
        abs(found - share * n) > max(2.0, _OFF * share * n) or (found == 0 and share > 0)
        for found, share in zip(rows, (split.spec.test, split.spec.validation), strict=True)
    )


def same_split(a: FeaturePlan, b: FeaturePlan) -> str | None:
    """Return why rows that `a` trains on may be test rows of `b`, or None where they are on the same sides."""
    old, new = a.split, b.split
    if old.by != new.by or (old.column and old.column.name) != (new.column and new.column.name):
        return f"rows were split by {_way(old)} and are now split by {_way(new)}"
    if new.by == "time":
        if new.test[0] < old.validation[0]:
            return f"its training rows went on until {old.validation[0]:g} in {_way(old)}, and the test side now begins at {new.test[0]:g}"
        return None
    if old.spec.seed != new.spec.seed:
        return f"split.seed was {old.spec.seed} and is {new.spec.seed}"
    if new.by != "group":
        if a.label.path in old.hashed and b.label.path not in new.hashed:
            return "an earlier version split rows by their label, too"
        if old.hashed != new.hashed:
            changed = {".".join(path) for path in {*old.hashed} ^ {*new.hashed}}
            names = ", ".join(map(repr, sorted(changed)[:5]))
            return f"rows were split by the content of other columns ({names or 'in another order'})"
        if old.spread != new.spread:
            return (
                "equal rows were kept on one side" if new.spread else "equal rows were spread over the sides"
            )
        if old.spread and old.ordered != new.ordered:
            return "equal rows were spread over the sides by the content of other columns"
    if a.label.classes != b.label.classes and new.by == "stratified":
        return "rows were split by other classes"
    # A row below the test limit of today must not have been a training row.
    if len(old.validation) == len(new.test) and any(
        now > before + _HAIR for now, before in zip(new.test, old.validation, strict=True)
    ):
        return f"the test side was {old.spec.test:g} of the rows and is {new.spec.test:g}"
    if len(old.test) != len(new.test) or any(
        abs(now - before) > _HAIR for now, before in zip(new.test, old.test, strict=True)
    ):
        return f"the test side was {old.spec.test:g} of the rows and is {new.spec.test:g}"
    return None


def _way(split: SplitPlan) -> str:
    return f"{split.by} of {split.column.name!r}" if split.column is not None else split.by
