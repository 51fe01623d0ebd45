"""What a sweep may choose for one parameter of a learner."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from synml_dagster.errors import ConfigError, did_you_mean

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
    >>> ParameterRange(low=0.05, high=0.5, when={"boosting": ["dart"]}).applies({"boosting": "gbdt"})
    False
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: int | float | None = Field(default=None, description="The smallest value, included.")
    high: int | float | None = Field(default=None, description="The largest value, included.")
    log: bool = Field(default=False, description="Search orders of magnitude evenly.")
    choices: list[Value] | None = Field(
        default=None, description="The values to choose from, instead of a range."
    )
    when: dict[str, list[Value]] | None = Field(
        default=None,
        description="Searched only where each of these other parameters has one of these values; left to the learner's default elsewhere.",
    )

    @model_validator(mode="after")
    def _may_apply(self) -> ParameterRange:
        if self.when is not None and (not self.when or not all(self.when.values())):
            raise ValueError("when names at least one other parameter, each with at least one value")
        return self

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

    def applies(self, chosen: Mapping[str, Any]) -> bool:
        """Return whether the parameter is searched beside what has been `chosen` for the others."""
        return all(chosen.get(name) in values for name, values in (self.when or {}).items())


def in_order(space: Mapping[str, ParameterRange]) -> dict[str, ParameterRange]:
    """Return the ranges, each behind those that its `when` looks at.

    Raises
    ------
    ConfigError
        Conditions go round in a circle.
    """
    found: dict[str, ParameterRange] = {}
    left = dict(space)
    while left:
        ready = [name for name, r in left.items() if not set(r.when or ()) & set(left)]
        if not ready:
            raise ConfigError(f"sweep.space: the conditions of {', '.join(left)} go round in a circle")
        found |= {name: left.pop(name) for name in ready}
    return found


def under_fixed(space: Mapping[str, ParameterRange], fixed: Mapping[str, Any]) -> dict[str, ParameterRange]:
    """Return what is searched beside parameters that are fixed: ranges whose condition these fail are none.

    Raises
    ------
    ConfigError
        A condition is about a parameter that is neither searched nor fixed, or about a value that it never has.
    """
    found: dict[str, ParameterRange] = {}
    for name, r in space.items():
        if name in fixed:
            continue
        for other, values in (r.when or {}).items():
            if other not in space and other not in fixed:
                raise ConfigError(
                    f"sweep.space.{name}.when: {other!r} is neither searched nor fixed in train.params.{did_you_mean(other, space)} Give it choices, too."
                )
            if other in space and other not in fixed:
                for value in values:
                    if not space[other].holds(value):
                        raise ConfigError(
                            f"sweep.space.{name}.when: {other} is never {value!r} in this search."
                        )
        if any(fixed[other] not in values for other, values in (r.when or {}).items() if other in fixed):
            continue
        when = {other: values for other, values in (r.when or {}).items() if other not in fixed}
        found[name] = r.model_copy(update={"when": when or None})
    kept: dict[str, ParameterRange] = {}
    for name, r in in_order(found).items():  # what looks at a range that has gone goes, too
        if all(other in kept for other in r.when or ()):
            kept[name] = r
    return kept
