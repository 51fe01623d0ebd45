"""What is known of batches, beside the journal: written before anything is sent, so that no crash forgets a batch.

<place>/batches/<digest>.json             the batch: planned, submitted or collected
                /<digest>.keys.parquet    the rows that it asks about
                /<digest>.jsonl           its requests, until they are submitted
                /<digest>.ledger.parquet  what became of the rows, once it is collected
                /<digest>.broken.parquet  rows whose answer is to be asked for again
                /rejected.json            rows that could not be sent, by their key, with the reason
                /left.parquet             rows that the budget left for the next run
"""

from __future__ import annotations

import hashlib
import json
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from synml_dagster.cache import cache_directory
from synml_dagster.errors import SetupError
from synml_dagster.files.filesystems import filesystem_of, is_remote
from synml_dagster.services.journal.place import Place, files_in
from synml_dagster.turns import take_turns

if TYPE_CHECKING:
    import pyarrow as pa

State = Literal["planned", "submitted", "collected"]

ENDED = ("completed", "failed", "expired", "cancelled")
"""States of the service's that no other comes after."""


@dataclass(frozen=True)
class Record:
    """One batch.

    Attributes
    ----------
    digest
        Of its requests; the service is told it, too, so that a batch is found again there.
    requests
        How many it has.
    planned
        When it was written down, by `time.time()`.
    state
        What has been done about it here.
    batch
        Its id at the service, once it is submitted.
    status
        What the service said last.
    answered, failed
        What came of its requests, once it is collected.
    run
        The run that sent it, and whose budget pays for it.
    repair
        How often answers of its rows were asked for again, with this time.
    expected_tokens, expected_cost
        What it was expected to take at the most.
    took_tokens, took_cost
        What it took, once it is collected.
    broken
        How many of its answers are to be asked for again.
    told
        Whether a report has said what it took; not from when it is collected until then.
    """

    digest: str
    requests: int
    planned: float
    state: State = "planned"
    batch: str | None = None
    status: str | None = None
    answered: int | None = None
    failed: int | None = None
    run: str = ""
    repair: int = 0
    expected_tokens: int = 0
    expected_cost: float = 0.0
    took_tokens: int | None = None
    took_cost: float | None = None
    broken: int = 0
    told: bool = True


class Records:
    """The batches of one service and its parameters, in its place of the journal."""

    def __init__(self, place: Place) -> None:
        self.folder = f"{place.folder}/batches"
        self._filesystem, self._inside = filesystem_of(self.folder)

    def turn(self, seconds: float = 600) -> AbstractContextManager[None]:
        """Let one process of this host at a time send and collect: two at once would find the same rows unsent, and pay for them twice.

        Raises
        ------
        SetupError
            Another one is at it for all of `seconds`.
        """
        busy = SetupError(
            f"batches: another run sends or collects the batches in {self.folder!r}, and has done so for {seconds:g} s; run this one again when it has ended"
        )
        if not is_remote(self.folder):
            return take_turns(f"{self._inside}/.lock", busy, seconds)
        name = hashlib.sha256(self.folder.encode()).hexdigest()[:16]
        return take_turns(cache_directory() / "batches" / f"{name}.lock", busy, seconds)

    def all(self) -> list[Record]:
        """Return all batches, the oldest first.

        Raises
        ------
        SetupError
            A record is damaged.
        """
        found = []
        for path in files_in(self.folder, ".json"):
            if not path.endswith("/rejected.json"):
                found.append(self._read(path))
        return sorted(found, key=lambda one: (one.planned, one.digest))

    def _read(self, path: str) -> Record:
        try:
            return Record(**json.loads(self._filesystem.cat_file(filesystem_of(path)[1])))
        except (ValueError, TypeError) as problem:
            raise SetupError(
                f"batches: the record {path!r} is damaged. It says which batch was submitted; put it right, or remove it to submit its rows again."
            ) from problem

    def plan(self, record: Record, keys: pa.Table, requests: bytes) -> None:
        """Write a batch down before it is submitted; the record comes last."""
        self._put(f"{record.digest}.jsonl", requests)
        self.put_table(f"{record.digest}.keys.parquet", keys)
        self.keep(record)

    def keep(self, record: Record) -> None:
        """Write a record in place of the one before."""
        self._put(f"{record.digest}.json", json.dumps(asdict(record), indent=1).encode())

    def submitted(self, record: Record, batch: str, status: str) -> Record:
        """Write down that a batch is at the service; its requests are then kept no more."""
        changed = replace(record, state="submitted", batch=batch, status=status)
        self.keep(changed)
        path = f"{self._inside}/{record.digest}.jsonl"
        if self._filesystem.exists(path):
            self._filesystem.rm(path)
        return changed

    def requests(self, record: Record) -> bytes:
        """Return the requests of a planned batch."""
        content: bytes = self._filesystem.cat_file(f"{self._inside}/{record.digest}.jsonl")
        return content

    def keys(self, record: Record) -> set[str]:
        """Return the rows that a batch asks about."""
        return set(self.table(f"{record.digest}.keys.parquet").column("key").to_pylist())

    def reject(self, reasons: dict[str, str]) -> None:
        """Write down the rows that could not be sent, and why."""
        self._put("rejected.json", json.dumps(reasons, ensure_ascii=False).encode())

    def rejected(self) -> dict[str, str]:
        """Return the rows that could not be sent when rows were last submitted."""
        path = f"{self._inside}/rejected.json"
        told: dict[str, Any] = (
            json.loads(self._filesystem.cat_file(path)) if self._filesystem.exists(path) else {}
        )
        return told

    def leave(self, keys: list[str]) -> None:
        """Write down the rows that the budget left for the next run."""
        import pyarrow as pa

        self.put_table("left.parquet", pa.table({"key": pa.array(keys, pa.string())}))

    def left(self) -> list[str]:
        """Return the rows that the budget left when rows were last submitted."""
        if not self._filesystem.exists(f"{self._inside}/left.parquet"):
            return []
        found: list[str] = self.table("left.parquet")["key"].to_pylist()
        return found

    def put_table(self, name: str, table: pa.Table) -> None:
        """Write a table beside the records."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        made = pa.BufferOutputStream()
        pq.write_table(table, made)
        self._put(name, made.getvalue().to_pybytes())

    def table(self, name: str) -> pa.Table:
        """Return a table beside the records."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        return pq.read_table(pa.BufferReader(self._filesystem.cat_file(f"{self._inside}/{name}")))

    def _put(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all."""
        self._filesystem.makedirs(self._inside, exist_ok=True)
        path = f"{self._inside}/{name}"
        # An object store takes an object whole; a disk does by another name first.
        if "file" in self._filesystem.protocol or "local" in self._filesystem.protocol:
            self._filesystem.pipe_file(f"{path}.part", content)
            self._filesystem.mv(f"{path}.part", path)
        else:
            self._filesystem.pipe_file(path, content)
