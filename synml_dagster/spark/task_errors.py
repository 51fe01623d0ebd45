"""Errors that this package's code raises in Spark's tasks, raised as what they are where the job was asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from synml_dagster import errors

# The last line of a Python worker's traceback, as Spark hands it on inside a text of its own.
_RAISED = re.compile(rf"^{re.escape(errors.__name__)}\.(\w+): (.+)$", re.MULTILINE)


@contextmanager
def typed_errors() -> Iterator[None]:
    """Raise what tasks of the jobs inside raised of this package's errors, and not Spark's wrapping of it.

    Spark's own error stays its cause, with the worker's traceback.
    """
    try:
        yield
    except errors.SynmlError:
        raise
    except Exception as problem:
        found = _RAISED.search(str(problem))
        kind = getattr(errors, found[1], None) if found else None
        if found is None or not (isinstance(kind, type) and issubclass(kind, errors.SynmlError)):
            raise
        raise kind(found[2].strip()) from problem
