"""Dagster's definition of a pipeline's partitions, and the runs that are asked for over them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

import dagster as dg

from synml_dagster.partitions.spec import PartitionsSpec

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
_HOUR = "%Y-%m-%d-%H:%M"


class _HasInstance(Protocol):
    """What a schedule, a sensor and a step have in common; it is asked only where the instance holds the keys."""

    @property
    def instance(self) -> dg.DagsterInstance:
        """Dagster's instance."""
        ...


def partitions_definition(spec: PartitionsSpec) -> dg.PartitionsDefinition:
    """Return Dagster's definition of the partitions; those of one description are equal, so that runs can share them."""
    if spec.every is not None:
        return time_windows(spec)
    if spec.static:
        return dg.StaticPartitionsDefinition(spec.static)
    return dg.DynamicPartitionsDefinition(name=spec.dynamic)


def time_windows(spec: PartitionsSpec) -> dg.TimeWindowPartitionsDefinition:
    """Return the definition of partitions of time; keys are the times at which they begin."""
    assert spec.first is not None
    after = spec.end + timedelta(days=1) if spec.end else None
    if spec.hourly:
        return dg.HourlyPartitionsDefinition(
            start_date=spec.first.strftime(_HOUR),
            end_date=after.strftime(_HOUR) if after else None,
            timezone=spec.timezone,
        )
    start, end = spec.first.date().isoformat(), after.isoformat() if after else None
    if spec.weekly:
        # Dagster counts weekdays from Sunday.
        return dg.WeeklyPartitionsDefinition(
            start_date=start, end_date=end, timezone=spec.timezone, day_offset=spec.weekly.isoweekday() % 7
        )
    if spec.monthly:
        return dg.MonthlyPartitionsDefinition(
            start_date=start, end_date=end, timezone=spec.timezone, day_offset=spec.monthly.day
        )
    return dg.DailyPartitionsDefinition(start_date=start, end_date=end, timezone=spec.timezone)


def partitioned(spec: PartitionsSpec | None) -> dict[str, Any]:
    """Return the arguments that `dagster.asset` takes for a stage with partitions; none where there are none.

    One run for a whole backfill is the default: a run opens Spark once, and a backfill of the train job trains once.
    """
    if spec is None:
        return {}
    policy = dg.BackfillPolicy.multi_run(spec.per_run) if spec.per_run else dg.BackfillPolicy.single_run()
    return {"partitions_def": partitions_definition(spec), "backfill_policy": policy}


def newest(
    spec: PartitionsSpec, context: _HasInstance, now: datetime | None = None, last: int = 1
) -> list[str]:
    """Return the partitions that a schedule or sensor asks for: the `last` ones of time that are over, or all keys that there are."""
    keys = partitions_definition(spec).get_partition_keys(
        current_time=now, dynamic_partitions_store=context.instance if spec.dynamic else None
    )
    return list(keys[-last:] if spec.every else keys)


def newest_read(spec: PartitionsSpec, context: _HasInstance, read: dg.AssetKey, last: int = 1) -> list[str]:
    """Return the `last` ones up to the newest that the asset `read` has materialized, or all keys that there are.

    For what is about rows that were seen, whatever the day is today. Before anything was read it is `newest`.
    """
    there = context.instance.get_materialized_partitions(read) if spec.every else set()
    keys = list(partitions_definition(spec).get_partition_keys()) if there else []
    end = max((i + 1 for i, key in enumerate(keys) if key in there), default=None)
    return newest(spec, context, last=last) if end is None else keys[max(0, end - last) : end]


def run_for(keys: Sequence[str], tags: dict[str, str], run_key: str | None = None) -> dg.RunRequest:
    """Return a request for one run over `keys`, which follow each other in the definition."""
    if len(keys) == 1:
        return dg.RunRequest(run_key=run_key, partition_key=keys[0], tags=tags)
    return dg.RunRequest(run_key=run_key, tags=tags | {RANGE_START: keys[0], RANGE_END: keys[-1]})
