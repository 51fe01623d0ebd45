"""Rows to batches: each row that has no answer, and is in no batch yet, goes into one, once."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from synml_dagster.errors import ConfigError
from synml_dagster.services.batches.client import Address, Client, asked, check_key
from synml_dagster.services.batches.records import Record, Records
from synml_dagster.services.description import InputError, Key, Service
from synml_dagster.services.engine.request import Renderer

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

MOST_REQUESTS = 50_000
"""Requests of one batch."""

_MOST_BYTES = 190_000_000  # of 200 MB


@dataclass(frozen=True)
class Submitted:
    """What a call of `submit` has done.

    Attributes
    ----------
    rows, distinct
        Rows of the table, and distinct inputs among them.
    finished
        Distinct inputs that had an answer in the journal.
    waiting
        Distinct inputs that are in batches of before.
    rejected
        Distinct inputs that no request can hold.
    batches
        The batches that are new at the service.
    """

    rows: int
    distinct: int
    finished: int
    waiting: int
    rejected: int
    batches: tuple[Record, ...]

    @property
    def requests(self) -> int:
        """Requests of the new batches."""
        return sum(one.requests for one in self.batches)


def submit(
    frame: DataFrame,
    service: Service,
    *,
    journal: str,
    input: str | Mapping[str, str] | None = None,
    key: str | Key | None = None,
    window: str = "24h",
    most_requests: int = MOST_REQUESTS,
) -> Submitted:
    """Send the rows of a table to a service's Batch API: those that have no answer in the journal, and are in no batch.

    A batch is written down before it is sent, and its mark stands in its metadata. A call that is killed at any place is gone on with by
    the next one, which looks for the mark at the service before it sends anything.

    Parameters
    ----------
    frame
        The rows.
    service
        `openai.chat(...)`, `openai.responses(...)` or `openai.embeddings(...)`.
    journal, input, key
        As for `call_service`, with the same journal: what a batch has answered, no request asks for again.
    window
        How long the service may take.
    most_requests
        Requests of one batch.

    Raises
    ------
    ConfigError
        There is no Batch API for the service, or a column or the key is not there. Nothing was sent.
    SetupError
        The service refuses, or cannot be reached.
    """
    from synml_dagster.services.columns import opened
    from synml_dagster.services.run import counted

    if not 1 <= most_requests <= MOST_REQUESTS:
        raise ConfigError(f"batch: a batch has 1 to {MOST_REQUESTS} requests, and not {most_requests}")
    Address.of(service)
    rows_of = opened(frame, service, journal=journal, input=input, key=key)
    service, run = rows_of.service, rows_of.run
    check_key(service)
    run.place.create(service.model_dump_json(indent=2, by_alias=True, exclude_defaults=True))
    records = Records(run.place)
    # What an earlier call has planned, it may have submitted, too.
    made = [
        _send(service, records, one, window, new=False) for one in records.all() if one.state == "planned"
    ]
    waiting = set[str]().union(*(records.keys(one) for one in records.all() if one.state == "submitted"))
    rows, distinct = counted(rows_of.wanted)
    seen = _Seen()
    todo = run.unfinished(rows_of.wanted).dropDuplicates(["key"])
    render = _Render(service.model_dump_json(by_alias=True), rows_of.inputs)
    lines = todo.mapInArrow(render, "key string, line string, refused string").toLocalIterator()
    for requests in _files(_new(lines, waiting, seen), most_requests):
        seen.sent += len(requests)
        made.append(_send(service, records, _plan(records, requests), window, new=True))
    records.reject(seen.refused)
    finished = distinct - seen.sent - seen.waiting - len(seen.refused)
    return Submitted(rows, distinct, finished, seen.waiting, len(seen.refused), tuple(made))


@dataclass(frozen=True)
class _Render:
    """Makes the requests of rows in a task, from the same values as a sender does."""

    service: str
    inputs: tuple[str, ...]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        service = Service.model_validate_json(self.service)
        renderer, endpoint = Renderer(service), Address.of(service).endpoint
        schema = pa.schema([(name, pa.string()) for name in ("key", "line", "refused")])
        for batch in batches:
            made = []
            for row in batch.to_pylist():
                key, *values = row.values()
                line, refused = None, None
                try:
                    body = _body(renderer, service, dict(zip(self.inputs, values, strict=True)))
                    told = {"custom_id": key, "method": "POST", "url": endpoint, "body": body}
                    line = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
                except InputError as problem:
                    refused = str(problem)
                made.append({"key": key, "line": line, "refused": refused})
            yield pa.RecordBatch.from_pylist(made, schema)


def _body(renderer: Renderer, service: Service, row: Mapping[str, Any]) -> Any:
    if service.documents is None:
        return renderer.request(row).json
    document, _, _ = renderer.document(row)
    return renderer.together([document], row).json


@dataclass
class _Seen:
    """What became of the rows that have no answer."""

    sent: int = 0
    waiting: int = 0
    refused: dict[str, str] = field(default_factory=dict)


def _new(rows: Iterable[Any], waiting: set[str], seen: _Seen) -> Iterator[tuple[str, bytes]]:
    """Yield the lines of rows that are in no batch."""
    for key, line, refused in rows:
        if key in waiting:
            seen.waiting += 1
        elif refused is not None:
            seen.refused[key] = refused
        else:
            yield key, line.encode() + b"\n"


def _files(lines: Iterator[tuple[str, bytes]], most: int) -> Iterator[list[tuple[str, bytes]]]:
    """Yield the lines of one batch after the other."""
    some: list[tuple[str, bytes]] = []
    size = 0
    for key, line in lines:
        if some and (len(some) >= most or size + len(line) > _MOST_BYTES):
            yield some
            some, size = [], 0
        some.append((key, line))
        size += len(line)
    if some:
        yield some


def _plan(records: Records, requests: list[tuple[str, bytes]]) -> Record:
    import pyarrow as pa

    content = b"".join(line for _, line in requests)
    # The time is in it: the same rows may be asked for once more, where an earlier batch has failed them.
    now = time.time()
    digest = hashlib.sha256(content + repr(now).encode()).hexdigest()[:32]
    record = Record(digest, len(requests), now)
    records.plan(record, pa.table({"key": [key for key, _ in requests]}), content)
    return record


def _send(service: Service, records: Records, record: Record, window: str, *, new: bool) -> Record:
    """Bring a planned batch to the service, unless it is there."""

    async def work(client: Client) -> dict[str, Any]:
        there = None if new else await client.find(record.digest)
        if there is not None:
            return there
        file = await client.upload(records.requests(record), f"synml-{record.digest}.jsonl")
        return await client.create(file, record.digest, window)

    told = asked(service, work)
    return records.submitted(record, str(told["id"]), str(told.get("status") or "validating"))
