"""When the next request may go: so many a minute, so many tokens a minute, and nobody while the key cools down."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time

from synml_dagster.services.description import Limits
from synml_dagster.services.engine.outcome import RowError

_LOOKED = 0.1
"""Seconds between two looks at what other senders say."""


class Pace:
    """A rate that is kept by when the next may go (the generic cell rate algorithm, ITU-T I.371).

    One that is larger than what a moment grants goes all the same, and those after it wait the longer: nothing waits for
    ever.

    Parameters
    ----------
    per_minute
        What a minute grants.
    burst
        Seconds whose grant may go at once.

    Examples
    --------
    >>> pace = Pace(60, burst=1)
    >>> [pace.take(now=100.0, amount=1) for _ in range(3)]
    [100.0, 100.0, 101.0]
    """

    def __init__(self, per_minute: float, burst: float = 1.0) -> None:
        self.rate = per_minute / 60
        self.burst = burst
        self.next = float("-inf")

    def when(self, now: float) -> float:
        """Return when the next one may go."""
        return max(now, self.next)

    def take(self, now: float, amount: float) -> float:
        """Return when an amount may go, and reserve it."""
        at = self.when(now)
        self.next = max(self.next, at - self.burst) + amount / self.rate
        return at

    def correct(self, amount: float) -> None:
        """Count so much more than was reserved."""
        self.next += amount / self.rate


class CoolDown:
    """Until when a key is not used, for every request of a sender and, by a small file, for the senders beside it.

    Parameters
    ----------
    file
        A file that the senders share, where their file system lets them; None where it does not.
    """

    def __init__(self, file: str | None = None) -> None:
        self.file, self.until, self.count, self._looked = file, float("-inf"), 0, 0.0

    def pause(self, seconds: float) -> None:
        """Let nothing go for so long."""
        until = time.time() + seconds
        if until <= self.until:
            return
        self.until, self.count = until, self.count + 1
        if self.file is not None:
            with contextlib.suppress(OSError):  # the others then learn it from an answer of their own
                beside = f"{self.file}.{os.getpid()}.{id(self)}"
                with open(beside, "w", encoding="ascii") as out:
                    out.write(repr(until))
                os.replace(beside, self.file)

    def left(self) -> float:
        """Return for how many seconds nothing may go."""
        now = time.time()
        if self.file is not None and now - self._looked > _LOOKED:
            self._looked = now
            with contextlib.suppress(OSError, ValueError), open(self.file, encoding="ascii") as told:
                until = float(told.read())
                if until > self.until:
                    self.until, self.count = until, self.count + 1
        return max(0.0, self.until - now)


class Gate:
    """Lets requests go when limits and the cool-down do.

    Parameters
    ----------
    limits
        This sender's share.
    whole
        What all senders have together: a request that is larger never fits.
    """

    def __init__(self, limits: Limits, whole: Limits, cool_down: CoolDown, dice: random.Random) -> None:
        self.whole, self.cool_down, self.dice = whole, cool_down, dice
        # Services judge a minute's grant by windows of one second or ten, so that next to nothing may go at once.
        rpm, tpm = limits.requests_per_minute, limits.tokens_per_minute
        self.requests = Pace(rpm, 0.1) if rpm else None
        self.tokens = Pace(tpm, 1.0) if tpm else None

    async def enter(self, tokens: int, until: float) -> None:
        """Return when a request of so many tokens may go.

        Raises
        ------
        RowError
            It is larger than the whole quota, or may not go before `until` (by `time.time()`).
        """
        limit = self.whole.tokens_per_minute
        if limit and tokens > limit:
            raise RowError(
                "never_fits",
                f"the request takes about {tokens} tokens, and {limit:g} a minute are all that there are (limits.tokens_per_minute)",
            )
        while True:
            left = self.cool_down.left()
            now = time.time()
            if now >= until:
                raise RowError("deadline", "the deadline came before the row was sent")
            if left > 0:
                if now + left > until:
                    raise RowError(
                        "rate_limited",
                        f"the service asks to wait {left:.0f} s more, which is beyond the deadline",
                    )
                # Those that waited together do not go together.
                await asyncio.sleep(left + self.dice.uniform(0, min(1.0, 0.1 * left + 0.05)))
                continue
            count = self.cool_down.count
            at = max((pace.when(now) for pace in (self.requests, self.tokens) if pace), default=now)
            if at >= until:
                raise RowError("deadline", "the deadline comes before the limits let the row go")
            if self.requests:
                self.requests.take(at, 1)
            if self.tokens:
                self.tokens.take(at, tokens)
            if at > now:
                await asyncio.sleep(at - now)
            # A cool-down that began meanwhile holds for this one, too.
            if self.cool_down.count == count and self.cool_down.left() == 0:
                return

    def pause(self, seconds: float) -> None:
        """Let nothing go for so long, and begin anew from there: what was reserved beyond is asked for again."""
        self.cool_down.pause(seconds)
        for pace in (self.requests, self.tokens):
            if pace:
                pace.next = min(pace.next, time.time() + seconds)

    def settle(self, expected: int, used: int) -> None:
        """Count what an answer took beyond what was expected. Nothing is given back: services count a request when they admit it."""
        if self.tokens and used > expected:
            self.tokens.correct(used - expected)
