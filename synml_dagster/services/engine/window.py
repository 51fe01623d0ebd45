"""Many at work, few in memory: items go as places are free, results come back in the items' order."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

from synml_dagster.errors import SetupError

Item = TypeVar("Item")
Result = TypeVar("Result")
Work = Callable[[Item], Awaitable[Result]]

_AHEAD = 20_000
"""Results that may wait for one before them. They are small: values go to the journal."""


class Window(Generic[Item, Result]):
    """Works on up to `in_flight` items at once, on an event loop in a thread of its own, and yields results in order.

    An item that takes long holds up the results behind it, but not the work: others begin as places are free.

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
        self._done = threading.Condition()
        self._results: dict[int, Result | BaseException] = {}
        self._busy = 0
        self._broken: BaseException | None = None

    def map(self, items: Iterable[Item]) -> Iterator[Result]:
        """Yield the result of each item, in their order; `items` are taken from the thread that asks for results.

        Raises
        ------
        SetupError
            No work has ended for too long.
        """
        loop = asyncio.new_event_loop()
        ready: asyncio.Queue[tuple[int, Item] | None] = asyncio.Queue()
        thread = threading.Thread(target=self._run, args=(loop, ready), name="services", daemon=True)
        thread.start()
        try:
            yield from self._emitted(iter(items), loop, ready)
        finally:
            # The consumer may have gone: then what is in flight is cancelled, and its connections are closed.
            with contextlib.suppress(RuntimeError):  # the loop is closed where it broke
                loop.call_soon_threadsafe(ready.put_nowait, None)
            thread.join(30)

    def _emitted(
        self,
        items: Iterator[Item],
        loop: asyncio.AbstractEventLoop,
        ready: asyncio.Queue[tuple[int, Item] | None],
    ) -> Iterator[Result]:
        begun = emitted = 0
        more = True
        while more or emitted < begun:
            with self._done:
                room = self._busy < self.in_flight and begun - emitted < _AHEAD + self.in_flight
            if more and room:
                try:
                    item = next(items)
                except StopIteration:
                    more = False
                    continue
                with self._done:
                    if self._broken is not None:
                        raise self._broken
                    self._busy += 1
                loop.call_soon_threadsafe(ready.put_nowait, (begun, item))
                begun += 1
                if begun % 64:  # let results pile up a little while there is room
                    continue
            with self._done:
                while emitted not in self._results and not (more and self._room(begun, emitted)):
                    if self._broken is not None:
                        raise self._broken
                    if not self._done.wait(self.patience):
                        raise SetupError(
                            f"services: no request has ended for {self.patience:.0f} s, though each has a deadline"
                        )
                found = []
                while emitted in self._results:
                    found.append(self._results.pop(emitted))
                    emitted += 1
            for result in found:
                if isinstance(result, BaseException):
                    raise result
                yield result

    def _room(self, begun: int, emitted: int) -> bool:
        return self._busy < self.in_flight and begun - emitted < _AHEAD + self.in_flight

    def _run(self, loop: asyncio.AbstractEventLoop, ready: asyncio.Queue[tuple[int, Item] | None]) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(self._serve(ready))
        except BaseException as problem:
            with self._done:
                self._broken = problem
                self._done.notify_all()
        finally:
            loop.close()

    async def _serve(self, ready: asyncio.Queue[tuple[int, Item] | None]) -> None:
        running: set[asyncio.Task[None]] = set()
        async with self.opened() as work:
            while (told := await ready.get()) is not None:
                task = asyncio.create_task(self._one(work, *told))
                running.add(task)
                task.add_done_callback(running.discard)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _one(self, work: Work[Item, Result], place: int, item: Item) -> None:
        try:
            result: Result | BaseException = await work(item)
        except Exception as problem:
            result = problem
        with self._done:
            self._results[place] = result
            self._busy -= 1
            self._done.notify_all()
