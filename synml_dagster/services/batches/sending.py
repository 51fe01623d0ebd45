"""Requests to batches: written down first, then brought to the service, where their mark says whether they are there."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from synml_dagster.services.batches.allowance import Allowance
from synml_dagster.services.batches.client import Client, asked
from synml_dagster.services.batches.records import Record, Records
from synml_dagster.services.batches.rendering import Line
from synml_dagster.services.description import Service
from synml_dagster.services.engine.portions import in_portions

if TYPE_CHECKING:
    import pyarrow as pa

MOST_REQUESTS = 50_000
"""Requests of one batch."""

_MOST_BYTES = 190_000_000  # of 200 MB


@dataclass(frozen=True)
class Sending:
    """How the batches of one run go out.

    Attributes
    ----------
    service, records
        What is asked, and where batches are written down.
    run
        The id of the run that pays for them.
    window
        How long the service may take.
    most
        Requests of one batch.
    """

    service: Service
    records: Records
    run: str
    window: str
    most: int = MOST_REQUESTS

    def send_all(
        self, lines: Iterable[Line], allowance: Allowance, repair: int = 0, more: pa.Table | None = None
    ) -> list[Record]:
        """Send lines as new batches, and return them.

        Parameters
        ----------
        lines
            What the budget holds.
        allowance
            Says what they are expected to cost.
        repair
            How often answers of these rows were asked for again, with this time.
        more
            What is kept of each row besides its key: a table with a column `key`.
        """
        return [
            self.send(self._plan(some, allowance, repair, more), new=True)
            for some in in_portions(lines, lambda line: len(line.content), self.most, _MOST_BYTES)
        ]

    def send(self, record: Record, *, new: bool) -> Record:
        """Bring a planned batch to the service, unless it is there."""

        async def work(client: Client) -> dict[str, Any]:
            there = None if new else await client.find(record.digest)
            if there is not None:
                return there
            file = await client.upload(self.records.requests(record), f"synml-{record.digest}.jsonl")
            return await client.create(file, record.digest, self.window)

        told = asked(self.service, work)
        return self.records.submitted(record, str(told["id"]), str(told.get("status") or "validating"))

    def send_planned(self) -> list[Record]:
        """Send what an earlier call has planned; it may have submitted it, too."""
        return [self.send(one, new=False) for one in self.records.all() if one.state == "planned"]

    def _plan(self, lines: list[Line], allowance: Allowance, repair: int, more: pa.Table | None) -> Record:
        import pyarrow as pa
        import pyarrow.compute as pc

        content = b"".join(line.content for line in lines)
        # The time is in it: the same rows may be asked for once more, where an earlier batch has failed them.
        now = time.time()
        digest = hashlib.sha256(content + repr(now).encode()).hexdigest()[:32]
        record = Record(
            digest, len(lines), now, run=self.run, repair=repair,
            expected_tokens=sum(line.tokens for line in lines), expected_cost=sum(map(allowance.cost, lines)),
        )  # fmt: skip
        keys = pa.array([line.key for line in lines], pa.string())
        table = pa.table({"key": keys}) if more is None else more.filter(pc.is_in(more["key"], keys))
        self.records.plan(record, table, content)
        return record
