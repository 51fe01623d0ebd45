"""The parameters of a family as a table: their names, what they take, and what is said of one that does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from synml_dagster.errors import ConfigError, did_you_mean

_LISTED = 12


@dataclass(frozen=True)
class Parameter:
    """What one parameter takes: a number of a range, one of some values, or anything where neither is said.

    Attributes
    ----------
    low, high
        The range of a number, ends included; `above` leaves the low end out.
    whole
        Whole numbers alone.
    values
        Values that it takes beside the numbers.
    aliases
        Other names of it.
    """

    low: float | None = None
    high: float | None = None
    above: bool = False
    whole: bool = False
    values: tuple[Any, ...] = ()
    aliases: tuple[str, ...] = ()

    def takes(self, value: Any) -> bool:
        """Return whether it takes `value`."""
        if any(type(value) is type(one) and value == one for one in self.values):
            return True
        if self.low is None or self.high is None:
            return not self.values
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if self.whole and int(value) != value:
            return False
        return self.low <= value <= self.high and not (self.above and value == self.low)

    @property
    def words(self) -> str:
        """What it takes, in words."""
        named = ", ".join(repr(one) for one in self.values)
        if self.low is None or self.high is None:
            return f"one of {named}"
        kind = "whole number" if self.whole else "number"
        number = f"a {kind} {'above' if self.above else 'from'} {self.low:g} {'up ' if self.above else ''}to {self.high:g}"
        return f"{number}, or one of {named}" if named else number


Parameters = Mapping[str, Parameter]


def main_names(table: Parameters) -> dict[str, str]:
    """Return every name, alias or not, with the parameter that it stands for."""
    return {name: main for main, one in table.items() for name in (main, *one.aliases)}


def checked(
    family: str, table: Parameters, params: Mapping[str, Any], said: Mapping[str, str]
) -> dict[str, Any]:
    """Return `params` under main names; one that is None is left out.

    Parameters
    ----------
    said
        Names that another key of the description says, with that key or with why they cannot be set.

    Raises
    ------
    ConfigError
        A name is unknown, given twice by two names, said by another key, or its value is none that it takes.
    """
    known = main_names(table)
    found: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for name, value in params.items():
        if name in said:
            raise ConfigError(f"params: learner {family}: {name} {said[name]}")
        if name not in known:
            every = f"; it has {', '.join(table)}" if len(table) <= _LISTED else ""
            raise ConfigError(
                f"params: learner {family} has no {name!r}{every}.{did_you_mean(str(name), known)}"
            )
        if value is None:
            continue
        main = known[name]
        if main in found and found[main] != value:
            raise ConfigError(
                f"params: {origin[main]!r} and {name!r} are two names of {main!r} and were given different values, {found[main]!r} and {value!r}. Keep one."
            )
        if not table[main].takes(value):
            raise ConfigError(f"params.{name} is {table[main].words} but got {value!r}")
        found[main], origin[main] = value, name
    return found
