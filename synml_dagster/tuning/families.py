"""The families that a sweep searches: each with its ranges, and with the points of it that are tried before any search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from synml_dagster.learners import ParameterRange, Value

DEFAULT = "default"
"""The name of a family's own defaults among its candidates."""


@dataclass(frozen=True)
class Candidate:
    """Parameters that are worth a trial by themselves.

    Attributes
    ----------
    name
        What the leaderboard calls it; unique within its family.
    params
        Over the family's defaults.
    """

    name: str
    params: Mapping[str, Value]


@dataclass(frozen=True)
class Family:
    """One learner as a sweep sees it.

    Attributes
    ----------
    name
        The learner's.
    space
        What is searched.
    portfolio
        What is tried first; the first of the first family is what every winner has to beat.
    boosted
        Whether it is boosted trees, which get the larger part of the search.
    """

    name: str
    space: Mapping[str, ParameterRange]
    portfolio: Sequence[Candidate] = field(default_factory=tuple)
    boosted: bool = True


@dataclass(frozen=True)
class Question:
    """What one trial tries.

    Attributes
    ----------
    order
        Its number within the sweep, all families together.
    family, params
        The learner and its parameters.
    origin
        The candidate's name, or "search".
    curves, pruned
        Of trials of the family that have ended: what this one may be stopped by, and which of them were stopped.
    """

    order: int
    family: str
    params: Mapping[str, Value]
    origin: str
    curves: tuple[tuple[float, ...], ...] = ()
    pruned: tuple[bool, ...] = ()


def first_questions(families: Sequence[Family]) -> list[tuple[str, Candidate]]:
    """Return the candidates of all families in the order in which they are tried: the first of each, then the second ...

    The default of the first family comes first, and each family is heard before any is heard again.
    """
    depth = max((len(f.portfolio) for f in families), default=0)
    return [(f.name, f.portfolio[i]) for i in range(depth) for f in families if i < len(f.portfolio)]
