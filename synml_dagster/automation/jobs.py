"""The two jobs of a pipeline, and the schedules that start them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg

from synml_dagster.automation.spec import AutomationSpec
from synml_dagster.partitions import PartitionsSpec, newest, run_for
from synml_dagster.resources.reason import REASON_TAG
from synml_dagster.resources.said_first import RETRIES

ONCE_MORE = dg.RetryPolicy(max_retries=RETRIES, delay=10)
"""A step is tried once more in its run where what failed may pass by itself; see `said_first` for what does not."""

AssetJob = Any
"""What `dagster.define_asset_job` returns; its class is not public."""


def train_job(pipeline: str, without: Sequence[dg.AssetKey] = ()) -> AssetJob:
    """Return the job that runs the whole pipeline, from the source to the report, but for the assets `without`.

    With partitions, a run reads and scores those that it is for, and trains on all that were ever read.
    """
    return dg.define_asset_job(
        f"{pipeline}_train",
        selection=dg.AssetSelection.groups(pipeline) - dg.AssetSelection.assets(*without),
        description="From the source to a new challenger, promoted when the rule holds; then scores and report.",
        tags={"synml/pipeline": pipeline, "synml/job": "train"},
        op_retry_policy=ONCE_MORE,
    )


def score_job(pipeline: str, scored: list[dg.AssetKey]) -> AssetJob:
    """Return the job that reads the rows anew and scores them with the champion that is in place."""
    return dg.define_asset_job(
        f"{pipeline}_score",
        selection=dg.AssetSelection.assets(*scored),
        description="Reads the rows anew and scores them with the champion that is in place. Trains nothing.",
        tags={"synml/pipeline": pipeline, "synml/job": "score"},
        op_retry_policy=ONCE_MORE,
    )


def measure_job(pipeline: str, live: dg.AssetKey) -> AssetJob:
    """Return the job that measures the champion on the rows that it scored and whose labels have come since."""
    return dg.define_asset_job(
        f"{pipeline}_measure",
        selection=dg.AssetSelection.assets(live),
        description="Measures the champion on rows that it scored before their labels were known. Trains nothing.",
        tags={"synml/pipeline": pipeline, "synml/job": "measure"},
        op_retry_policy=ONCE_MORE,
    )


def schedules(
    pipeline: str,
    spec: AutomationSpec,
    train: AssetJob,
    score: AssetJob,
    partitions: PartitionsSpec | None = None,
) -> list[dg.ScheduleDefinition]:
    """Return a schedule for each cron expression of `spec`, stopped until somebody turns it on, or `running` says so.

    With `partitions` a run is for the last whole day, or for all keys that there are; a retraining is for the last
    `spec.read_again` partitions of time.
    """
    found = []
    for word, cron, job in (("score", spec.score, score), ("retrain", spec.retrain, train)):
        if cron:
            tags = {REASON_TAG: f"schedule {cron} {spec.timezone}"}
            # Dagster takes tags or a function, not both.
            asks: dict[str, Any] = (
                {"tags": tags}
                if partitions is None
                else {
                    "execution_fn": _asks_for_newest(
                        partitions, tags, spec.read_again if word == "retrain" else 1
                    )
                }
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


def _asks_for_newest(partitions: PartitionsSpec, tags: dict[str, str], last: int) -> Callable[..., Any]:
    def ask(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        keys = newest(partitions, context, context.scheduled_execution_time, last)
        return run_for(keys, tags) if keys else dg.SkipReason("there is no partition yet")

    return ask
