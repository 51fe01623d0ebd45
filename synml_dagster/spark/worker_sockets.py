"""How a local session's JVM and its Python workers talk: over sockets of the file system where there are such."""

from __future__ import annotations

import atexit
import shutil
import socket
import tempfile
from functools import cache

_LONGEST = 60
"""Of a folder's path: Spark's names in it are 42 characters, and the whole has to have fewer than 104."""


def worker_sockets() -> dict[str, str]:
    """Return the settings, none where the system has no such sockets or its temporary folder a long name.

    Over TCP the first rows of a task wait 40 ms for an acknowledgement that the other side delays (Nagle's algorithm
    and delayed ACKs together): half of what a small job takes. Before Spark 4.1 these settings say nothing.
    """
    if not hasattr(socket, "AF_UNIX") or len(tempfile.gettempdir()) > _LONGEST - 20:
        return {}
    return {
        "spark.python.unix.domain.socket.enabled": "true",
        "spark.python.unix.domain.socket.dir": _folder(),
    }


@cache
def _folder() -> str:
    """Return a folder of this process's own, which nobody else may enter: Spark leaves its sockets behind."""
    folder = tempfile.mkdtemp(prefix="synml-py-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
