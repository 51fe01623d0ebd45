"""The model that answers now, and the thread that puts another one in its place when the registry's alias moves."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from synml_dagster.redaction import redacted
from synml_dagster.serving.metrics import Metrics
from synml_dagster.serving.model import ServedModel
from synml_dagster.serving.source import ModelSource, RegistrySource

log = logging.getLogger("synml_dagster.serving")


class Deployment:
    """Holds the model that answers. A request takes `current` once, and is answered by that one to its end.

    Parameters
    ----------
    source
        Where the model comes from; it is opened here, so that what is wrong with it is said before anything serves.
    role
        `champion` or `shadow`, for messages and metrics.
    metrics
        Gets the swaps and the polls.
    poll_seconds, deadline
        How often an alias is looked at, and after how long a look counts as failed. An alias alone can move.
    """

    def __init__(
        self, source: ModelSource, role: str, metrics: Metrics, poll_seconds: float, deadline: float
    ) -> None:
        self.source = source
        self.role = role
        self.current: ServedModel = source.open()
        self._metrics = metrics
        self._poll_seconds, self._deadline = poll_seconds, deadline
        self._looked = time.monotonic()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._said = ""

    def start(self) -> None:
        """Begin to look at the alias, where there is one."""
        if self.source.moves and self._thread is None:
            self._stop.clear()
            self._thread = threading.Thread(target=self._watch, name=f"synml-{self.role}-poll", daemon=True)
            self._thread.start()

    def stop(self, seconds: float = 2) -> None:
        """Look no more; a look that hangs is left to itself after `seconds`."""
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(seconds)

    @property
    def seconds_since_look(self) -> float:
        """Seconds since the alias was last seen."""
        return time.monotonic() - self._looked

    def _watch(self) -> None:
        looking: threading.Thread | None = None
        while not self._stop.wait(self._poll_seconds):
            # One look at a time: a registry that hangs costs one thread, and not one more with each poll.
            if looking is not None and looking.is_alive():
                self._failed("timeout", f"the registry has not answered for {self.seconds_since_look:.0f} s")
                continue
            looking = threading.Thread(target=self._look, name=f"synml-{self.role}-look", daemon=True)
            looking.start()
            looking.join(self._deadline)
            if looking.is_alive():
                self._failed("timeout", f"the registry has not answered within {self._deadline:g} s")

    def _look(self) -> None:
        assert isinstance(self.source, RegistrySource)
        try:
            version = self.source.find()
            if version is None:
                self._failed("absent", f"the alias {self.source.alias!r} is gone")
                return
            if version.version != self.current.version:
                opened = self.source.open_version(version)
                before, self.current = self.current, opened
                self._metrics.add("synml_model_swaps_total", role=self.role)
                log.info(
                    "%s: version %s takes the place of version %s",
                    opened.name,
                    opened.version,
                    before.version,
                )
        except Exception as problem:  # whatever it is, the version that serves goes on
            self._failed("failed", redacted(f"{type(problem).__name__}: {problem}"))
            return
        self._looked = time.monotonic()
        self._said = ""
        self._metrics.add("synml_registry_polls_total", role=self.role, outcome="ok")

    def _failed(self, outcome: str, told: str) -> None:
        self._metrics.add("synml_registry_polls_total", role=self.role, outcome=outcome)
        if told != self._said:  # once, and not with each poll
            self._said = told
            log.error("%s: version %s goes on: %s", self.current.name, self.current.version, told)


def deployments(
    source: ModelSource, shadow: ModelSource | None, metrics: Metrics, poll_seconds: float, deadline: float
) -> tuple[Deployment, Deployment | None]:
    """Open both models; the metrics say which versions they are, and when their aliases were last seen."""
    first = Deployment(source, "champion", metrics, poll_seconds, deadline)
    second = None if shadow is None else Deployment(shadow, "shadow", metrics, poll_seconds, deadline)
    both = [one for one in (first, second) if one is not None]
    metrics.describe("synml_model_info", "The versions that serve.")
    metrics.gauge("synml_model_info", _asked(lambda one: _info(one), both))
    watched = [one for one in both if one.source.moves]
    metrics.describe(
        "synml_registry_seconds_since_poll", "Seconds since the registry last told where the alias points."
    )
    metrics.gauge(
        "synml_registry_seconds_since_poll",
        lambda: [((("role", one.role),), round(one.seconds_since_look, 3)) for one in watched],
    )
    return first, second


def _info(one: Deployment) -> tuple[tuple[tuple[str, str], ...], float]:
    model = one.current
    return (("name", model.name), ("version", model.version), ("role", one.role)), 1.0


def _asked(ask: Callable, of: list[Deployment]) -> Callable:
    return lambda: [ask(one) for one in of]
