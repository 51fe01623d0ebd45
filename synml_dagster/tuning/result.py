"""What a sweep found, as a bundle of one JSON file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

_FILE = "sweep.json"


class TrialRecord(BaseModel):
    """One trial: what was tried and what came of it."""

    model_config = ConfigDict(extra="forbid")

    number: int
    params: dict[str, Any]
    value: float | None = Field(description="The metric on the validation rows; None where the trial failed.")
    rounds: int | None = Field(default=None, description="Boosting rounds of the best model of the trial.")
    seconds: float = 0.0
    state: str = "complete"


class SweepResult(BaseModel):
    """The best parameters, the trials, and how much each parameter mattered."""

    model_config = ConfigDict(extra="forbid")

    metric: str
    direction: str
    best_params: dict[str, Any] = Field(default_factory=dict, description="Empty where the sweep was off.")
    best_value: float | None = None
    best_trial: int | None = None
    trials: list[TrialRecord] = Field(default_factory=list)
    importance: dict[str, float] = Field(
        default_factory=dict, description="FileSplit of the variance, adding up to 1."
    )
    resumed: int = Field(default=0, description="Trials that an earlier, interrupted sweep had finished.")
    study: str = ""
    rows: int = Field(default=0, description="Training rows that each trial saw.")

    def best_so_far(self) -> list[tuple[int, float]]:
        """Return the best value after each finished trial, as (trial number, value)."""
        best: list[tuple[int, float]] = []
        better = max if self.direction == "maximize" else min
        for trial in sorted(self.trials, key=lambda t: t.number):
            if trial.value is not None:
                best.append((trial.number, better(best[-1][1], trial.value) if best else trial.value))
        return best

    def save(self, directory: str | Path) -> None:
        """Write `sweep.json` into `directory`, which must exist."""
        (Path(directory) / _FILE).write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, directory: str | Path) -> SweepResult:
        """Read what `save` wrote."""
        return cls.model_validate_json((Path(directory) / _FILE).read_text(encoding="utf-8"))
