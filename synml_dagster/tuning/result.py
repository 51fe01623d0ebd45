"""What a sweep found, as a bundle of one JSON file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from synml_dagster.tuning.aims import Aims, Cost

_FILE = "sweep.json"


class TrialRecord(BaseModel):
    """One trial: what was tried and what came of it."""

    model_config = ConfigDict(extra="forbid")

    number: int
    params: dict[str, Any]
    value: float | None = Field(description="The metric on held-out rows; None where the trial failed.")
    rounds: int | None = Field(default=None, description="Boosting rounds of the trial's model.")
    seconds: float = 0.0
    state: str = "complete"
    learner: str = ""
    origin: str = Field(default="search", description="A candidate's name, or search.")
    folds: list[float] = Field(default_factory=list, description="The metric of each fold.")
    kilobytes: float | None = Field(default=None, description="Size of the trial's model.")
    milliseconds: float | None = Field(default=None, description="To score 1,000 rows in one thread.")
    reason: str = Field(default="", description="Why it failed.")

    @property
    def spread(self) -> float | None:
        """Standard error of the value over the folds; None for a single held-out part."""
        n = len(self.folds)
        if n < 2:
            return None
        mean = sum(self.folds) / n
        return float((sum((v - mean) ** 2 for v in self.folds) / (n - 1) / n) ** 0.5)


class EnsembleMember(BaseModel):
    """A trial that answers together with others."""

    model_config = ConfigDict(extra="forbid")

    trial: int
    learner: str
    params: dict[str, Any]
    weight: float


class SweepResult(BaseModel):
    """The best parameters, the trials, and how much each parameter mattered."""

    model_config = ConfigDict(extra="forbid")

    metric: str
    direction: str
    learner: str = Field(default="", description="The family that won; empty where the sweep was off.")
    best_params: dict[str, Any] = Field(default_factory=dict, description="Empty where the sweep was off.")
    best_value: float | None = None
    best_trial: int | None = None
    trials: list[TrialRecord] = Field(default_factory=list)
    importance: dict[str, float] = Field(
        default_factory=dict,
        description="By parameter of the family that won, its part of the variance; they add up to 1.",
    )
    resumed: int = Field(default=0, description="Trials that an earlier, interrupted sweep had finished.")
    study: str = ""
    rows: int = Field(default=0, description="Rows that each trial saw.")
    validation: str = Field(default="", description="On which rows trials were measured, in words.")
    ensemble: list[EnsembleMember] = Field(
        default_factory=list,
        description="The trials whose weighted mean is better than the best one, heaviest first.",
    )
    ensemble_value: float | None = Field(default=None, description="The ensemble's metric on held-out rows.")
    against: list[Cost] = Field(
        default_factory=list, description="The costs that quality was weighed against."
    )
    most_kilobytes: float | None = Field(default=None, description="The limit on the size of the model.")
    most_milliseconds: float | None = Field(
        default=None, description="The limit on the time to score 1,000 rows."
    )
    notes: list[str] = Field(default_factory=list, description="What was found and decided, in words.")

    def best_so_far(self) -> list[tuple[int, float]]:
        """Return the best value after each finished trial, as (trial number, value)."""
        best: list[tuple[int, float]] = []
        better = max if self.direction == "maximize" else min
        for trial in sorted(self.trials, key=lambda t: t.number):
            if trial.value is not None:
                best.append((trial.number, better(best[-1][1], trial.value) if best else trial.value))
        return best

    def leaderboard(self) -> list[TrialRecord]:
        """Return the trials that have a value, best first; equal ones in the order in which they were tried."""
        sign = -1 if self.direction == "maximize" else 1
        done = [t for t in self.trials if t.value is not None]
        return sorted(done, key=lambda t: (sign * (t.value or 0.0), t.number))

    @property
    def aims(self) -> Aims:
        """What quality was weighed against, and the limits."""
        return Aims(tuple(self.against), self.most_kilobytes, self.most_milliseconds)

    def eligible(self) -> list[TrialRecord]:
        """Return the leaderboard's trials that hold the limits: those that can win."""
        return [t for t in self.leaderboard() if self.aims.held_by(t)]

    def front(self) -> list[TrialRecord]:
        """Return the trials that no other is at least as good as in all and better than in one of quality and `against`, best first."""
        sign = -1.0 if self.direction == "maximize" else 1.0
        trials = self.leaderboard()
        points = {
            t.number: (sign * t.value, *(getattr(t, c) for c in self.against))
            for t in trials
            if t.value is not None and all(getattr(t, c) is not None for c in self.against)
        }

        def beaten(mine: tuple[float, ...]) -> bool:
            return any(
                other != mine and all(a <= b for a, b in zip(other, mine, strict=True))
                for other in points.values()
            )

        found = [t for t in trials if t.number in points and not beaten(points[t.number])]
        return sorted(found, key=lambda t: (points[t.number], t.number))

    def noted(self, note: str) -> SweepResult:
        """Return it with one more note."""
        return self.model_copy(update={"notes": [*self.notes, note]})

    def save(self, directory: str | Path) -> None:
        """Write `sweep.json` into `directory`, which must exist."""
        (Path(directory) / _FILE).write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, directory: str | Path) -> SweepResult:
        """Read what `save` wrote."""
        return cls.model_validate_json((Path(directory) / _FILE).read_text(encoding="utf-8"))
