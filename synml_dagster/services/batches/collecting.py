"""What batches have answered, into the journal; and the table with a value or an error for each row."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from synml_dagster.services.answers.reading import Reader
from synml_dagster.services.answers.repair import Repairer
from synml_dagster.services.batches.allowance import Allowance, reduced
from synml_dagster.services.batches.client import Address, Client, asked
from synml_dagster.services.batches.records import ENDED, Record, Records
from synml_dagster.services.batches.repairing import (
    broken_row,
    broken_table,
    send_repairs,
    to_repair,
    with_before,
)
from synml_dagster.services.batches.sending import Sending
from synml_dagster.services.description import Budget, Key, Service
from synml_dagster.services.description.paths import MISSING, find
from synml_dagster.services.engine.outcome import Outcome, RowError, Tally
from synml_dagster.services.engine.transport import Reply
from synml_dagster.services.journal.journal import answered_keys, writer
from synml_dagster.services.sender import answers_batch, ledger_line

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

    from synml_dagster.services.columns import Answers, Opened
    from synml_dagster.services.journal.journal import Writer
    from synml_dagster.services.run import Run

_AT_ONCE = 2000

_SUMS = ("calls", "answered", "input_tokens", "output_tokens", "cached_tokens", "cost")
_NUMBERS = (*_SUMS, "started", "finished")

_BEFORE = -1
"""The sender of rows that an earlier call has told of."""


def collect(
    frame: DataFrame,
    service: Service,
    *,
    output: str,
    journal: str,
    input: str | Mapping[str, str] | None = None,
    key: str | Key | None = None,
    usage: bool = False,
    discount: float = 0.5,
    window: str = "24h",
    budget: Budget | None = None,
) -> Answers:
    """Return the rows of a table with what batches have answered. It sends nothing but repairs.

    Batches that have ended are fetched into the journal, where they count as any answers do. Answers that do not fit their schema are
    asked for once more, in a batch that goes out now, with what came and what is wrong with it. A row has an error where its request
    failed, where its batch or its repair has not ended (`waiting`), where the budget left it for the next `submit`, and where it is in
    no batch (`not_sent`). The next `submit` sends those that failed once more. The report has what batches took that no report of before
    has had.

    Parameters
    ----------
    frame, service, output, journal, input, key, usage
        As for `call_service`.
    discount
        The part of the service's prices that batches cost.
    window
        How long the service may take for repairs.
    budget
        That of `submit`: repairs are paid from what the call of `submit` that sent the rows has left.

    Raises
    ------
    ConfigError
        The budget bounds what is not known before.
    SetupError
        The service refuses, or cannot be reached; or another process of this host sends or collects the same batches all the time. What
        was fetched is kept.
    """
    from synml_dagster.services.columns import Answers, opened
    from synml_dagster.services.report import report_of
    from synml_dagster.services.run import counted

    began = time.time()
    Address.of(service)
    rows_of = opened(frame, service, journal=journal, input=input, key=key, output=output, usage=usage)
    full = rows_of.service
    Allowance(budget, full, discount)  # what cannot be is said before anything is fetched
    service = full.model_copy(update={"prices": reduced(full.prices, discount)})
    run = rows_of.run
    run.place.create(service.model_dump_json(indent=2, by_alias=True, exclude_defaults=True))
    records = Records(run.place)
    with records.turn():
        _fetch_all(service, records, run)
        _repair(rows_of, records, window, budget, discount)
        all = records.all()
        run.told(_ledger(records, all, run))
        for one in all:
            if not one.told:
                records.keep(replace(one, told=True))
    rows, distinct = counted(rows_of.wanted)
    report = report_of(
        _of_this_call(run.ledger(), rows_of.wanted), rows, distinct, run.bounds, time.time() - began
    )
    return Answers(rows_of.joined(output, usage), report)


def _repair(rows_of: Opened, records: Records, window: str, budget: Budget | None, discount: float) -> None:
    """Ask for answers again that broke the schema; each run's repairs are paid from its own budget."""
    for one in records.all():
        if one.state == "planned" and one.repair:
            Sending(rows_of.service, records, one.run, window).send(one, new=False)
    for record, table in to_repair(records, rows_of.run.place):
        before = [one for one in records.all() if one.run == record.run]
        allowance = Allowance(budget, rows_of.service, discount, before)
        sending = Sending(rows_of.service, records, record.run, window)
        send_repairs(rows_of, sending, record, table, allowance)


def _fetch_all(service: Service, records: Records, run: Run) -> None:
    """Bring in the batches that have ended, one after the other."""
    waiting = [one for one in records.all() if one.state == "submitted"]
    if not waiting:
        return

    async def work(client: Client) -> None:
        for record in waiting:
            try:
                now = await client.batch(str(record.batch))
                if now.get("status") in ENDED:
                    await _fetch(client, records, record, now, run)
            except RowError as problem:
                problem.message = f"{record.batch}: {problem.message}{_forgotten(records, record, problem)}"
                raise

    asked(service, work)


def _forgotten(records: Records, record: Record, problem: RowError) -> str:
    """Return what to do about a batch that the service knows no more."""
    if problem.status != 404:
        return ""
    return f". The service knows the batch, or its answers, no more. Remove {records.folder}/{record.digest}.json, and its rows are sent once more."


async def _fetch(client: Client, records: Records, record: Record, now: dict[str, Any], run: Run) -> None:
    """Keep a batch's answers and errors; its record counts it as collected once both are kept."""
    import pyarrow as pa

    service, left = client.service, records.keys(record)
    repairer = Repairer(service.answer.repair)
    before = (
        {row["key"]: row for row in records.table(f"{record.digest}.keys.parquet").to_pylist()}
        if record.repair
        else {}
    )
    broken: list[dict[str, Any]] = []
    reader = Reader(service.answer, run.schema.field("value").type)
    outcomes: list[Outcome] = []
    good: list[Outcome] = []
    with closing(writer(run.place, run.schema)) as journal:
        for name in ("output_file_id", "error_file_id"):
            file = now.get(name)
            for told in _lines(await client.content(str(file))) if file else ():
                if told.get("custom_id") not in left:
                    continue
                left.discard(told["custom_id"])
                outcome = _outcome(told, client, reader, now)
                outcomes.append(outcome)
                if again := broken_row(outcome, repairer, before.get(outcome.key), record.repair):
                    broken.append(again)
                elif outcome.error is None:
                    good.append(with_before(outcome, before.get(outcome.key)))
                    outcome.value = None  # it may be large, and the ledger has no use for it
                if len(good) >= _AT_ONCE:
                    _keep(journal, good, run, service)
                    good = []
        if good:
            _keep(journal, good, run, service)
    said = find(now, "errors.data[0].message")
    more = f": {client.caller.shown(said)}" if isinstance(said, str) else ""
    for key in sorted(left):
        outcomes.append(
            Outcome(
                key,
                error=RowError(
                    "failed", f"the batch {record.batch} is {now.get('status')}, without an answer{more}"
                ),
            )
        )
    if broken:
        records.put_table(f"{record.digest}.broken.parquet", broken_table(broken))
    lines = [ledger_line(one, service, 0) for one in outcomes]
    records.put_table(f"{record.digest}.ledger.parquet", pa.Table.from_pylist(lines, run.ledger_schema))
    failed = sum(one.error is not None for one in outcomes)
    done = replace(
        record,
        state="collected",
        status=str(now.get("status")),
        answered=len(outcomes) - failed,
        failed=failed,
        took_tokens=sum(line["input_tokens"] + line["output_tokens"] for line in lines),
        took_cost=sum(line["cost"] for line in lines),
        broken=len(broken),
        told=False,
    )
    records.keep(done)


def _keep(journal: Writer, good: list[Outcome], run: Run, service: Service) -> None:
    journal.append(answers_batch(good, run.schema, service.prices))


def _lines(content: bytes) -> Iterator[dict[str, Any]]:
    for line in content.split(b"\n"):
        if line.strip():
            try:
                told = json.loads(line)
            except ValueError:
                continue  # its row is then one without an answer
            if isinstance(told, dict):
                yield told


def _outcome(told: dict[str, Any], client: Client, reader: Reader, now: dict[str, Any]) -> Outcome:
    """Return what a line of an output or error file says about its row."""
    times = [
        one if isinstance(one, int | float) else None
        for one in (now.get("in_progress_at"), now.get("completed_at"))
    ]
    outcome = Outcome(
        str(told["custom_id"]),
        attempts=1,
        tally=Tally(calls=1, started=times[0], finished=times[1] or time.time()),
    )
    response = told.get("response")
    if not isinstance(response, dict):
        code, message = find(told, "error.code"), find(told, "error.message")
        said = client.caller.shown(message) if isinstance(message, str) else "nothing"
        outcome.error = RowError("failed", f"{code if isinstance(code, str) else 'no answer'}: {said}")
        return outcome
    status, body = response.get("status_code"), response.get("body", MISSING)
    outcome.request_id = response.get("request_id") if isinstance(response.get("request_id"), str) else None
    if not isinstance(status, int) or not 200 <= status < 300:
        reply = Reply(status if isinstance(status, int) else 0, {}, b"", 0.0)
        outcome.error = client.caller.problem(reply, body)
        outcome.error.request_id = outcome.request_id
        return outcome
    outcome.tally.answered = 1
    client.caller.count(body, outcome.tally)
    try:
        documents = client.service.documents
        if documents is not None:
            answers = find(body, documents.answers)
            body = answers[0] if isinstance(answers, list) and len(answers) == 1 else MISSING
        if body is MISSING:
            raise RowError("malformed", "the answer could not be read", status=status)
        outcome.value = reader.value(body)
    except RowError as problem:
        problem.request_id = problem.request_id or outcome.request_id
        outcome.error = problem
    return outcome


def _ledger(records: Records, all: list[Record], run: Run) -> pa.Table:
    """Return the lines of rows of batches that no report has had, and the errors of before that still stand."""
    import pyarrow as pa

    answered = answered_keys(run.place)
    told = run.bounds.service
    lines: dict[str, dict[str, Any]] = {}
    counted: set[str] = set()

    def say(key: str, reason: str, message: str) -> None:
        """Say why a row has no answer yet; what it took just now is kept."""
        line = ledger_line(Outcome(key, error=RowError(reason, message)), told, 0)
        lines[key] = line | {name: lines[key][name] for name in (_NUMBERS if key in counted else ())}

    for key, message in records.rejected().items():
        say(key, "input", message)
    for key in records.left():
        say(
            key, "budget", "the budget of the last submission did not hold it; the next one goes on from here"
        )
    for record in all:
        if record.state == "collected":
            for line in records.table(f"{record.digest}.ledger.parquet").to_pylist():
                key = line["key"]
                if not record.told:
                    more = lines[key] if key in counted else {}
                    lines[key] = line | {name: line[name] + more[name] for name in _SUMS if more}
                    counted.add(key)
                elif line["reason"] is not None:
                    lines[key] = line | {"sender": _BEFORE}
        else:
            what = "the repair of its answer, in" if record.repair else "the"
            for key in records.keys(record):
                say(
                    key,
                    "waiting",
                    f"{what} batch {record.batch or record.digest}{',' * bool(record.repair)} has not ended",
                )
    kept = [line for key, line in lines.items() if line["reason"] is None or key not in answered]
    return pa.Table.from_pylist(kept, run.ledger_schema)


def _of_this_call(ledger: DataFrame, wanted: DataFrame) -> DataFrame:
    """Return the lines of a ledger as this call's report counts them.

    What rows took that failed before was in the report of then; and errors of rows that have left the table are no errors of it.
    """
    from pyspark.sql import functions as sf

    new = sf.col("sender") != _BEFORE
    numbers = [sf.when(new, sf.col(name)).alias(name) for name in _NUMBERS]
    told = ledger.select(*(name for name in ledger.columns if name not in _NUMBERS), *numbers)
    paid = sf.coalesce(sf.col("calls"), sf.lit(0)) > 0
    return told.where(paid).unionByName(told.where(~paid).join(wanted.select("key"), "key", "left_semi"))
