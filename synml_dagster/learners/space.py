"""What a sweep may choose for one parameter of a learner."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    import optuna

Value = bool | int | float | str


class ParameterRange(BaseModel):
    """What a sweep may choose for one parameter: `low` to `high`, or one of `choices`.

    Whole-number bounds give whole numbers. `log` searches orders of magnitude evenly.

    Examples
    --------
    >>> ParameterRange(low=0.01, high=0.3, log=True).is_whole
    False
    >>> ParameterRange(choices=["gbdt", "dart"]).choices
    ['gbdt', 'dart']
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: int | float | None = Field(default=None, description="The smallest value, included.")
    high: int | float | None = Field(default=None, description="The largest value, included.")
    log: bool = Field(default=False, description="Search orders of magnitude evenly.")
    choices: list[Value] | None = Field(
        default=None, description="The values to choose from, instead of a range."
    )

    @model_validator(mode="after")
    def _one_kind(self) -> ParameterRange:
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.log:
                raise ValueError("a range has either choices, or low and high")
            if not self.choices:
                raise ValueError("choices cannot be empty")
            return self
        if self.low is None or self.high is None:
            raise ValueError("a range needs low and high, or choices")
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise ValueError(f"a range has two finite ends but got {self.low} and {self.high}")
        if self.low > self.high:
            raise ValueError(f"low is {self.low}, which is above high, {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"a log range needs a low above 0 but got {self.low}")
        return self

    @property
    def is_whole(self) -> bool:
        """Whether the range gives whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def suggest(self, trial: optuna.Trial, name: str) -> Value:
        """Let `trial` choose a value."""
        if self.choices is not None:
            chosen: Value = trial.suggest_categorical(name, self.choices)  # type: ignore[assignment]
            return chosen
        assert self.low is not None
        assert self.high is not None
        if self.is_whole:
            return trial.suggest_int(name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(name, float(self.low), float(self.high), log=self.log)

    def holds(self, value: Any) -> bool:
        """Return whether the sweep could choose `value`."""
        if self.choices is not None:
            return value in self.choices
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        assert self.low is not None
        assert self.high is not None
        return self.low <= value <= self.high and not (self.is_whole and value != int(value))
