"""What a failed step says first: the error of this package, in its own words."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg

from synml_dagster.errors import SynmlError


def clearly(body: Callable[..., Any]) -> Callable[..., Any]:
    """Let the first line of a step's failure be what this package's error says, and not that an op raised one."""

    if inspect.isgeneratorfunction(body):

        @functools.wraps(body)
        def generated(*arguments: Any, **named: Any) -> Any:
            with _said_first():
                yield from body(*arguments, **named)

        return generated

    @functools.wraps(body)
    def called(*arguments: Any, **named: Any) -> Any:
        with _said_first():
            return body(*arguments, **named)

    return called


@contextmanager
def _said_first() -> Iterator[None]:
    try:
        yield
    except SynmlError as problem:
        raise dg.Failure(description=f"{type(problem).__name__}: {problem}") from problem
