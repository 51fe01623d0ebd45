"""What keeps sensors from asking again and again: one run at a time, a cool-down, a budget."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg

from synml_dagster.automation.retrain_spec import BrakesSpec, RetrainOnSpec

TRIGGER_TAG = "synml/trigger"
"""Which sensor asked for a run: drift, decay, age or new_data."""

_UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]

_ONE = {"train": "a training", "score": "a scoring", "measure": "a live evaluation"}


def held_back(
    instance: dg.DagsterInstance,
    tags: dict[str, str],
    spec: BrakesSpec | RetrainOnSpec,
    triggers: list[str],
    option: str,
    now: datetime | None = None,
) -> str | None:
    """Return why no run of the job with these `tags` may be asked for now, None where one may or no brake is set.

    All of it is read from the runs that the instance keeps, so that a cursor which is reset by hand releases no brake.
    Runs count whether they succeeded or not: one that fails at once would else be asked for at each tick.

    Parameters
    ----------
    triggers
        The sensors that share the budget.
    option
        The part of a description that `spec` is.
    """
    if not spec.cool_down_hours and spec.at_most is None:
        return None
    return (
        under_way(instance, tags)
        or _cooling(instance, tags, spec.cool_down_hours, now)
        or _spent(instance, tags, triggers, (spec.at_most, spec.within_days, f"{option}.at_most"), now)
    )


def under_way(instance: dg.DagsterInstance, tags: dict[str, str]) -> str | None:
    """Say that a run with these `tags` is queued or goes on; None where there is none."""
    running = instance.get_run_records(dg.RunsFilter(tags=tags, statuses=_UNDER_WAY), limit=1)
    return (
        f"{_ONE[tags['synml/job']]} is under way, run {running[0].dagster_run.run_id[:8]}"
        if running
        else None
    )


def _cooling(
    instance: dg.DagsterInstance, tags: dict[str, str], hours: float, now: datetime | None
) -> str | None:
    latest = instance.get_run_records(dg.RunsFilter(tags=tags), limit=1) if hours else []
    if not latest:
        return None
    asked = _utc(latest[0].create_timestamp)
    free = asked + timedelta(hours=hours)
    if (now or datetime.now(UTC)) >= free:
        return None
    what = _ONE[tags["synml/job"]].removeprefix("a ")
    return (
        f"the last {what} was asked for at {asked:%Y-%m-%d %H:%M} UTC, and the "
        f"cool-down of {hours:g} hours ends at {free:%Y-%m-%d %H:%M} UTC"
    )


def _spent(
    instance: dg.DagsterInstance,
    tags: dict[str, str],
    triggers: list[str],
    budget: tuple[int | None, float, str],
    now: datetime | None,
) -> str | None:
    most, days, option = budget
    if most is None:
        return None
    since = (now or datetime.now(UTC)) - timedelta(days=days)
    asked = instance.get_run_records(
        dg.RunsFilter(tags=tags | {TRIGGER_TAG: triggers}, created_after=since), limit=most
    )
    if len(asked) < most:
        return None
    what = {"train": "retrainings", "score": "scorings"}.get(tags["synml/job"], "runs")
    return (
        f"{most} {what} were asked for within {days:g} days, which is the budget of "
        f"{option}. {'Look at why they did not help, and l' if 'drift' in triggers else 'L'}aunch one by hand if need be"
    )


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
