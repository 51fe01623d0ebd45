"""Processes of one host that take turns, by a file that the system unlocks when its holder ends, however it ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from synml_dagster.errors import SynmlError


@contextmanager
def take_turns(file: str | Path, busy: SynmlError, seconds: float = 60) -> Iterator[None]:
    """Let one process, and one thread of it, at a time into the block; the others wait for `seconds` at most.

    Parameters
    ----------
    file
        The lock file; it and its folder are made where they are missing, and the file stays.
    busy
        Raised where another one is inside for all that time.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    with open(file, "a", encoding="utf-8") as lock:
        end = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise busy from None
                time.sleep(0.02)
        yield
