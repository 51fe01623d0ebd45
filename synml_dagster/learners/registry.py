"""The learner families that there are: each a folder here that has a module `learner` with a `LEARNER`."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from synml_dagster.errors import ConfigError, did_you_mean

_MADE = "ensemble"
"""Opened by its name as other families are, and put together by a sweep: no description trains it."""


@cache
def learner_names() -> tuple[str, ...]:
    """Return the names of all families, in order."""
    here = Path(__file__).parent
    rooms = [room.name for room in pkgutil.iter_modules([str(here)]) if room.ispkg and room.name != _MADE]
    return tuple(sorted(name for name in rooms if _has_learner(here / name)))


def _has_learner(room: Path) -> bool:
    """Return whether a folder is a family and not what families share; it may be in an archive."""
    return any(module.name == "learner" for module in pkgutil.iter_modules([str(room)]))


def learner_module(name: str) -> ModuleType:
    """Return the module `learner` of a family.

    Raises
    ------
    ConfigError
        There is none of that name.
    """
    if name not in (*learner_names(), _MADE):
        raise ConfigError(
            f"there is no learner {name!r}; choose one of {', '.join(learner_names())}.{did_you_mean(name, learner_names())}"
        )
    return import_module(f"synml_dagster.learners.{name}.learner")
