"""The two jobs of a pipeline, and the schedules that start them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dagster as dg

from synml_dagster.automation.spec import AutomationSpec
from synml_dagster.partitions import PartitionsSpec, newest, run_for

AssetJob = Any
"""What `dagster.define_asset_job` returns; its class is not public."""

REASON_TAG = "synml/reason"
"""Every run that a schedule or a sensor asks for says why in this tag."""


def train_job(pipeline: str) -> AssetJob:
    """Return the job that runs the whole pipeline, from the source to the report.

    With partitions, a run reads and scores those that it is for, and trains on all that were ever read.
    """
    return dg.define_asset_job(
        f"{pipeline}_train",
        selection=dg.AssetSelection.groups(pipeline),
        description="From the source to a new challenger, promoted when the rule holds; then scores and report.",
        tags={"synml/pipeline": pipeline, "synml/job": "train"},
    )


def score_job(pipeline: str, scored: list[dg.AssetKey]) -> AssetJob:
    """Return the job that reads the rows anew and scores them with the champion that is in place."""
    return dg.define_asset_job(
        f"{pipeline}_score",
        selection=dg.AssetSelection.assets(*scored),
        description="Reads the rows anew and scores them with the champion that is in place. Trains nothing.",
        tags={"synml/pipeline": pipeline, "synml/job": "score"},
    )


def schedules(
    pipeline: str,
    spec: AutomationSpec,
    train: AssetJob,
    score: AssetJob,
    partitions: PartitionsSpec | None = None,
) -> list[dg.ScheduleDefinition]:
    """Return a schedule for each cron expression of `spec`, stopped until somebody turns it on, or `running` says so.

    With `partitions` a run is for the last whole day, or for all keys that there are.
    """
    found = []
    for word, cron, job in (("score", spec.score, score), ("retrain", spec.retrain, train)):
        if cron:
            tags = {REASON_TAG: f"schedule {cron} {spec.timezone}"}
            # Dagster takes tags or a function, not both.
            asks: dict[str, Any] = (
                {"tags": tags} if partitions is None else {"execution_fn": _asks_for_newest(partitions, tags)}
            )
            found.append(
                dg.ScheduleDefinition(
                    name=f"{pipeline}_{word}_schedule",
                    cron_schedule=cron,
                    execution_timezone=spec.timezone,
                    job=job,
                    **asks,
                    default_status=dg.DefaultScheduleStatus.RUNNING
                    if spec.running
                    else dg.DefaultScheduleStatus.STOPPED,
                    description=f"Runs {pipeline}_{job.name.rsplit('_', 1)[-1]} at {cron} {spec.timezone}.",
                )
            )
    return found


def _asks_for_newest(partitions: PartitionsSpec, tags: dict[str, str]) -> Callable[..., Any]:
    def ask(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        keys = newest(partitions, context, context.scheduled_execution_time)
        return run_for(keys, tags) if keys else dg.SkipReason("there is no partition yet")

    return ask
