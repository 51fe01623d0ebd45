"""The journal as senders and runs see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from synml_dagster.files.filesystems import filesystem_of
from synml_dagster.services.journal.log import LogWriter, records, recover
from synml_dagster.services.journal.parts import PartsWriter
from synml_dagster.services.journal.place import Place, files_in

if TYPE_CHECKING:
    import pyarrow as pa


class Writer(Protocol):
    """Keeps batches of answers until it is closed, and after."""

    def append(self, batch: pa.RecordBatch) -> None:
        """Keep a batch."""

    def close(self) -> None:
        """Put what was kept into its final form."""


def writer(place: Place, schema: pa.Schema) -> Writer:
    """Return what a sender writes its answers with."""
    return PartsWriter(place.own, schema) if place.remote else LogWriter(place.own, schema)


def finished_keys(place: Place, schema: pa.Schema) -> set[str]:
    """Return the keys that this run has answers of: an earlier try of a task may have left them."""
    import pyarrow.parquet as pq

    found: set[str] = set()
    if not place.remote:
        for path in files_in(place.own, ".log"):
            for batch in records(path, schema):
                found.update(batch.column("key").to_pylist())
    filesystem, _ = filesystem_of(place.own)
    for path in files_in(place.own, ".parquet"):
        with filesystem.open(filesystem_of(path)[1], "rb") as file:
            found.update(pq.read_table(file, columns=["key"]).column("key").to_pylist())
    return found


def answered_keys(place: Place) -> set[str]:
    """Return the keys of all answers that are in their final form."""
    import pyarrow.parquet as pq

    found: set[str] = set()
    for path in files_in(place.answers, ".parquet"):
        filesystem, inside = filesystem_of(path)
        with filesystem.open(inside, "rb") as file:
            found.update(pq.read_table(file, columns=["key"]).column("key").to_pylist())
    return found


def recover_all(place: Place, schema: pa.Schema) -> None:
    """Turn what killed senders of earlier runs have left into answers like any.

    Raises
    ------
    SetupError
        A sender of another run is still at work.
    """
    if not place.remote:
        for path in files_in(place.answers, ".log"):
            recover(path, schema)


def answers_schema(kind: pa.DataType) -> pa.Schema:
    """Return the schema of finished answers of this type."""
    import pyarrow as pa

    return pa.schema(
        [
            ("key", pa.string()), ("value", kind), ("attempts", pa.int32()), ("request_id", pa.string()),
            ("input_tokens", pa.int64()), ("output_tokens", pa.int64()), ("cached_tokens", pa.int64()), ("cost", pa.float64()),
            ("finished", pa.float64()),
        ]
    )  # fmt: skip


LEDGER = (
    "key string, reason string, status int, message string, attempts int, request_id string, calls int, retried int, throttled int, answered int, "
    "started double, finished double, seconds double, input_tokens bigint, output_tokens bigint, cached_tokens bigint, cost double, sender int"
)
"""The columns of a ledger: what became of each row that a run was to send, and its part in what was sent."""
