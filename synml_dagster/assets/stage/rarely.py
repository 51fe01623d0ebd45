"""Lines of a long training: every few seconds at first, then more and more rarely."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

_FIRST_GAP, _LONGEST_GAP, _SHARE = 3.0, 120.0, 0.1


class Rarely:
    """Passes on a sign of life where a tenth of the time so far has gone by since the last, at least 3 s and at most 2 minutes.

    Hours of training leave some hundred lines in Dagster's event log, and the first minute says that something happens.

    Parameters
    ----------
    say
        What is called.
    clock
        Seconds, from any moment.
    """

    def __init__(self, say: Callable[[Any], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self._began = self._next = clock()

    def __call__(self, progress: Any) -> None:
        """Take a sign of life."""
        now = self._clock()
        if now < self._next:
            return
        self._say(progress)
        self._next = now + min(_LONGEST_GAP, max(_FIRST_GAP, _SHARE * (now - self._began)))
