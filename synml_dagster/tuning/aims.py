"""What a sweep weighs quality against, and what the model may cost at most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Cost = Literal["kilobytes", "milliseconds"]
"""Size of a model, and what it takes to score 1,000 rows in one thread."""
COSTS: tuple[Cost, ...] = ("kilobytes", "milliseconds")
WORDS = {"kilobytes": "kB", "milliseconds": "ms / 1,000 rows"}


class Costing(Protocol):
    """A trial's outcome, or a record of it."""

    @property
    def kilobytes(self) -> float | None:
        """Size of the model."""

    @property
    def milliseconds(self) -> float | None:
        """To score 1,000 rows."""


@dataclass(frozen=True)
class Aims:
    """The costs that are objectives beside the metric, and the limits that a winner holds.

    Examples
    --------
    >>> Aims(most_kilobytes=100).excess(TrialOutcome(0.5, kilobytes=150))  # doctest: +SKIP
    {'kilobytes': 0.5}
    """

    against: tuple[Cost, ...] = ()
    most_kilobytes: float | None = None
    most_milliseconds: float | None = None

    @property
    def limits(self) -> dict[Cost, float]:
        """The limits that there are, by cost."""
        found: dict[Cost, float] = {}
        if self.most_kilobytes is not None:
            found["kilobytes"] = self.most_kilobytes
        if self.most_milliseconds is not None:
            found["milliseconds"] = self.most_milliseconds
        return found

    def costs(self, outcome: Costing) -> list[float]:
        """Return the costs that are objectives; one that was not measured is as bad as can be."""
        return [value if (value := getattr(outcome, c)) is not None else float("inf") for c in self.against]

    def excess(self, outcome: Costing) -> dict[Cost, float]:
        """Return by limit how far it is exceeded, as a part of it; 0 or less where it is held."""
        found: dict[Cost, float] = {}
        for cost, most in self.limits.items():
            value = getattr(outcome, cost)
            found[cost] = (value - most) / most if value is not None else 1.0
        return found

    def held_by(self, outcome: Costing) -> bool:
        """Return whether all limits are held."""
        return all(over <= 0 for over in self.excess(outcome).values())

    def said(self) -> str:
        """Return the limits in words."""
        return " and ".join(f"{most:g} {WORDS[cost]}" for cost, most in self.limits.items())
