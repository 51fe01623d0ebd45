"""How a local session's JVM and its Python workers talk: over sockets of the file system where there are such."""

from __future__ import annotations

import atexit
import shutil
import socket
import tempfile
from functools import cache
from pathlib import Path

_NAME = 48
"""Spark's names are 42 characters; macOS takes four bytes less in a socket's path than Linux."""


def worker_sockets() -> dict[str, str]:
    """Return the settings; none where no socket can be made in the temporary folder.

    Over TCP the first rows of a task wait 40 ms for an acknowledgement that the other side delays (Nagle's algorithm
    and delayed ACKs together): half of what a small job takes. Before Spark 4.1 these settings say nothing.
    """
    folder = _folder()
    if folder is None:
        return {}
    return {
        "spark.python.unix.domain.socket.enabled": "true",
        "spark.python.unix.domain.socket.dir": folder,
    }


@cache
def _folder() -> str | None:
    """Return a folder of this process's own, which nobody else may enter: Spark leaves its sockets behind."""
    if not hasattr(socket, "AF_UNIX"):
        return None
    folder = tempfile.mkdtemp(prefix="synml-py-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    one = Path(folder, "s" * _NAME)
    try:
        # Tried, since both the path's bytes and the file system decide: those that containers share with their host have none.
        with socket.socket(socket.AF_UNIX) as tried:
            tried.bind(str(one))
            one.unlink()
    except OSError:
        return None
    return folder
