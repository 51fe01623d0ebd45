"""What an asset cost: seconds, seconds of processor time and bytes, as numbers that Dagster plots over time."""

from __future__ import annotations

import os
import sys
import time
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from synml_dagster.files.filesystems import filesystem_of, is_remote

SECONDS, CORE_SECONDS, BYTES = "work/seconds", "work/core seconds", "work/bytes written"

_MOST = 100
_BEGUN: OrderedDict[str, tuple[float, float | None]] = OrderedDict()


def begin(run_id: str, step: str) -> None:
    """Note that the work of a step begins, in this process."""
    _BEGUN[f"{run_id}/{step}"] = (time.monotonic(), core_seconds())
    while len(_BEGUN) > _MOST:  # steps that never stored an output
        _BEGUN.popitem(last=False)


def work_of(run_id: str, step: str, size: int) -> dict[str, float | int]:
    """Return what a step has cost since it began, as far as that is known, and the `size` in bytes of what it has written.

    It is the step's, all of its partitions together. Processor time is that of this process and those below it, which
    on local Spark do all of the work; elsewhere executors do, and nothing is said.
    """
    told: dict[str, float | int] = {}
    if begun := _BEGUN.pop(f"{run_id}/{step}", None):
        told[SECONDS] = round(time.monotonic() - begun[0], 2)
        now = core_seconds()
        if now is not None and begun[1] is not None:
            told[CORE_SECONDS] = round(max(0.0, now - begun[1]), 2)
    return told | ({BYTES: size} if size else {})


def core_seconds() -> float | None:
    """Return the processor time of this process and all below it, None where that is not all of the work, or not told."""
    if not _works_here() or not os.path.isdir("/proc/self"):
        return None
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                # What stands in brackets is the command, which may hold anything.
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue  # ended meanwhile
        parents[int(name)] = int(fields[1])
        # Those of children that have ended are in their parent's figures.
        ticks[int(name)] = sum(int(n) for n in fields[11:15])
    found, below = 0, {os.getpid()}
    while below:
        found += sum(ticks.get(pid, 0) for pid in below)
        below = {pid for pid, parent in parents.items() if parent in below}
    return found / os.sysconf("SC_CLK_TCK")


def _works_here() -> bool:
    if "pyspark" not in sys.modules:
        return True
    from pyspark.sql import SparkSession

    from synml_dagster.spark import is_connect, is_local

    remote = sys.modules.get("pyspark.sql.connect.session")
    if remote is not None and remote.SparkSession.getActiveSession() is not None:
        return False
    session: Any = SparkSession.getActiveSession()
    return session is None or (not is_connect(session) and is_local(session))


def size_of(paths: Iterable[str]) -> int:
    """Return the bytes of all files under folders."""
    found = 0
    for path in paths:
        if is_remote(path):
            filesystem, inside = filesystem_of(path)
            found += int(filesystem.du(inside))
            continue
        for folder, _, names in os.walk(path):
            found += sum(os.path.getsize(os.path.join(folder, name)) for name in names)
    return found
