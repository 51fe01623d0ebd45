"""The learner families that there are: each a folder here that has a module `learner` with a `LEARNER`."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from synml_dagster.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from synml_dagster.learners.base import Learner

_NO_FAMILY = frozenset({"onnx"})


@cache
def learner_names() -> tuple[str, ...]:
    """Return the names of all families, in order."""
    here = [str(Path(__file__).parent)]
    return tuple(sorted(m.name for m in pkgutil.iter_modules(here) if m.ispkg and m.name not in _NO_FAMILY))


@cache
def learner_of(name: str) -> Learner:
    """Return a family by its name.

    Raises
    ------
    ConfigError
        There is none of that name.
    """
    if name not in learner_names():
        raise ConfigError(
            f"there is no learner {name!r}; choose one of {', '.join(learner_names())}.{did_you_mean(name, learner_names())}"
        )
    found: Learner = import_module(f"synml_dagster.learners.{name}.learner").LEARNER
    return found
