"""Rows to batches: each row that has no answer, and is in no batch yet, goes into one, once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from synml_dagster.errors import ConfigError
from synml_dagster.services.batches.allowance import Allowance
from synml_dagster.services.batches.client import Address
from synml_dagster.services.batches.records import Record, Records
from synml_dagster.services.batches.rendering import Line, rendered
from synml_dagster.services.batches.repairing import send_repairs, to_repair
from synml_dagster.services.batches.sending import MOST_REQUESTS, Sending
from synml_dagster.services.description import Budget, Key, Service
from synml_dagster.services.secrets import key_here

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


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
    left
        Distinct inputs that the budget left for the next run.
    batches
        The batches that are new at the service.
    """

    rows: int
    distinct: int
    finished: int
    waiting: int
    rejected: int
    left: int
    batches: tuple[Record, ...]

    @property
    def requests(self) -> int:
        """Requests of the new batches."""
        return sum(one.requests for one in self.batches)

    @property
    def expected_tokens(self) -> int:
        """Tokens that the new batches take at the most."""
        return sum(one.expected_tokens for one in self.batches)

    @property
    def expected_cost(self) -> float:
        """What the new batches cost at the most."""
        return sum(one.expected_cost for one in self.batches)


def submit(
    frame: DataFrame,
    service: Service,
    *,
    journal: str,
    input: str | Mapping[str, str] | None = None,
    key: str | Key | None = None,
    window: str = "24h",
    most_requests: int = MOST_REQUESTS,
    budget: Budget | None = None,
    discount: float = 0.5,
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
    budget
        The most that this call, and the repairs of its rows, may spend. A batch cannot be stopped once it is sent: so each request
        counts with its prompt and its longest answer, and rows that the budget does not hold so are left for the next call.
    discount
        The part of the service's prices that batches cost.

    Raises
    ------
    ConfigError
        There is no Batch API for the service, or a column or the key is not there; or a budget bounds what is not known before. Nothing
        was sent.
    SetupError
        The service refuses, or cannot be reached; or another process of this host sends or collects the same batches all the time.
    """
    from synml_dagster.services.columns import opened
    from synml_dagster.services.run import counted

    if not 1 <= most_requests <= MOST_REQUESTS:
        raise ConfigError(f"batch: a batch has 1 to {MOST_REQUESTS} requests, and not {most_requests}")
    Address.of(service)
    rows_of = opened(frame, service, journal=journal, input=input, key=key)
    service, run = rows_of.service, rows_of.run
    allowance = Allowance(budget, service, discount)
    key_here(service.key)
    run.place.create(service.model_dump_json(indent=2, by_alias=True, exclude_defaults=True))
    records = Records(run.place)
    sending = Sending(service, records, run.place.run, window, most_requests)
    with records.turn():
        made = sending.send_planned()
        for record, table in to_repair(records, run.place):
            made += send_repairs(rows_of, sending, record, table, allowance)
        waiting = set[str]().union(*(records.keys(one) for one in records.all() if one.state == "submitted"))
        rows, distinct = counted(rows_of.wanted)
        seen = _Seen()
        todo = run.unfinished(rows_of.wanted).dropDuplicates(["key"])
        made += sending.send_all(
            _new(rendered(todo, service, rows_of.inputs), waiting, allowance, seen), allowance
        )
        records.reject(seen.refused)
        records.leave(seen.left)
    finished = distinct - seen.sent - seen.waiting - len(seen.refused) - len(seen.left)
    return Submitted(rows, distinct, finished, seen.waiting, len(seen.refused), len(seen.left), tuple(made))


@dataclass
class _Seen:
    """What became of the rows that have no answer."""

    sent: int = 0
    waiting: int = 0
    left: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def _new(lines: Iterable[Line], waiting: set[str], allowance: Allowance, seen: _Seen) -> Iterator[Line]:
    """Yield the lines of rows that are in no batch, as far as the budget goes."""
    for line in lines:
        if line.key in waiting:
            seen.waiting += 1
        elif line.refused is not None:
            seen.refused[line.key] = line.refused
        elif allowance.takes(line):
            seen.sent += 1
            yield line
        else:
            seen.left.append(line.key)
