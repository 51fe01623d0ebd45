"""Requests that wait are scored together. Nothing waits for others to come: a single client's request is scored at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from synml_dagster.onnx import ReadRows
from synml_dagster.serving.metrics import ROWS, Metrics
from synml_dagster.serving.model import ServedModel

MOST_ROWS = 256
"""Rows that are scored together where they arrive: about a millisecond. More go to a thread, so that others are read meanwhile."""

Answers = dict[str, list[Any]]
Settle = Callable[[Answers | Exception], None]
_Waiting = tuple[ServedModel, ReadRows, Settle, float]


class Batcher:
    """Scores small requests on the event loop, all those together that arrived in one turn of it.

    The requests of a turn are read before the batch is run, because the run is put behind them in the loop's queue. While it
    runs, others arrive and make the next batch. So there is no timer, and a batch is as large as the load makes it.
    Rows read by different versions are never in one batch.

    Parameters
    ----------
    metrics
        Gets the sizes of batches.
    scored
        Is told after each turn how many requests were scored, and when that began by `time.perf_counter`.
    """

    def __init__(self, metrics: Metrics, scored: Callable[[int, float], None]) -> None:
        self._waiting: list[_Waiting] = []
        self.most_rows = MOST_ROWS
        self._metrics = metrics
        self._scored = scored

    def waited(self, now: float) -> float:
        """Return the seconds that the first of the waiting requests has waited, 0 where none does."""
        return now - self._waiting[0][3] if self._waiting else 0

    def put(self, model: ServedModel, rows: ReadRows, began: float, settle: Settle) -> None:
        """Have the rows of one request scored, which was whole at `began`; `settle` gets the answers, or what went wrong."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._run)
        self._waiting.append((model, rows, settle, began))

    async def score(self, model: ServedModel, rows: ReadRows, began: float) -> Answers:
        """Return the answers of `model` for the rows of one request, which was whole at `began` of `time.perf_counter`."""
        future: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()

        def settle(found: Answers | Exception) -> None:
            if future.done():
                return
            if isinstance(found, Exception):
                future.set_exception(found)
            else:
                future.set_result(found)

        self.put(model, rows, began, settle)
        return await future

    def _run(self) -> None:
        began, requests = time.perf_counter(), len(self._waiting)
        while self._waiting:
            self._run_batch()
        self._scored(requests, began)

    def _run_batch(self) -> None:
        batch: list[_Waiting] = []
        rows, model = 0, self._waiting[0][0]
        for one in self._waiting:
            if one[0] is not model or (batch and rows + one[1].rows > MOST_ROWS):
                break
            batch.append(one)
            rows += one[1].rows
        del self._waiting[: len(batch)]
        self._metrics.observe("synml_batch_rows", rows, ROWS)
        try:
            answers = model.score_all([one[1] for one in batch])
        except Exception as problem:
            if len(batch) == 1:
                batch[0][2](problem)
            else:  # one request must not fail the others
                for one in batch:
                    _alone(one)
            return
        for (_, _, settle, _), answer in zip(batch, answers, strict=True):
            settle(answer)


async def in_thread(pool: Executor, work: Callable[[], Any]) -> Any:
    """Return what `work` does in a thread of `pool`."""
    return await asyncio.get_running_loop().run_in_executor(pool, work)


def _alone(waiting: _Waiting) -> None:
    model, rows, settle, _ = waiting
    try:
        answer = model.score_all([rows])[0]
    except Exception as problem:
        settle(problem)
        return
    settle(answer)
