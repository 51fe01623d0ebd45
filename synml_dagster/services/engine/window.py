"""Many at work, few in memory: items go as places are free, results come back in the items' order."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

from synml_dagster.errors import SetupError

Item = TypeVar("Item")
Result = TypeVar("Result")
Work = Callable[[Item], Awaitable[Result]]

_AHEAD = 20_000
"""Results that may wait for one before them. They are small: values go to the journal."""

_AT_ONCE = 256
"""Results that are handed on together: the two threads would wake each other for each one otherwise."""


class Window(Generic[Item, Result]):
    """Works on up to `in_flight` items at once, on an event loop in a thread of its own, and yields results in order.

    An item that takes long holds up the results behind it, but not the work: others begin as places are free. As many items again
    wait for a place, so that none is free while the caller's thread is busy.

    Parameters
    ----------
    in_flight
        Items that are worked on at once.
    opened
        Returns a context whose value is the work: a coroutine function over items. It is entered on the loop.
    patience
        Seconds without any result after which the window is taken for broken: work has deadlines of its own, so that this
        is never reached.
    """

    def __init__(
        self,
        in_flight: int,
        opened: Callable[[], AbstractAsyncContextManager[Work[Item, Result]]],
        patience: float,
    ) -> None:
        self.in_flight, self.opened, self.patience = in_flight, opened, patience
        self._changed = threading.Condition()
        self._waiting: deque[tuple[int, Item]] = deque()
        self._results: dict[int, Result | BaseException] = {}
        self._begun = self._emitted = self._ended = self._tasks = 0
        self._more = True
        self._broken: BaseException | None = None

    def map(self, items: Iterable[Item]) -> Iterator[Result]:
        """Yield the result of each item, in their order; `items` are taken from the thread that asks for results.

        Raises
        ------
        SetupError
            No work has ended for too long.
        """
        loop = asyncio.new_event_loop()
        begin: asyncio.Queue[bool] = asyncio.Queue()
        thread = threading.Thread(target=self._run, args=(loop, begin), name="services", daemon=True)
        thread.start()
        try:
            yield from self._ordered(iter(items), loop, begin)
        finally:
            # The consumer may have gone: then what is in flight is cancelled, and its connections are closed.
            with contextlib.suppress(RuntimeError):  # the loop is closed where it broke
                loop.call_soon_threadsafe(begin.put_nowait, False)
            thread.join(30)

    def _ordered(
        self, items: Iterator[Item], loop: asyncio.AbstractEventLoop, begin: asyncio.Queue[bool]
    ) -> Iterator[Result]:
        while self._more or self._emitted < self._begun:
            if self._more and self._has_room():
                try:
                    item = next(items)
                except StopIteration:
                    self._more = False
                    continue
                with self._changed:
                    self._waiting.append((self._begun, item))
                    self._begun += 1
                    starts = self._tasks < self.in_flight
                    self._tasks += starts
                if starts:
                    with contextlib.suppress(RuntimeError):
                        loop.call_soon_threadsafe(begin.put_nowait, True)
                continue
            with self._changed:
                while not self._worth_waking():
                    ended = self._ended
                    if not self._changed.wait(self.patience) and ended == self._ended:
                        raise SetupError(
                            f"services: no request has ended for {self.patience:.0f} s, though each has a deadline"
                        )
                if self._broken is not None:
                    raise self._broken
                found = []
                while self._emitted in self._results:
                    found.append(self._results.pop(self._emitted))
                    self._emitted += 1
            for result in found:
                if isinstance(result, BaseException):
                    raise result
                yield result

    def _has_room(self) -> bool:
        return len(self._waiting) < self.in_flight and self._begun - self._emitted < _AHEAD + self.in_flight

    def _worth_waking(self) -> bool:
        """Whether there is something to do for the thread that takes items and hands results on."""
        if self._broken is not None or self._ended == self._begun:
            return True
        ready = self._emitted in self._results
        if ready and len(self._results) >= _AT_ONCE:
            return True
        if not self._more:
            return False
        if self._begun - self._emitted >= _AHEAD + self.in_flight:
            return ready
        return len(self._waiting) <= self.in_flight // 2

    def _run(self, loop: asyncio.AbstractEventLoop, begin: asyncio.Queue[bool]) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(self._serve(begin))
        except BaseException as problem:
            with self._changed:
                self._broken = problem
                self._changed.notify_all()
        finally:
            loop.close()

    async def _serve(self, begin: asyncio.Queue[bool]) -> None:
        running: set[asyncio.Task[None]] = set()
        async with self.opened() as work:
            while await begin.get():
                task = asyncio.create_task(self._keep_on(work))
                running.add(task)
                task.add_done_callback(running.discard)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _keep_on(self, work: Work[Item, Result]) -> None:
        """Work on one waiting item after the other, until none waits."""
        while True:
            with self._changed:
                if not self._waiting:
                    self._tasks -= 1
                    return
                place, item = self._waiting.popleft()
            try:
                result: Result | BaseException = await work(item)
            except Exception as problem:
                result = problem
            with self._changed:
                self._results[place] = result
                self._ended += 1
                if self._worth_waking():
                    self._changed.notify_all()
