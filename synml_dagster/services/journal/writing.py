"""The journal of requests that change what a service holds: it spans one writing of a table, and the next sends all of it.

What is written today may be changed by others tomorrow, or back again by another writing. So an answer of an earlier writing says nothing
about what the service holds now. Within one writing a finished answer is final, whatever was killed meanwhile.

<root>/<name>-writing/<rows>/...        a journal as any, of the rows that are being written
                            /finished   there once each row has its end
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from synml_dagster.files.filesystems import filesystem_of, normal_path
from synml_dagster.services.journal.journal import recover_all
from synml_dagster.services.journal.place import Place, files_in

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

    from synml_dagster.services.description import Service
    from synml_dagster.services.report import Report

_LEFT = frozenset(
    {"deadline", "budget", "key", "quota", "rate_limited", "unavailable", "timeout", "connection", "not_sent"}
)
"""Errors of rows that a further call may write; a writing with one of them is not finished."""


class Writing:
    """The journal of one writing.

    Parameters
    ----------
    root
        The journal's folder.
    service
        What is written to.
    wanted
        The rows, with their `key`: the same rows go on with a writing that was cut off, and others begin one.
    """

    def __init__(self, root: str, service: Service, wanted: DataFrame) -> None:
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", service.name).strip("-.") or "service"
        self.all = f"{normal_path(root)}/{name}-{service.fingerprint()}-writing"
        self.folder = f"{self.all}/{_fingerprint(wanted)}"
        self.service = service

    def begin(self, schema: pa.Schema) -> None:
        """Remove the journals of other writings, and that of this one where it was finished.

        Raises
        ------
        SetupError
            Another run is writing.
        """
        filesystem, inside = filesystem_of(self.all)
        filesystem.invalidate_cache()
        if not filesystem.exists(inside):
            return
        for path in filesystem.ls(inside, detail=False):
            name = str(path).rstrip("/").rpartition("/")[2]
            folder = f"{self.all}/{name}"
            recover_all(Place.of(folder, self.service, ""), schema)
            if folder != self.folder or files_in(folder, "/finished"):
                filesystem.rm(str(path), recursive=True)

    def end(self, report: Report) -> None:
        """Mark the writing as finished, unless rows are left that a further call may write."""
        if not _LEFT & set(report.reasons):
            filesystem, inside = filesystem_of(self.folder)
            filesystem.pipe_file(f"{inside}/finished", b"")


def _fingerprint(wanted: DataFrame) -> str:
    """Return a text that is another one for other rows, in whatever order they come."""
    from pyspark.sql import functions as sf

    hashed = sf.xxhash64("key")
    told = wanted.agg(
        sf.count("*").alias("rows"),
        sf.sum(hashed.cast("decimal(38,0)")).alias("sum"),
        sf.bit_xor(hashed).alias("parity"),
    ).collect()[0]
    whole = (int(told["sum"] or 0) << 64) ^ (int(told["parity"] or 0) & (2**64 - 1))
    return f"{told['rows']}-{whole & (2**128 - 1):032x}"
