"""Says first what went wrong with storing or loading: the package's own sentence, and not that an IO manager raised something."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeVar

import dagster as dg

from synml_dagster.resources.said_first import attempts_before, said_first

_Manager = TypeVar("_Manager")
_Object = TypeVar("_Object")


def clearly_stored(
    store: Callable[[_Manager, dg.OutputContext, Any], None],
) -> Callable[[_Manager, dg.OutputContext, Any], None]:
    """Let a step that cannot store its output fail with this package's error; rows that cannot be written are not tried again."""

    @functools.wraps(store)
    def stored(self: _Manager, context: dg.OutputContext, obj: Any) -> None:
        with said_first(attempts=attempts_before(context.step_context)):
            store(self, context, obj)

    return stored


def clearly_loaded(
    load: Callable[[_Manager, dg.InputContext], _Object],
) -> Callable[[_Manager, dg.InputContext], _Object]:
    """Let a step that finds no input fail with this package's error, once; outside of a run the error is raised as it is."""

    @functools.wraps(load)
    def loaded(self: _Manager, context: dg.InputContext) -> _Object:
        with said_first() if _in_a_step(context) else nullcontext():
            return load(self, context)

    return loaded


def _in_a_step(context: dg.InputContext) -> bool:
    try:
        return context.step_context is not None
    except dg.DagsterInvariantViolationError:  # `Definitions.load_asset_value`
        return False
