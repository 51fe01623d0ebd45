"""What runs in a Spark task: rows in, a line of the ledger for each out, and answers into the journal on the way."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from synml_dagster.services.description import Budget, InputError, Limits, Prices, Service
from synml_dagster.services.engine.asker import Asker, Item
from synml_dagster.services.engine.caller import Caller
from synml_dagster.services.engine.outcome import Outcome
from synml_dagster.services.engine.pace import CoolDown, Gate
from synml_dagster.services.engine.request import Renderer
from synml_dagster.services.engine.spend import Purse
from synml_dagster.services.engine.transport import Transport
from synml_dagster.services.engine.window import Window, Work
from synml_dagster.services.journal.journal import finished_keys, writer
from synml_dagster.services.journal.place import Place

if TYPE_CHECKING:
    import pyarrow as pa

    from synml_dagster.services.journal.journal import Writer
    from synml_dagster.services.secrets import SecretReference

_ROWS_A_BATCH = 512


@dataclass(frozen=True)
class Sender:
    """The function that a task maps over its rows: their key first, then the service's inputs.

    Attributes
    ----------
    service
        The description, as JSON.
    inputs
        The service's names of the inputs, in the order of the columns.
    answers, ledger
        Arrow schemas of the journal's answers and of what is yielded, serialized.
    """

    service: str
    inputs: tuple[str, ...]
    answers: bytes
    ledger: bytes
    place: Place
    limits: Limits
    budget: Budget | None
    senders: int
    run_end: float
    secret: SecretReference | None
    cool_down: str | None

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Send what the rows ask for, and yield what became of them."""
        import pyarrow as pa
        from pyspark import TaskContext

        first = next((batch for batch in batches if batch.num_rows), None)
        if first is None:
            return
        context = TaskContext.get()
        number = 0 if context is None else context.partitionId()
        service = Service.model_validate_json(self.service)
        answers = pa.ipc.read_schema(pa.py_buffer(self.answers))
        ledger = pa.ipc.read_schema(pa.py_buffer(self.ledger))
        done = finished_keys(self.place, answers)
        journal = writer(self.place, answers)
        rows = ((key, row) for key, row in self.rows(first, batches) if key not in done)
        lines: list[dict[str, Any]] = []
        try:
            for outcomes in self.outcomes(rows, service, answers, journal, number):
                lines += [ledger_line(outcome, service, number) for outcome in outcomes]
                if len(lines) >= _ROWS_A_BATCH:
                    yield pa.RecordBatch.from_pylist(lines, ledger)
                    lines = []
        finally:
            journal.close()
        if lines:
            yield pa.RecordBatch.from_pylist(lines, ledger)

    def outcomes(
        self,
        rows: Iterator[tuple[str, Mapping[str, Any]]],
        service: Service,
        answers: pa.Schema,
        journal: Writer,
        number: int,
    ) -> Iterator[list[Outcome]]:
        """Yield what became of rows that have no answer yet; the answers go into the journal.

        `number` is that of the task among the senders.
        """
        work = _Opened(self, service, answers, number, journal)
        limits = self.limits.share(number, self.senders)
        window: Window[Item, list[Outcome]] = Window(limits.in_flight, work, self.run_end - time.time() + 120)
        yield from window.map(items(service, rows))

    def rows(
        self, first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield each row's key and inputs."""
        batch: pa.RecordBatch | None = first
        while batch is not None:
            names = ["", *self.inputs]
            for row in batch.rename_columns([str(i) for i in range(len(names))]).to_pylist():
                key, *values = row.values()
                yield key, dict(zip(self.inputs, values, strict=True))
            batch = next(rest, None)


class _Opened:
    """Opens what the requests of one task share; called on the loop that sends them."""

    def __init__(
        self, sender: Sender, service: Service, answers: pa.Schema, number: int, journal: Writer
    ) -> None:
        self.sender, self.service, self.answers, self.number, self.journal = (
            sender,
            service,
            answers,
            number,
            journal,
        )

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[Work[Item, list[Outcome]]]:
        sender, service, dice = self.sender, self.service, random.Random()
        secret = sender.secret.resolve() if sender.secret else None
        header = (service.key.header, service.key.prefix + secret) if secret and service.key else None
        gate = Gate(
            sender.limits.share(self.number, sender.senders), sender.limits, CoolDown(sender.cool_down), dice
        )
        purse = Purse(
            sender.budget.share(self.number, sender.senders) if sender.budget else None, service.prices
        )
        transport = Transport(
            secret=header,
            most_bytes=service.policy.most_bytes,
            schemes=service.schemes,
            private=service.private_addresses,
        )
        async with transport:
            caller = Caller(service, transport, gate, purse, dice, secret)
            asker = Asker(service, self.answers.field("value").type, caller, sender.run_end)

            kept = _Keeper(self.journal, self.answers, service)

            async def work(item: Item) -> list[Outcome]:
                outcomes = await asker.ask(item)
                if good := [one for one in outcomes if one.error is None]:
                    await kept.keep(good)
                return outcomes

            yield work


class _Keeper:
    """Journals what is finished, all of one turn of the loop together: a place is free again once its answer is kept."""

    def __init__(self, journal: Writer, schema: pa.Schema, service: Service) -> None:
        self.journal, self.schema, self.prices = journal, schema, service.prices
        self._waiting: list[Outcome] = []
        self._kept: asyncio.Future[None] | None = None

    async def keep(self, outcomes: list[Outcome]) -> None:
        """Return once the outcomes are in the journal."""
        self._waiting += outcomes
        if self._kept is None:
            loop = asyncio.get_running_loop()
            self._kept = loop.create_future()
            loop.call_soon(self._write)
        await asyncio.shield(self._kept)

    def _write(self) -> None:
        kept, self._kept = self._kept, None
        assert kept is not None
        rows, self._waiting = self._waiting, []
        try:
            self.journal.append(answers_batch(rows, self.schema, self.prices))
        except Exception as problem:
            kept.set_exception(problem)
            return
        for one in rows:
            one.value = None  # it may be large, and the ledger has no use for it
        kept.set_result(None)


def answers_batch(rows: list[Outcome], schema: pa.Schema, prices: Prices) -> pa.RecordBatch:
    """Return finished rows as the journal keeps them."""
    import pyarrow as pa

    tallies = [one.tally for one in rows]
    columns: list[list[Any]] = [
        [one.key for one in rows], [one.value for one in rows], [one.attempts for one in rows], [one.request_id for one in rows],
        [t.input_tokens for t in tallies], [t.output_tokens for t in tallies], [t.cached_tokens for t in tallies],
        [t.cost(prices) for t in tallies], [t.finished for t in tallies],
    ]  # fmt: skip
    arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def items(service: Service, rows: Iterator[tuple[str, Mapping[str, Any]]]) -> Iterator[Item]:
    """Yield what goes into one request each."""
    told = service.documents
    if told is None:
        for key, row in rows:
            yield Item([key], [row])
        return
    renderer = Renderer(service)
    item, size, tokens = Item([], []), 0, 0
    for key, row in rows:
        document: Any
        try:
            document, bytes_, weight = renderer.document(row)
        except InputError as problem:
            document, bytes_, weight = problem, 0, 0
        full = len(item.keys) >= told.most or size + bytes_ > told.most_bytes
        if item.keys and (full or (told.most_tokens is not None and tokens + weight > told.most_tokens)):
            yield item
            item, size, tokens = Item([], []), 0, 0
        item.keys.append(key)
        item.rows.append(row)
        item.documents.append(document)
        item.weights.append(weight)
        size, tokens = size + bytes_, tokens + weight
    if item.keys:
        yield item


def ledger_line(outcome: Outcome, service: Service, sender: int) -> dict[str, Any]:
    """Return the line of the ledger that says what became of a row."""
    tally, error = outcome.tally, outcome.error
    return {
        "key": outcome.key,
        "reason": error and error.reason, "status": error and error.status, "message": error and error.message,
        "attempts": outcome.attempts, "request_id": outcome.request_id or (error and error.request_id),
        "calls": tally.calls, "retried": tally.retried, "throttled": tally.throttled, "answered": tally.answered,
        "started": tally.started, "finished": tally.finished, "seconds": tally.seconds,
        "input_tokens": tally.input_tokens, "output_tokens": tally.output_tokens, "cached_tokens": tally.cached_tokens,
        "cost": tally.cost(service.prices), "sender": sender,
    }  # fmt: skip
