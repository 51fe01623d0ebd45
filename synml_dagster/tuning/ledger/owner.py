"""Which process runs a trial, and whether it may still do so: another sweep over the same study, at the same time."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna

_ELSEWHERE_SECONDS = 3600.0
"""How long a trial of another host counts as running: its process cannot be asked."""


def owner() -> str:
    """Return the text that names this process: host, number, and when it began."""
    return f"{socket.gethostname()}:{os.getpid()}:{_began(os.getpid())}"


def may_live(trial: optuna.trial.FrozenTrial) -> bool:
    """Return whether the process that runs a trial may still do so; a trial of the present process is no other's."""
    named = str(trial.user_attrs.get("owner", ""))
    if not named or named == owner():
        return False
    host, pid, began_at = named.rsplit(":", 2)
    if host != socket.gethostname():
        began = trial.datetime_start
        if began is None:
            return False
        now = datetime.now(UTC) if began.tzinfo else datetime.now(UTC).replace(tzinfo=None)
        return (now - began).total_seconds() < _ELSEWHERE_SECONDS
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
