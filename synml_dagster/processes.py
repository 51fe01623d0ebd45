"""A process by a name that no other has, and whether the process of a name still runs."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def this_process() -> str:
    """Return the text that names this process: host, number, and when it began."""
    return f"{socket.gethostname()}:{os.getpid()}:{_began(os.getpid())}"


def runs(name: str) -> bool | None:
    """Return whether the process that `this_process` named runs; None where it is of another host, which cannot be asked."""
    host, pid, began_at = name.rsplit(":", 2)
    if host != socket.gethostname():
        return None
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    return began_at == _began(int(pid))


def _began(process: int) -> str:
    """Return when a process began, in the system's ticks, empty where that cannot be read: numbers are used again."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
