"""A sender's answers on a local disk: each is in the file when it counts, whatever kills the process after that."""

from __future__ import annotations

import contextlib
import os
import struct
import time
import uuid
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from synml_dagster.errors import SetupError

if TYPE_CHECKING:
    import pyarrow as pa

_HEAD = struct.Struct("<II")
_SEALED_AT = 128 * 2**20


class LogWriter:
    """Appends batches of answers to a log, and turns it into Parquet at the end, or when it has grown.

    One `write` of the system is one record: a killed process leaves whole records and at most a torn last one, which its
    checksum tells.

    Parameters
    ----------
    folder
        The run's folder of answers, on this host's disks.
    schema
        The schema of the answers.
    """

    def __init__(self, folder: str, schema: pa.Schema) -> None:
        self.folder, self.schema = folder, schema
        self._file, self._size, self._path = -1, 0, ""

    def append(self, batch: pa.RecordBatch) -> None:
        """Keep a batch.

        Raises
        ------
        SetupError
            The disk is full, or the folder is gone.
        """
        try:
            if self._file < 0:
                self._begin()
            payload = memoryview(batch.serialize())
            record = _HEAD.pack(len(payload), zlib.crc32(payload)) + payload
            written = os.write(self._file, record)
            while written < len(record):  # a nearly full disk takes a part, and refuses the rest
                written += os.write(self._file, record[written:])
        except OSError as problem:
            raise SetupError(f"journal: {self.folder!r} cannot be written: {problem}") from problem
        self._size += len(record)
        if self._size > _SEALED_AT:
            self.close()

    def close(self) -> None:
        """Turn what was kept into Parquet."""
        if self._file < 0:
            return
        try:
            seal(self._path, self.schema)
        finally:
            os.close(self._file)  # and with it goes the lock, which says that somebody is at work
            self._file, self._size = -1, 0

    def _begin(self) -> None:
        self._path = f"{self.folder}/_{uuid.uuid4().hex}.log"
        self._file = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_WRONLY, 0o600)
        _lock(self._file)


def records(path: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield the whole records of a log."""
    import pyarrow as pa

    with open(path, "rb") as file:
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            length, checksum = _HEAD.unpack(head)
            payload = file.read(length)
            if len(payload) < length or zlib.crc32(payload) != checksum:
                return
            yield pa.ipc.read_record_batch(pa.py_buffer(payload), schema)


def seal(path: str, schema: pa.Schema) -> None:
    """Put a Parquet file in a log's place; one of the two is there at any time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = pa.Table.from_batches(records(path, schema), schema)
    folder, name = os.path.split(path)
    stem = name.removeprefix("_").removesuffix(".log")
    if rows.num_rows:
        hidden = f"{folder}/_{stem}.part"
        pq.write_table(rows, hidden)
        os.replace(hidden, f"{folder}/{stem}.parquet")
    os.remove(path)


def recover(path: str, schema: pa.Schema, patience: float = 30) -> None:
    """Turn the log of a sender that was killed into Parquet.

    Raises
    ------
    SetupError
        Its sender is still at work after so many seconds: rows that it is sending would be sent twice.
    """
    end = time.monotonic() + patience
    while True:
        try:
            file = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return  # its sender has just finished
        try:
            if _lock(file):
                if os.path.exists(path):
                    seal(path, schema)
                return
        finally:
            os.close(file)
        if time.monotonic() > end:
            raise SetupError(
                f"journal: another run is sending to this service and writes to {os.path.dirname(path)!r}. Wait until it has ended, or stop it: "
                "rows that it has in flight would be sent twice."
            )
        time.sleep(0.2)


def _lock(file: int) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
