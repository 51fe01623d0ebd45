"""What is done once more where the database of a sweep was away or busy meanwhile."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE = 60.0
"""For how many seconds a database that does not answer is asked again."""
_AGAIN_SECONDS = 0.5
_log = logging.getLogger(__name__)
T = TypeVar("T")


def patiently(work: Callable[[], T], reopen: Callable[[], None], seconds: float = PATIENCE) -> T:
    """Return what `work`, which may be done twice, returns.

    Parameters
    ----------
    reopen
        Called before each further try.
    seconds
        For how long there are further tries, from the first failure on: a connection that is silently gone is noticed late.
    """
    end = None
    while True:
        try:
            if end is not None:
                reopen()
            return work()
        except Exception as problem:
            if not _may_pass(problem) or (end is not None and time.monotonic() > end):
                raise
            if end is None:
                end = time.monotonic() + seconds
                _log.warning(
                    "sweep.storage does not answer as it should; it is asked again for up to %.0f s", seconds
                )
        time.sleep(_AGAIN_SECONDS)


def _may_pass(problem: BaseException) -> bool:
    """Return whether a database's error is one that the next try may not meet: it was away, or busy with others.

    A connection that was lost or refused, a deadlock, a wait for a lock: drivers call them operational errors.
    """
    import sqlalchemy.exc

    at_times = (sqlalchemy.exc.OperationalError, sqlalchemy.exc.InterfaceError, sqlalchemy.exc.TimeoutError)
    found: BaseException | None = problem
    while found is not None:
        if isinstance(found, at_times) or getattr(found, "connection_invalidated", False):
            return True
        found = found.__cause__ or found.__context__
    return False
