"""What went wrong as the first line of a step's failure, and not that an op raised something."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg

from synml_dagster.errors import SetupError, SourceError, SynmlError
from synml_dagster.redaction import redacted

if TYPE_CHECKING:
    from dagster._core.execution.context.system import StepExecutionContext


RETRIES = 1
"""How often the pipeline's jobs try a step once more."""

_PASSES = (SetupError, SourceError)
"""What may be otherwise in a moment: a cluster, a server, a source. A description, rows and a model are the same ones again."""


@contextmanager
def said_first(*, attempts: int | None = None) -> Iterator[None]:
    """Raise this package's errors, and what MLflow's server or registry refuses, as a failure that says so.

    Parameters
    ----------
    attempts
        How often the step was tried before; None where it is never tried again. A retry policy then tries once more what may pass by itself. After its last attempt
        Dagster would say first that there were too many, so that nothing is left to the policy by then.

    Raises
    ------
    dagster.Failure
    """
    again, last = attempts is not None and attempts < RETRIES, (attempts or 0) >= RETRIES
    try:
        yield
    except SynmlError as problem:
        raise dg.Failure(
            description=f"{type(problem).__name__}: {problem}",
            allow_retries=again and isinstance(problem, _PASSES),
        ) from problem
    except (dg.Failure, dg.RetryRequested):
        raise
    except Exception as problem:
        lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
        told = redacted(lines[0] if lines else type(problem).__name__).rstrip(".")
        # By its name: MLflow takes a second to import, and is there already where it has raised something.
        if type(problem).__module__.startswith("mlflow."):
            raise dg.Failure(
                description=f"SetupError: mlflow: {told[:500]}. Is the tracking server there, and may this user read and write its runs and its registry?",
                allow_retries=again,
            ) from problem
        if last:
            raise dg.Failure(
                description=f"{type(problem).__name__}: {told[:500]}", allow_retries=False
            ) from problem
        raise


def attempts_before(step_context: StepExecutionContext) -> int:
    """Return how often a step was tried before in its run."""
    return int(step_context.previous_attempt_count)
