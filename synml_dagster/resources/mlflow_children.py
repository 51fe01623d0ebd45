"""Runs below a run, written by a thread of their own: a sweep does not wait for MLflow, and does not fail for it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from synml_dagster.redaction import redacted
from synml_dagster.resources.mlflow_run import MLflowRun

PATIENCE = 300.0
"""Seconds without a run written after which the end waits no longer: MLflow's client tries for about four minutes to reach a server that is away."""
IN_A_HURRY = 60.0
"""Seconds that the end waits in all where the block is left by an error."""


@dataclass(frozen=True)
class Child:
    """A finished run to write."""

    name: str
    params: Mapping[str, Any]
    metrics: Mapping[str, float | None]
    tags: Mapping[str, str]
    failed: bool = False


class ChildRuns:
    """Takes children in the block and writes them below `run`; how many are not in MLflow, and why, is said at its end.

    Parameters
    ----------
    warn
        Gets one sentence where runs are missing.
    patience
        Seconds that the end waits for the next run to be written. A server that is slow or away for a minute costs none of them.
    """

    def __init__(self, run: MLflowRun, warn: Callable[[str], None], patience: float = PATIENCE) -> None:
        self._run, self._warn, self._patience = run, warn, patience
        self._waiting: queue.SimpleQueue[Child | None] = queue.SimpleQueue()
        self._taken = 0
        # Each is changed by the thread alone.
        self._written, self._lost = 0, list[str]()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write, name="mlflow-children", daemon=True)

    def __enter__(self) -> ChildRuns:
        """Start the thread."""
        self._thread.start()
        return self

    def add(self, child: Child) -> None:
        """Take a run; returns at once."""
        self._taken += 1
        self._waiting.put(child)

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the thread as long as it gets on."""
        self._waiting.put(None)
        if kind is None:
            patience = self._patience
            while self._thread.is_alive():
                before = self._written
                self._wait_for_more_than(before, patience)
                if self._written == before:
                    break
        else:
            patience = min(self._patience, IN_A_HURRY)
            self._thread.join(patience)
        self._over.set()
        written, lost = self._written, list(self._lost)
        if written == self._taken:
            return
        left = self._taken - written - len(lost)
        said = [f"{len(lost)} could not be written, {lost[0]}"] if lost else []
        said += [f"{left} were not written within {patience:.0f} s"] if left else []
        self._warn(
            f"mlflow: {self._taken - written} of {self._taken} runs below this one are missing: {'; '.join(said)}"
        )

    def _wait_for_more_than(self, written: int, seconds: float) -> None:
        end = time.monotonic() + seconds
        while self._thread.is_alive() and self._written == written and (left := end - time.monotonic()) > 0:
            self._thread.join(min(left, 0.5))

    def _write(self) -> None:
        while (child := self._waiting.get()) is not None and not self._over.is_set():
            try:
                self._run.child(child.name, child.params, child.metrics, child.tags, child.failed)
                self._written += 1
            except Exception as problem:
                self._lost.append(redacted(f"{type(problem).__name__}: {problem}")[:300])
