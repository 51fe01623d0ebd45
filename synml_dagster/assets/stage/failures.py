"""What a step does around its own work: it notes when that begins, and says first what went wrong with it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import dagster as dg

from synml_dagster.io_managers.work import begin
from synml_dagster.resources.said_first import attempts_before, said_first


def clearly(body: Callable[..., Any]) -> Callable[..., Any]:
    """Let the first line of a step's failure be what this package's error says, or MLflow's, and not that an op raised one.

    What the step costs is counted from here, too.
    """

    if inspect.isgeneratorfunction(body):

        @functools.wraps(body)
        def generated(*arguments: Any, **named: Any) -> Any:
            with said_first(attempts=_begun(arguments)):
                yield from body(*arguments, **named)

        return generated

    @functools.wraps(body)
    def called(*arguments: Any, **named: Any) -> Any:
        with said_first(attempts=_begun(arguments)):
            return body(*arguments, **named)

    return called


def _begun(arguments: tuple[Any, ...]) -> int | None:
    """Note that the work begins; return how often it was tried before, where that is known."""
    context = arguments[0] if arguments else None
    if not isinstance(context, dg.AssetExecutionContext | dg.AssetCheckExecutionContext):
        return None
    step = context.op_execution_context.get_step_execution_context()
    if isinstance(context, dg.AssetExecutionContext):
        begin(context.run.run_id, step.step.key)
    return attempts_before(step)
