"""What keeps the sensors that retrain from asking again and again: one training at a time, a cool-down, a budget."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg

from synml_dagster.automation.retrain_spec import RetrainOnSpec

TRIGGER_TAG = "synml/trigger"
"""Which sensor asked for a retraining: drift, decay or age."""

_UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def held_back(
    instance: dg.DagsterInstance, pipeline: str, spec: RetrainOnSpec, now: datetime | None = None
) -> str | None:
    """Return why no retraining may be asked for now, None where one may.

    All of it is read from the runs that the instance keeps, so that a cursor which is reset by hand releases no brake.
    Runs count whether they succeeded or not: one that fails at once would else be asked for at each tick.
    """
    moment = now or datetime.now(UTC)
    training = {"synml/pipeline": pipeline, "synml/job": "train"}
    if running := instance.get_run_records(dg.RunsFilter(tags=training, statuses=_UNDER_WAY), limit=1):
        return f"a training is under way, run {running[0].dagster_run.run_id[:8]}"
    if latest := instance.get_run_records(dg.RunsFilter(tags=training), limit=1):
        free = _utc(latest[0].create_timestamp) + timedelta(hours=spec.cool_down_hours)
        if moment < free:
            return (
                f"the last training was asked for at {_utc(latest[0].create_timestamp):%Y-%m-%d %H:%M} UTC, and the "
                f"cool-down of {spec.cool_down_hours:g} hours ends at {free:%Y-%m-%d %H:%M} UTC"
            )
    since = moment - timedelta(days=spec.within_days)
    asked = instance.get_run_records(
        dg.RunsFilter(tags=training | {TRIGGER_TAG: ["drift", "decay", "age"]}, created_after=since),
        limit=spec.at_most,
    )
    if len(asked) >= spec.at_most:
        return (
            f"{spec.at_most} retrainings were asked for within {spec.within_days:g} days, which is the budget of "
            "automation.retrain_on.at_most. Look at why they did not help, and launch one by hand if need be"
        )
    return None


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
