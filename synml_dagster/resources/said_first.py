"""What went wrong as the first line of a step's failure, and not that an op raised something."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from synml_dagster.errors import SynmlError
from synml_dagster.redaction import redacted


@contextmanager
def said_first() -> Iterator[None]:
    """Raise this package's errors, and what MLflow's server or registry refuses, as a failure that says so.

    Raises
    ------
    dagster.Failure
    """
    try:
        yield
    except SynmlError as problem:
        raise dg.Failure(description=f"{type(problem).__name__}: {problem}") from problem
    except Exception as problem:
        # By its name: MLflow takes a second to import, and is there already where it has raised something.
        if not type(problem).__module__.startswith("mlflow."):
            raise
        lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
        told = redacted(lines[0] if lines else type(problem).__name__).rstrip(".")
        raise dg.Failure(
            description=f"SetupError: mlflow: {told[:500]}. Is the tracking server there, and may this user read and write its runs and its registry?"
        ) from problem
