"""What batches have answered, into the journal; and the table with a value or an error for each row."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from synml_dagster.files.filesystems import filesystem_of
from synml_dagster.services.answers.reading import Reader
from synml_dagster.services.batches.client import Address, Client, asked
from synml_dagster.services.batches.records import ENDED, Record, Records
from synml_dagster.services.description import Key, Prices, Service
from synml_dagster.services.description.paths import MISSING, find
from synml_dagster.services.engine.outcome import Outcome, RowError, Tally
from synml_dagster.services.engine.transport import Reply
from synml_dagster.services.journal.journal import writer
from synml_dagster.services.journal.place import files_in
from synml_dagster.services.sender import answers_batch, ledger_line

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from synml_dagster.services.columns import Answers
    from synml_dagster.services.run import Run

_AT_ONCE = 2000


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
) -> Answers:
    """Return the rows of a table with what batches have answered, and send none.

    Batches that have ended are fetched into the journal, where they count as any answers do. A row has an error where its request
    failed, where its batch has not ended (`waiting`), and where it is in no batch (`not_sent`). The next `submit` sends those that
    failed once more.

    Parameters
    ----------
    frame, service, output, journal, input, key, usage
        As for `call_service`.
    discount
        The part of the service's prices that batches cost.

    Raises
    ------
    SetupError
        The service refuses, or cannot be reached. What was fetched is kept.
    """
    from synml_dagster.services.columns import Answers, opened
    from synml_dagster.services.report import report_of
    from synml_dagster.services.run import counted

    began = time.time()
    Address.of(service)
    rows_of = opened(frame, service, journal=journal, input=input, key=key, output=output, usage=usage)
    prices = rows_of.service.prices
    service = rows_of.service.model_copy(update={"prices": _reduced(prices, discount)})
    run = rows_of.run
    run.place.create(service.model_dump_json(indent=2, by_alias=True, exclude_defaults=True))
    records = Records(run.place)
    new = _fetch_all(service, records, run)
    run.told(_ledger(records, run, new))
    rows, distinct = counted(rows_of.wanted)
    report = report_of(run.ledger(), rows, distinct, run.sending, time.time() - began)
    return Answers(rows_of.joined(output, usage), report)


def _reduced(prices: Prices, discount: float) -> Prices:
    told = prices.model_dump()
    return Prices(**{name: None if price is None else price * discount for name, price in told.items()})


def _fetch_all(service: Service, records: Records, run: Run) -> list[Record]:
    """Bring in the batches that have ended, one after the other, and return them."""
    waiting = [one for one in records.all() if one.state == "submitted"]
    if not waiting:
        return []

    async def work(client: Client) -> list[Record]:
        done = []
        for record in waiting:
            now = await client.batch(str(record.batch))
            if now.get("status") in ENDED:
                done.append(await _fetch(client, records, record, now, run))
        return done

    return asked(service, work)


async def _fetch(client: Client, records: Records, record: Record, now: dict[str, Any], run: Run) -> Record:
    """Keep a batch's answers and errors; its record counts it as collected once both are kept."""
    import pyarrow as pa

    service, left = client.service, records.keys(record)
    reader = Reader(service.answer, run.schema.field("value").type)
    journal = writer(run.place, run.schema)
    outcomes: list[Outcome] = []
    good: list[Outcome] = []
    for name in ("output_file_id", "error_file_id"):
        file = now.get(name)
        for told in _lines(await client.content(str(file))) if file else ():
            if told.get("custom_id") not in left:
                continue
            left.discard(told["custom_id"])
            outcome = _outcome(told, client, reader, now)
            outcomes.append(outcome)
            if outcome.error is None:
                good.append(outcome)
            if len(good) >= _AT_ONCE:
                _keep(journal, good, run, service)
                good = []
    if good:
        _keep(journal, good, run, service)
    journal.close()
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
    lines = [ledger_line(one, service, 0) for one in outcomes]
    records.put_table(f"{record.digest}.ledger.parquet", pa.Table.from_pylist(lines, run.ledger_schema))
    failed = sum(one.error is not None for one in outcomes)
    done = replace(
        record,
        state="collected",
        status=str(now.get("status")),
        answered=len(outcomes) - failed,
        failed=failed,
    )
    records.keep(done)
    return done


def _keep(journal: Any, good: list[Outcome], run: Run, service: Service) -> None:
    journal.append(answers_batch(good, run.schema, service.prices))
    for one in good:
        one.value = None


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


def _ledger(records: Records, run: Run, new: list[Record]) -> Any:
    """Return the lines of the new batches' rows, and the errors of before that still stand."""
    import pyarrow as pa

    answered = _answered(run)
    fresh = {one.digest for one in new}
    lines: dict[str, dict[str, Any]] = {}
    for key, message in records.rejected().items():
        lines[key] = ledger_line(Outcome(key, error=RowError("input", message)), run.sending.service, 0)
    for record in records.all():
        if record.state == "collected":
            for line in records.table(f"{record.digest}.ledger.parquet").to_pylist():
                if line["reason"] is not None or record.digest in fresh:
                    lines[line["key"]] = line
        else:
            error = RowError("waiting", f"the batch {record.batch or record.digest} has not ended")
            for key in records.keys(record):
                lines[key] = ledger_line(Outcome(key, error=error), run.sending.service, 0)
    kept = [line for key, line in lines.items() if line["reason"] is None or key not in answered]
    return pa.Table.from_pylist(kept, run.ledger_schema)


def _answered(run: Run) -> set[str]:
    """Return the keys of all answers in the journal."""
    import pyarrow.parquet as pq

    found: set[str] = set()
    for path in files_in(run.place.answers, ".parquet"):
        filesystem, inside = filesystem_of(path)
        with filesystem.open(inside, "rb") as file:
            found.update(pq.read_table(file, columns=["key"]).column("key").to_pylist())
    return found
