"""How much may be in the server at once, in requests, in bytes and by how long they wait; more is turned away unread."""

from __future__ import annotations

import asyncio

from synml_dagster.serving.metrics import Metrics
from synml_dagster.serving.rows import RequestError

_BODIES = 4
"""How many bodies of the largest size may be in memory at once."""

_LARGE_A_THREAD = 16
"""How many large requests may be in for each thread that scores them."""

_FEWEST = 32
"""How many small requests are let in at the least, however long they wait: a few dozen clients are no overload."""


class Gate:
    """Counts what is in the server, and refuses what goes beyond the limits.

    Small requests are let in as long as the first of those that will be scored with them has not waited `max_wait`, and as long as
    those that have come in one turn of the event loop are no more than can be scored in that time. Under overload each turn
    takes in so much and says no to the rest at once: what is in is not slowed down by what cannot be answered anyway.
    """

    def __init__(
        self, max_queue: int, max_body: int, max_wait: float, threads: int, metrics: Metrics
    ) -> None:
        self.requests, self.bytes = 0, 0
        self._large = 0
        self._max_queue, self._max_bytes = max_queue, _BODIES * max_body
        self._max_large = _LARGE_A_THREAD * threads
        self._max_wait = max_wait
        self._came, self._cost = 0, 0.0
        self._metrics = metrics
        metrics.describe("synml_in_flight", "Requests for scores that are in the server.")
        metrics.gauge("synml_in_flight", lambda: [((), self.requests)])
        metrics.gauge("synml_in_flight_limit", lambda: [((), max_queue)])

    def is_shut(self) -> bool:
        """Return whether the requests that have come in this turn of the event loop are as many as it can score in `max_wait`."""
        return self._came >= _FEWEST and self._came * self._cost > self._max_wait

    def came(self) -> None:
        """Count a request of this turn, before it is read."""
        if self._came == 0:
            asyncio.get_running_loop().call_soon(self._turn)
        self._came += 1

    def _turn(self) -> None:
        self._came = 0

    def scored(self, requests: int, seconds: float) -> None:
        """Learn how long a turn of the loop took with so many requests."""
        self._cost += 0.1 * (seconds / requests - self._cost)

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
