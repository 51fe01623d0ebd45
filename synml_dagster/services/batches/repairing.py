"""Answers of batches that do not fit their schema: they are asked for once more, in a batch of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from synml_dagster.services.answers.reading import SchemaMisfitError
from synml_dagster.services.answers.repair import Repairer
from synml_dagster.services.batches.allowance import Allowance
from synml_dagster.services.batches.records import Record, Records
from synml_dagster.services.batches.rendering import Line, body_of, rendered, with_body
from synml_dagster.services.batches.sending import Sending
from synml_dagster.services.engine.outcome import Outcome, Tally
from synml_dagster.services.engine.request import tokens_in
from synml_dagster.services.journal.journal import answered_keys
from synml_dagster.services.journal.place import Place

if TYPE_CHECKING:
    import pyarrow as pa

    from synml_dagster.services.columns import Opened

Broken = dict[str, Any]
"""A row whose answer does not fit: its `key`, the messages to add as JSON in `added`, and what it has taken until now."""

_TAKEN = ("input_tokens", "output_tokens", "cached_tokens")


def broken_row(outcome: Outcome, repairer: Repairer, before: Broken | None, repair: int) -> Broken | None:
    """Return how an answer is to be asked for again; None where it fits, or was asked for often enough.

    Parameters
    ----------
    outcome
        What came of the row.
    repairer
        Makes the messages.
    before
        The row as it was asked for again before, if it was.
    repair
        How often it was.
    """
    if not isinstance(outcome.error, SchemaMisfitError) or repair >= repairer.tries:
        return None
    said = json.loads(before["added"]) if before else []
    whole = with_before(outcome, before)
    taken = {name: getattr(whole.tally, name) for name in _TAKEN}
    added = json.dumps([*said, *repairer.added(outcome.error)], ensure_ascii=False)
    return {"key": outcome.key, "added": added, "attempts": whole.attempts} | taken


def with_before(outcome: Outcome, before: Broken | None) -> Outcome:
    """Return a copy of an outcome with what the answers before it took, which is the price of its value."""
    if before is None:
        return replace(outcome)
    now = outcome.tally
    tally = Tally(
        now.calls, answered=now.answered + before["attempts"], started=now.started, finished=now.finished
    )
    for name in _TAKEN:
        setattr(tally, name, getattr(now, name) + before[name])
    attempts = outcome.attempts + before["attempts"]
    return Outcome(outcome.key, outcome.value, outcome.error, attempts, outcome.request_id, tally)


def broken_table(rows: list[Broken]) -> pa.Table:
    """Return rows that are to be asked for again as a table."""
    import pyarrow as pa

    numbers = [("attempts", pa.int32()), *((name, pa.int64()) for name in _TAKEN)]
    return pa.Table.from_pylist(rows, pa.schema([("key", pa.string()), ("added", pa.string()), *numbers]))


def to_repair(records: Records, place: Place) -> list[tuple[Record, pa.Table]]:
    """Return the rows that were not asked for again since their answer broke the schema, by the batch that it was in."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found: list[tuple[Record, pa.Table]] = []
    for record in records.all():
        if found:  # a later batch has taken up rows of earlier ones
            keys = pa.array(sorted(records.keys(record)), pa.string())
            found = [(one, _without(table, keys)) for one, table in found]
        if record.state == "collected" and record.broken:
            found.append((record, records.table(f"{record.digest}.broken.parquet")))
    done = pa.array(sorted(answered_keys(place)) if found else [], pa.string())
    left = [(one, table.filter(pc.invert(pc.is_in(table["key"], done)))) for one, table in found]
    return [(one, table) for one, table in left if table.num_rows]


def send_repairs(
    rows_of: Opened, sending: Sending, record: Record, table: pa.Table, allowance: Allowance
) -> list[Record]:
    """Ask for answers again that `record` had; rows that the budget does not hold, or that are in the table no more, are left."""
    repairer = Repairer(sending.service.answer.repair)
    if not repairer.tries:
        return []
    spark = rows_of.frame.sparkSession
    keys = spark.createDataFrame([(key,) for key in table["key"].to_pylist()], "key string")
    rows = rows_of.wanted.join(keys, "key", "left_semi").dropDuplicates(["key"])
    added = dict(zip(table["key"].to_pylist(), table["added"].to_pylist(), strict=True))

    def lines() -> Iterator[Line]:
        for line in rendered(rows, sending.service, rows_of.inputs):
            if line.refused is None:
                body = repairer.body(body_of(line), json.loads(added[line.key]))
                size = len(json.dumps(body, ensure_ascii=False).encode())
                made = with_body(line, body, tokens_in(size) + line.longest)
                if allowance.takes(made):
                    yield made

    return sending.send_all(lines(), allowance, record.repair + 1, table)


def _without(table: pa.Table, keys: pa.Array) -> pa.Table:
    import pyarrow.compute as pc

    return table.filter(pc.invert(pc.is_in(table["key"], keys)))
