"""A study's trial as a line of the leaderboard."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from synml_dagster.tuning.result import TrialRecord

if TYPE_CHECKING:
    import optuna


def record_of(trial: optuna.trial.FrozenTrial, family: str) -> TrialRecord:
    """Return a trial, ended or answered, as a record."""
    attrs = trial.user_attrs
    said = json.loads(attrs["outcome"]) if "outcome" in attrs else {}
    value = trial.values[0] if trial.state.name == "COMPLETE" else None
    if trial.state.name == "RUNNING" and said and not said.get("pruned"):
        value = said["value"]
    return TrialRecord(
        number=int(attrs.get("order", trial.number)),
        params={**attrs.get("fixed", {}), **trial.params},
        value=value,
        rounds=said.get("rounds"),
        seconds=attrs.get("seconds", 0.0),
        state="complete"
        if value is not None
        else "pruned"
        if said.get("pruned")
        else trial.state.name.lower(),
        learner=family,
        origin=str(attrs.get("origin", "search")),
        folds=list(said.get("folds") or []),
        kilobytes=said.get("kilobytes"),
        milliseconds=said.get("milliseconds"),
        reason=str(attrs.get("reason", "")) or (_why_stopped(said) if said.get("pruned") else ""),
    )


def _why_stopped(said: dict[str, Any]) -> str:
    rule = said.get("pruner", "median")
    why = "worse than the median" if rule == "median" else f"stopped by {rule}"
    return f"{why} after {said['rounds']} rounds"
