"""Which family the next trial of the search goes to: most to boosted trees, none to a family that is far behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from synml_dagster.tuning.families import Family

BOOSTED = 0.6
"""The part of the search that boosted trees get at least, while any of them is searched.

In TabArena's 51 tables boosted trees lead forests by 200 and linear models by 340 points of Elo, tuned or not; the others
win on small tables and as members of an ensemble.
"""


@dataclass(frozen=True)
class Standing:
    """How a family has done so far: its best value, how far values of its trials scatter over folds, and its trials."""

    best: float | None
    spread: float
    searched: int


def alive(families: Sequence[Family], standings: Mapping[str, Standing], maximize: bool) -> list[Family]:
    """Return the families that go on being searched, best first: those that are not far behind the median one.

    Far is more than the greater of twice the spread over folds and 2 % of the median's value. Families that no trial of
    has succeeded yet are left out once another has one.
    """
    sign = -1.0 if maximize else 1.0
    known = [f for f in families if (s := standings.get(f.name)) is not None and s.best is not None]
    if not known:
        return list(families)
    losses = {f.name: sign * float(standings[f.name].best or 0.0) for f in known}
    middle = float(np.median(list(losses.values())))
    spread = max(standings[f.name].spread for f in known)
    far = max(2 * spread, 0.02 * abs(middle))
    near = [f for f in known if losses[f.name] <= middle + far]
    return sorted(near, key=lambda f: losses[f.name])


def next_family(families: Sequence[Family], standings: Mapping[str, Standing], maximize: bool) -> Family:
    """Return the family of the next trial: the one that is furthest below its share of the trials searched so far.

    The better half of the share of its kind (boosted or not) goes to the best of the kind, half of the rest to the next.
    """
    left = alive([f for f in families if f.space], standings, maximize) or [f for f in families if f.space]
    kinds = {True: [f for f in left if f.boosted], False: [f for f in left if not f.boosted]}
    total = {True: BOOSTED, False: 1 - BOOSTED} if kinds[True] and kinds[False] else {True: 1.0, False: 1.0}
    if kinds[True] and kinds[False] and left[0].boosted:
        total = {True: 0.8, False: 0.2}
    wanted: dict[str, float] = {}
    for boosted, members in kinds.items():
        weights = [0.5**i for i in range(len(members))]
        for family, weight in zip(members, weights, strict=True):
            wanted[family.name] = total[boosted] * weight / sum(weights)
    searched = {f.name: standings[f.name].searched if f.name in standings else 0 for f in left}
    asked = sum(searched.values()) + 1
    return max(left, key=lambda f: wanted[f.name] * asked - searched[f.name])
