"""Runs a sender's task in this process: real requests, a real journal, and no Spark."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from synml_dagster.services import Limits, Service
from synml_dagster.services.journal.journal import answers_schema
from synml_dagster.services.journal.place import Place, files_in
from synml_dagster.services.local.sender import LocalSender
from synml_dagster.services.sender import Sender

_TEXT = ("key", "reason", "message", "request_id")
_FLOAT = ("started", "finished", "seconds", "cost")
_LONG = ("input_tokens", "output_tokens", "cached_tokens")
_NAMES = [
    "key",
    "reason",
    "status",
    "message",
    "attempts",
    "request_id",
    "calls",
    "retried",
    "throttled",
    "answered",
    "started",
    "finished",
    "seconds",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cost",
    "sender",
]
LEDGER = pa.schema(
    [
        (n, pa.string() if n in _TEXT else pa.float64() if n in _FLOAT else pa.int64() if n in _LONG else pa.int32())
        for n in _NAMES
    ]
)  # fmt: skip


@dataclass
class Driven:
    lines: list[dict[str, Any]]
    values: dict[str, Any]
    seconds: float

    @property
    def reasons(self) -> list[str | None]:
        return [line["reason"] for line in self.lines]

    def total(self, name: str) -> Any:
        return sum(line[name] for line in self.lines)


def drive(
    service: Service,
    rows: list[dict[str, Any]],
    folder: Any,
    *,
    kind: pa.DataType | None = None,
    limits: Limits | None = None,
    budget: Any = None,
    secret: Any = None,
    run: str = "r1",
    senders: int = 1,
    types: pa.Schema | None = None,
) -> Driven:
    """Return what a sender makes of rows, whose keys are their numbers."""
    place = Place.of(str(folder), service, run)
    place.create("{}")
    schema = answers_schema(kind or pa.string())
    sender = (LocalSender if service.local else Sender)(
        service.model_dump_json(by_alias=True), tuple(service.inputs),
        schema.serialize().to_pybytes(), LEDGER.serialize().to_pybytes(), place,
        limits or service.limits, budget, senders, time.time() + service.policy.deadline, secret, None,
    )  # fmt: skip
    columns = {"key": [str(i) for i in range(len(rows))]}
    columns |= {f"i{i}": [row[name] for row in rows] for i, name in enumerate(service.inputs)}
    batch = pa.RecordBatch.from_pydict(columns)
    began = time.monotonic()
    lines = [
        line
        for out in sender(iter(batch.slice(i, 50) for i in range(0, len(rows), 50)))
        for line in out.to_pylist()
    ]
    seconds = time.monotonic() - began
    parts = [pq.read_table(path) for path in files_in(place.answers, ".parquet")]
    values = {row["key"]: row["value"] for part in parts for row in part.to_pylist()}
    return Driven(lines, values, seconds)
