"""Which process runs a trial, and whether it may still do so: another sweep over the same study, at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synml_dagster.processes import runs, this_process

if TYPE_CHECKING:
    import optuna

UNHEARD_SECONDS = 120.0
"""A trial of another host counts as running until nothing has been heard of it for so long, by the database's clock."""
OWNER, HEARD = "owner", "heard"
"""What a trial calls its process, and the moment at which that process last said that it lives."""


def may_live(trial: optuna.trial.FrozenTrial, now: float, unheard: float = UNHEARD_SECONDS) -> bool:
    """Return whether the process that runs a trial may still do so; a trial of the present process is no other's.

    Parameters
    ----------
    now
        The database's clock in seconds: those of hosts differ.
    unheard
        For how many seconds a trial of another host counts as running of which nothing is heard.
    """
    named = str(trial.user_attrs.get(OWNER, ""))
    if not named or named == this_process():
        return False
    running = runs(named)
    if running is None:
        return now - float(trial.user_attrs.get(HEARD, 0.0)) < unheard
    return running
