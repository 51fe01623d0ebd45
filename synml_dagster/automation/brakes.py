"""What keeps sensors from asking again and again: one run at a time, a cool-down, a budget."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg

from synml_dagster.automation.retrain_spec import BrakesSpec, RetrainOnSpec

TRIGGER_TAG = "synml/trigger"
"""Which sensor asked for a run: drift, decay, age or new_data."""

_JOB_TAG = "synml/job"

_UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]

_ONE = {"train": "a training", "score": "a scoring", "measure": "a live evaluation"}

_MAKES = {"train": "model", "score": "predictions", "measure": "live_evaluation"}
"""The stage that runs of each job make: by it a run is known that has no job's tags, such as one from the asset graph."""


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
    """Say that a run with these `tags`, or one of no job of a pipeline that makes the same, is queued or goes on; None where there is none."""
    running = instance.get_runs(dg.RunsFilter(tags=tags, statuses=_UNDER_WAY), limit=1) or [
        run
        for run in instance.get_runs(dg.RunsFilter(statuses=_UNDER_WAY))
        if _JOB_TAG not in run.tags and _makes(instance, run, _made(tags))
    ]
    return f"{_ONE[tags[_JOB_TAG]]} is under way, run {running[0].run_id[:8]}" if running else None


def _made(tags: dict[str, str]) -> dg.AssetKey:
    return dg.AssetKey([tags["synml/pipeline"], _MAKES[tags[_JOB_TAG]]])


def _makes(instance: dg.DagsterInstance, run: dg.DagsterRun, key: dg.AssetKey) -> bool:
    """Whether a run is to materialize the asset `key`: one of a part of the graph names its assets, and one of a whole job has them in its plan."""
    if run.asset_selection is not None:
        return key in run.asset_selection
    if run.execution_plan_snapshot_id is None:
        return False
    plan = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id)
    made = (output.properties for step in plan.steps for output in step.outputs)
    return any(facts is not None and facts.asset_key == key for facts in made)


def _cooling(
    instance: dg.DagsterInstance, tags: dict[str, str], hours: float, now: datetime | None
) -> str | None:
    asked = _last_asked(instance, tags) if hours else None
    if asked is None:
        return None
    free = asked + timedelta(hours=hours)
    if (now or datetime.now(UTC)) >= free:
        return None
    what = _ONE[tags[_JOB_TAG]].removeprefix("a ")
    return (
        f"the last {what} was asked for at {asked:%Y-%m-%d %H:%M} UTC, and the "
        f"cool-down of {hours:g} hours ends at {free:%Y-%m-%d %H:%M} UTC"
    )


def _last_asked(instance: dg.DagsterInstance, tags: dict[str, str]) -> datetime | None:
    """When the last run with these `tags`, or of no job of a pipeline that was to make the same, was asked for; None where none was."""
    found = list(instance.get_run_records(dg.RunsFilter(tags=tags), limit=1))
    planned = instance.get_latest_planned_materialization_info(_made(tags))
    if planned is not None:
        record = instance.get_run_record_by_id(planned.run_id)
        if record is not None and _JOB_TAG not in record.dagster_run.tags:
            found.append(record)
    return max((_utc(record.create_timestamp) for record in found), default=None)


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
    what = {"train": "retrainings", "score": "scorings"}.get(tags[_JOB_TAG], "runs")
    return (
        f"{most} {what} were asked for within {days:g} days, which is the budget of "
        f"{option}. {'Look at why they did not help, and l' if 'drift' in triggers else 'L'}aunch one by hand if need be"
    )


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
