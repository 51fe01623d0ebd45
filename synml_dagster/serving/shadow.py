"""The challenger in shadow: it scores the rows that were answered, behind the answers, and both answers go to a table."""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from synml_dagster.files.filesystems import filesystem_of, is_remote, normal_path
from synml_dagster.redaction import redacted
from synml_dagster.serving.metrics import Metrics
from synml_dagster.serving.model import ServedModel
from synml_dagster.serving.rows import Rows
from synml_dagster.serving.swap import Deployment

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger("synml_dagster.serving")

_ROWS_A_FILE = 50_000
_MOST_BYTES = 64 * 2**20
"""Of the bodies whose rows wait."""


@dataclass(frozen=True)
class Answered:
    """A request that was answered: its rows as they came, who answered, and what; `size` is that of its body in bytes."""

    at: datetime
    request: str
    model: ServedModel
    rows: Rows
    answers: Mapping[str, list[Any]]
    size: int = 0


class Shadow:
    """Scores answered rows by a second model in a thread of its own, and writes both answers as Parquet files.

    A request never waits for it. Where it falls behind, rows are dropped and counted; what was scored is written every
    `seconds`, and when the server stops. Files appear whole.

    Parameters
    ----------
    deployment
        The second model; its alias may move, too.
    folder
        Where files are written: a local folder or one of an object store. Any Parquet reader takes it as one table.
    metrics
        Gets `synml_shadow_rows_total` by outcome: `logged`, `dropped` (the queue was full), `failed` (the second model has no
        answer; the row is logged, with the reason) and `lost` (the file could not be written).
    most_rows
        Rows that may wait.
    seconds
        After which rows are written at the latest.
    keep
        Columns of the requests that are written along, as text.
    """

    def __init__(
        self,
        deployment: Deployment,
        folder: str,
        metrics: Metrics,
        most_rows: int = 10_000,
        seconds: float = 60,
        keep: tuple[str, ...] = (),
    ) -> None:
        self.deployment = deployment
        self.folder = normal_path(folder)
        self._metrics = metrics
        self._most_rows, self._seconds, self._keep = most_rows, seconds, keep
        self._queue: queue.SimpleQueue[Answered | None] = queue.SimpleQueue()
        self._waiting, self._bytes = 0, 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._scored: list[tuple[pa.Schema, list[dict[str, Any]]]] = []
        self._filled = 0
        metrics.describe("synml_shadow_rows_total", "Rows of the second model by what became of them.")
        metrics.gauge("synml_shadow_rows_waiting", lambda: [((), self._waiting)])
        for outcome in ("logged", "dropped", "failed", "lost"):
            metrics.add("synml_shadow_rows_total", 0, outcome=outcome)

    def start(self) -> None:
        """Begin to score and write."""
        self.deployment.start()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="synml-shadow", daemon=True)
            self._thread.start()

    def stop(self, seconds: float) -> None:
        """Score and write what waits, for `seconds` at the most; what is left then is counted as dropped."""
        self.deployment.stop()
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._queue.put(None)
        thread.join(seconds)
        if thread.is_alive():
            with self._lock:
                left = self._waiting
            self._metrics.add("synml_shadow_rows_total", left, outcome="dropped")
            log.error("shadow: %d rows were not scored within %g s", left, seconds)

    def offer(self, answered: Answered) -> None:
        """Take an answered request, or drop and count it where too many rows wait."""
        count = answered.rows.count
        with self._lock:
            full = self._waiting + count > self._most_rows or self._bytes + answered.size > _MOST_BYTES
            if not full:
                self._waiting += count
                self._bytes += answered.size
        if full:
            self._metrics.add("synml_shadow_rows_total", count, outcome="dropped")
        else:
            self._queue.put(answered)

    def _work(self) -> None:
        due = time.monotonic() + self._seconds
        while True:
            try:
                found = self._queue.get(timeout=max(0.05, due - time.monotonic()))
            except queue.Empty:
                found = None
                ended = False
            else:
                ended = found is None
            if found is not None:
                self._score(found)
                with self._lock:
                    self._waiting -= found.rows.count
                    self._bytes -= found.size
            if ended or time.monotonic() >= due or self._filled >= _ROWS_A_FILE:
                self._write()
                due = time.monotonic() + self._seconds
            if ended:
                return

    def _score(self, given: Answered) -> None:
        second = self.deployment.current
        told = None
        answers: Mapping[str, list[Any]] = {}
        try:
            answers = second.score(second.read(given.rows))
        except Exception as problem:
            told = redacted(str(problem))[:500]
            self._metrics.add("synml_shadow_rows_total", given.rows.count, outcome="failed")
        schema = self._schema(given.model, second)
        rows = []
        for i in range(given.rows.count):
            row = {"at": given.at, "request": given.request, "row": i, "model": given.model.name}
            row |= {
                "version": given.model.version,
                "shadow_model": second.name,
                "shadow_version": second.version,
            }
            row |= {name: values[i] for name, values in given.answers.items()}
            row |= {f"shadow_{name}": values[i] for name, values in answers.items()}
            row["shadow_error"] = told
            for name in self._keep:
                value = given.rows.columns[name][i] if name in given.rows.columns else None
                row[f"request_{name}"] = None if value is None else str(value)
            rows.append(row)
        if self._scored and self._scored[-1][0].equals(schema):
            self._scored[-1][1].extend(rows)
        else:
            self._scored.append((schema, rows))
        self._filled += len(rows)

    def _schema(self, first: ServedModel, second: ServedModel) -> pa.Schema:
        import pyarrow as pa

        text = ("request", "model", "version", "shadow_model", "shadow_version")
        fields = [
            ("at", pa.timestamp("us", "UTC")),
            ("row", pa.int32()),
            *((name, pa.string()) for name in text),
        ]
        fields += [(item.name, item.type) for item in first.schema]
        fields += [(f"shadow_{item.name}", item.type) for item in second.schema]
        fields += [("shadow_error", pa.string()), *((f"request_{name}", pa.string()) for name in self._keep)]
        return pa.schema(fields)

    def _write(self) -> None:
        scored, self._scored, self._filled = self._scored, [], 0
        for schema, rows in scored:
            try:
                self._write_file(schema, rows)
            except Exception as problem:
                self._metrics.add("synml_shadow_rows_total", len(rows), outcome="lost")
                log.error(
                    "shadow: %d rows could not be written to %s: %s",
                    len(rows),
                    redacted(self.folder),
                    redacted(str(problem)),
                )
            else:
                self._metrics.add("synml_shadow_rows_total", len(rows), outcome="logged")

    def _write_file(self, schema: pa.Schema, rows: list[dict[str, Any]]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}.parquet"
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink)
        content = sink.getvalue().to_pybytes()
        if is_remote(self.folder):
            filesystem, inside = filesystem_of(self.folder)
            filesystem.pipe_file(f"{inside}/{name}", content)
            return
        os.makedirs(self.folder, exist_ok=True)
        # Readers pass over names that begin with a dot, and see the file once it is whole.
        hidden = os.path.join(self.folder, f".{name}")
        with open(hidden, "wb") as file:
            file.write(content)
        os.replace(hidden, os.path.join(self.folder, name))
