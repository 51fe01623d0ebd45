"""Runs below a run, written by a thread of their own: a sweep does not wait for MLflow, and does not fail for it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from synml_dagster.redaction import redacted
from synml_dagster.resources.mlflow_run import MLflowRun

_SECONDS = 60.0
"""How long the end waits for what is still to be written."""


@dataclass(frozen=True)
class Child:
    """A finished run to write."""

    name: str
    params: Mapping[str, Any]
    metrics: Mapping[str, float | None]
    tags: Mapping[str, str]
    failed: bool = False


class ChildRuns:
    """Takes children in the block and writes them below `run`; what could not be written is said at its end.

    Parameters
    ----------
    warn
        Gets one sentence where runs are missing.
    """

    def __init__(self, run: MLflowRun, warn: Callable[[str], None]) -> None:
        self._run, self._warn = run, warn
        self._waiting: queue.SimpleQueue[Child | None] = queue.SimpleQueue()
        self._lost: list[str] = []
        self._left = 0
        self._thread = threading.Thread(target=self._write, name="mlflow-children", daemon=True)

    def __enter__(self) -> ChildRuns:
        """Start the thread."""
        self._thread.start()
        return self

    def add(self, child: Child) -> None:
        """Take a run; returns at once."""
        self._left += 1
        self._waiting.put(child)

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the thread, a minute at most."""
        self._waiting.put(None)
        self._thread.join(_SECONDS)
        if self._thread.is_alive():
            self._warn(f"mlflow: {self._left} runs were not written within {_SECONDS:.0f} s")
        elif self._lost:
            self._warn(f"mlflow: {len(self._lost)} runs could not be written: {self._lost[0]}")

    def _write(self) -> None:
        while (child := self._waiting.get()) is not None:
            try:
                self._run.child(child.name, child.params, child.metrics, child.tags, child.failed)
            except Exception as problem:
                self._lost.append(redacted(f"{type(problem).__name__}: {problem}")[:300])
            self._left -= 1
