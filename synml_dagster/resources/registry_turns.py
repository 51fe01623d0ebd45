"""Processes of several hosts that take turns at a model, by nothing but tags in MLflow's registry.

MLflow has no lock, and moves an alias whatever it points at. Lamport's bakery [1]_ needs neither: everybody draws a number larger than those
that he sees, and goes in once nobody has a smaller one. A draw is a tag of the registered model, so that any tracking server will do.
Draws of processes that have ended stay where they are, and those who wait remove them: a draw that lives changes its text all the time, and
who waits judges it by his own clock, so that clocks of hosts need not agree.

References
----------
.. [1] L. Lamport, "A New Solution of Dijkstra's Concurrent Programming Problem", Communications of the ACM 17(8), 1974.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from synml_dagster.errors import SynmlError

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

PREFIX = "synml.turn."
"""What the names of the tags begin with; one is there for moments alone."""

_BETWEEN = 0.1


class _Draw(NamedTuple):
    """What a tag holds: the number, 0 while it is drawn, and a count that says that its owner lives."""

    number: int
    beat: int

    @classmethod
    def read(cls, text: str) -> _Draw:
        number, _, beat = text.partition(" ")
        return cls(int(number), int(beat)) if number.isdigit() and beat.isdigit() else cls(0, 0)

    def written(self) -> str:
        return f"{self.number} {self.beat}"


@contextmanager
def registry_turn(
    client: MlflowClient, name: str, busy: SynmlError, seconds: float = 120, dead_after: float = 60
) -> Iterator[None]:
    """Let one process at a time, of all that use the registry, into the block; the others wait for `seconds` at most.

    Where no such model is registered it is, without a version, so that those who register its first ones take turns as well.

    Parameters
    ----------
    name
        The registered model, whose tags are used.
    busy
        Raised where others are inside for all that time.
    dead_after
        Seconds after which a draw that has not changed is that of a process which has ended. One that is stopped for longer in the
        block loses its turn without knowing.
    """
    from synml_dagster.resources.model_registry import ensure_model

    ensure_model(client, name)
    own = _Own(client, name, dead_after)
    try:
        own.draw()
        _wait(own, busy, seconds, dead_after)
        with own.alive():
            yield
    finally:
        # Where the registry is away, those who wait remove it.
        with suppress(Exception):
            client.delete_registered_model_tag(name, own.key)


class _Own:
    """The draw of this process."""

    def __init__(self, client: MlflowClient, name: str, dead_after: float) -> None:
        self.client, self.name, self.key = client, name, f"{PREFIX}{uuid.uuid4().hex[:12]}"
        self.number, self._beat = 0, 0
        self._every = dead_after / 6
        self._told = 0.0

    def draw(self) -> None:
        """Take a number that is larger than those of all others."""
        self.number = 0
        self.tell()  # that it is being drawn: nobody passes before it is known
        others = _draws(self.client, self.name) or {}
        self.number = 1 + max((draw.number for draw in others.values()), default=0)
        self.tell()

    def tell(self) -> None:
        """Write the draw with another count than before."""
        self._beat += 1
        self.client.set_registered_model_tag(self.name, self.key, _Draw(self.number, self._beat).written())
        self._told = time.monotonic()

    def tell_in_time(self) -> None:
        """Write it once more where the last time is a while ago."""
        if time.monotonic() - self._told > self._every:
            self.tell()

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Tell again and again that this process lives."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(self._every):
                with suppress(Exception):  # those who wait cannot see it either
                    self.tell()

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _wait(own: _Own, busy: SynmlError, seconds: float, dead_after: float) -> None:
    """Return once nobody has a smaller number, or is drawing one."""
    seen: dict[str, tuple[_Draw, float]] = {}
    end = time.monotonic() + seconds
    while True:
        draws = _draws(own.client, own.name) or {}
        if own.key not in draws:  # taken for dead by another one, after a long stop of this process
            own.draw()
            continue
        mine = (own.number, own.key)
        before = {
            key: draw
            for key, draw in draws.items()
            if key != own.key and (draw.number == 0 or (draw.number, key) < mine)
        }
        if not before:
            return
        now = time.monotonic()
        for key, draw in before.items():
            last, since = seen.get(key, (None, now))
            if last != draw:
                seen[key] = (draw, now)
            elif now - since > dead_after:
                with suppress(Exception):  # another one that waits was first
                    own.client.delete_registered_model_tag(own.name, key)
        if now > end:
            raise busy
        own.tell_in_time()
        time.sleep(_BETWEEN)


def _draws(client: MlflowClient, name: str) -> dict[str, _Draw] | None:
    """Return the draws of all processes by their tags; None where no such model is registered."""
    from synml_dagster.resources.model_registry import answer_of

    model = answer_of(lambda: client.get_registered_model(name))
    if model is None:
        return None
    return {key: _Draw.read(text) for key, text in dict(model.tags).items() if key.startswith(PREFIX)}
