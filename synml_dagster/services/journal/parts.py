"""A sender's answers on an object store, where nothing can be added to a file: a small part a second, one in the end."""

from __future__ import annotations

import threading
import uuid
from typing import TYPE_CHECKING

from synml_dagster.errors import SetupError
from synml_dagster.files.filesystems import filesystem_of

if TYPE_CHECKING:
    import pyarrow as pa

_SECONDS = 1.0
_COMPACTED_AT = 200


class PartsWriter:
    """Keeps batches of answers, and puts those of each second as one object.

    A killed process loses what it got within the last second, beside what it had in flight.

    Parameters
    ----------
    folder
        The run's folder of answers.
    schema
        The schema of the answers.
    """

    def __init__(self, folder: str, schema: pa.Schema) -> None:
        self.folder, self.schema = folder, schema
        self._waiting: list[pa.RecordBatch] = []
        self._parts: list[str] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._problem: Exception | None = None
        self._thread: threading.Thread | None = None

    def append(self, batch: pa.RecordBatch) -> None:
        """Keep a batch.

        Raises
        ------
        SetupError
            The store has refused a part.
        """
        if self._problem is not None:
            raise SetupError(
                f"journal: {self.folder!r} cannot be written: {self._problem}"
            ) from self._problem
        with self._lock:
            self._waiting.append(batch)
        if self._thread is None:
            self._thread = threading.Thread(target=self._keep_on, name="journal", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Put what is left, and one object in place of the small ones."""
        if self._thread is None:
            return
        self._closing.set()
        self._thread.join()
        self._put()
        if self._problem is None and len(self._parts) > 1:
            self._compact()
        if self._problem is not None:
            raise SetupError(
                f"journal: {self.folder!r} cannot be written: {self._problem}"
            ) from self._problem

    def _keep_on(self) -> None:
        while not self._closing.wait(_SECONDS) and self._problem is None:
            self._put()
            if len(self._parts) >= _COMPACTED_AT:
                self._compact()

    def _put(self) -> None:
        import pyarrow as pa

        with self._lock:
            batches, self._waiting = self._waiting, []
        if batches:
            self._write(pa.Table.from_batches(batches, self.schema))

    def _write(self, rows: pa.Table) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        made = pa.BufferOutputStream()
        pq.write_table(rows, made)
        filesystem, inside = filesystem_of(self.folder)
        path = f"{inside.rstrip('/')}/{uuid.uuid4().hex}.parquet"
        try:
            filesystem.pipe_file(path, made.getvalue().to_pybytes())
        except Exception as problem:
            self._problem = problem
            return
        self._parts.append(path)

    def _compact(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        filesystem, _ = filesystem_of(self.folder)
        old = self._parts[:]
        try:
            rows = pa.concat_tables(
                [pq.read_table(pa.BufferReader(filesystem.cat_file(path))) for path in old]
            )
        except Exception as problem:
            self._problem = problem
            return
        self._write(rows.cast(self.schema))
        if self._problem is None:
            filesystem.rm(old)
            self._parts = self._parts[len(old) :]
