"""How much may be in the server at once, in requests, in bytes and by how long they wait; more is turned away unread."""

from __future__ import annotations

import asyncio
import time

from synml_dagster.serving.metrics import Metrics
from synml_dagster.serving.rows import RequestError

_BODIES = 4
"""How many bodies of the largest size may be in memory at once."""

_LARGE_A_THREAD = 16
"""How many large requests may be in for each thread that scores them."""

_FEWEST = 32
"""How many small requests a turn lets in at the least, however long they wait: a few dozen clients are no overload."""

_AT_ONCE = 0.001
"""A turn that begins so many seconds after another has ended found its requests waiting."""


class Gate:
    """Counts what is in the server, and refuses what goes beyond the limits.

    A turn of the event loop reads what has come since the one before has looked, and scores it. So what it finds may have waited as
    long as that one took, and is answered when this one ends. Small requests are let in as long as the two together are expected to
    take no more than `max_wait`; the rest of the turn's are told no at once. Under overload a turn takes in so much as it
    can answer in time: what is in is not slowed down by what cannot be answered anyway.

    Parameters
    ----------
    max_queue
        Requests that may be in.
    max_body
        Bytes of a body of the largest size.
    max_wait
        Seconds that a small request may wait, from when it may have come at the earliest until it is answered.
    threads
        Threads that score large requests.
    metrics
        Gets the refusals by reason.
    """

    def __init__(
        self, max_queue: int, max_body: int, max_wait: float, threads: int, metrics: Metrics
    ) -> None:
        self.requests, self.bytes = 0, 0
        self._large = 0
        self._max_queue, self._max_bytes = max_queue, _BODIES * max_body
        self._max_large = _LARGE_A_THREAD * threads
        self._max_wait = max_wait
        self._turn = _Turn()
        self._cost = 0.0
        self._metrics = metrics
        metrics.describe("synml_in_flight", "Requests for scores that are in the server.")
        metrics.gauge("synml_in_flight", lambda: [((), self.requests)])
        metrics.gauge("synml_in_flight_limit", lambda: [((), max_queue)])

    def admits(self) -> bool:
        """Return whether one more small request is let in by this turn, and count it if so."""
        now = time.perf_counter()
        turn = self._turn
        if not turn.goes_on:
            self._turn = turn = turn.next(now, self._max_wait)
            asyncio.get_running_loop().call_soon(self._ends)
        expected = turn.behind + now - turn.began + (turn.let_in + 1) * self._cost
        if expected > self._max_wait and turn.let_in >= (0 if turn.too_late else _FEWEST):
            turn.refused += 1
            return False
        turn.let_in += 1
        return True

    def _ends(self) -> None:
        self._turn.goes_on, self._turn.ended = False, time.perf_counter()

    def scored(self, requests: int, began: float) -> None:
        """Learn what the scoring of so many requests took, which began at `began` and has just ended."""
        now = time.perf_counter()
        self._cost += 0.1 * ((now - began) / requests - self._cost)
        self._turn.ended = now

    def enter(self, large: bool, waited: float) -> None:
        """Let a request in.

        Parameters
        ----------
        large
            Whether it goes to a thread.
        waited
            Seconds that the first of the small requests has waited that are to be scored next.

        Raises
        ------
        RequestError
            503 with Retry-After: too many are in.
        """
        if self.requests >= self._max_queue:
            self._turn_away("queue")
        if large:
            if self._large >= self._max_large:
                self._turn_away("queue")
            self._large += 1
        elif self._is_late(waited, self.requests - self._large + 1):
            self._turn_away("wait")
        self.requests += 1

    def check(self, waited: float) -> None:
        """Refuse a small request that is in, before it is read, where those before it have waited too long already.

        Bodies that come in several pieces are whole in a later turn of the loop than the one that they were let in by.

        Raises
        ------
        RequestError
            503 with Retry-After.
        """
        if self._is_late(waited, self.requests - self._large):
            self._turn_away("wait")

    def hold(self, size: int) -> None:
        """Let `size` bytes of a body in; `leave` takes them out again.

        Raises
        ------
        RequestError
            503 with Retry-After: too many are in.
        """
        if self.bytes + size > self._max_bytes:
            self._turn_away("bytes")
        self.bytes += size

    def leave(self, size: int, large: bool) -> None:
        """Take a request and the bytes that it held out."""
        self.requests -= 1
        self._large -= large
        self.bytes -= size

    def _is_late(self, waited: float, small: int) -> bool:
        return waited > self._max_wait and small > _FEWEST

    def _turn_away(self, reason: str) -> None:
        self._metrics.add("synml_rejected_total", reason=reason)
        raise RequestError("The server is full; try again later.", 503, [("retry-after", "1")])


class _Turn:
    """One turn of the event loop that found requests.

    Attributes
    ----------
    began, ended
        When it found its first request, and when it had scored them.
    behind
        Seconds that its first request may have waited unread: since the turn before looked.
    let_in, refused
        What it did with its requests.
    too_late
        Whether what it found has waited too long already, so that it lets none in: the process was kept from running.
    """

    __slots__ = ("began", "behind", "ended", "goes_on", "let_in", "refused", "too_late")

    def __init__(self) -> None:
        self.began = self.ended = self.behind = 0.0
        self.let_in = self.refused = 0
        self.goes_on = self.too_late = False

    def next(self, now: float, max_wait: float) -> _Turn:
        """Return the turn that begins now, after this one."""
        turn = _Turn()
        turn.began, turn.goes_on = now, True
        if now - self.ended < _AT_ONCE:
            turn.behind = now - self.began
        # Never two in a row: where all turns are long, every second one answers.
        turn.too_late = turn.behind > max_wait and self.refused > 0 and not self.too_late
        return turn
