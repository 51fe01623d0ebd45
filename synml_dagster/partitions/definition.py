"""Dagster's definition of a pipeline's partitions, and the runs that are asked for over them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import product
from typing import Any, Protocol

import dagster as dg

from synml_dagster.errors import ConfigError
from synml_dagster.partitions.spec import DimensionSpec, PartitionsSpec

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
_HOUR = "%Y-%m-%d-%H:%M"
_BETWEEN = "|"


class _HasInstance(Protocol):
    """What a schedule, a sensor and a step have in common; it is asked only where the instance holds the keys."""

    @property
    def instance(self) -> dg.DagsterInstance:
        """Dagster's instance."""
        ...


def partitions_definition(spec: PartitionsSpec) -> dg.PartitionsDefinition:
    """Return Dagster's definition of the partitions; those of one description are equal, so that runs can share them."""
    each = {name: _along(axis) for name, axis in spec.axes.items()}
    return dg.MultiPartitionsDefinition(each) if spec.dimensions else each[""]


def keys_by_axis(spec: PartitionsSpec, key: str) -> dict[str, str]:
    """Return the key of each of the axes that a partition's key is made of.

    Examples
    --------
    >>> day, region = {"column": "day", "daily": "2026-01-01"}, {"column": "region", "static": ["north", "south"]}
    >>> keys_by_axis(PartitionsSpec(dimensions={"region": region, "day": day}), "2026-01-02|north")
    {'day': '2026-01-02', 'region': 'north'}
    """
    return dict(zip(spec.axes, _parts(spec, key), strict=True))


def may_be_key(spec: PartitionsSpec, key: str) -> bool:
    """Whether a key is written as those of the partitions are: an asset goes on to have what was read under an earlier description.

    Examples
    --------
    >>> day, region = {"column": "day", "daily": "2026-01-01"}, {"column": "region", "static": ["north", "south"]}
    >>> may_be_key(PartitionsSpec(dimensions={"region": region, "day": day}), "2026-01-02")
    False
    """
    return len(_parts(spec, key)) == len(spec.axes)


def _parts(spec: PartitionsSpec, key: str) -> list[str]:
    return str(key).split(_BETWEEN) if spec.dimensions else [str(key)]


def added_keys(spec: PartitionsSpec, context: _HasInstance) -> dict[str, list[str]]:
    """Return the keys that the instance holds of each of the dynamic partitions, by their name.

    Raises
    ------
    ConfigError
        One of a dimension has what stands between the keys of two: Dagster would leave it out without a word.
    """
    found: dict[str, list[str]] = {}
    for axis in spec.axes.values():
        if axis.dynamic:
            found[axis.dynamic] = list(context.instance.get_dynamic_partitions(axis.dynamic))
            bad = next((key for key in found[axis.dynamic] if spec.dimensions and _BETWEEN in key), None)
            if bad is not None:
                raise ConfigError(
                    f"partitions.dimensions: the dynamic partitions {axis.dynamic!r} hold the key {bad!r}, and {_BETWEEN!r} stands between the keys of two dimensions, so that Dagster makes no partition of it. "
                    "Delete the key, and make a column without that character in the source"
                )
    return found


def _along(axis: DimensionSpec) -> dg.PartitionsDefinition:
    if axis.every is not None:
        return time_windows(axis)
    if axis.static:
        return dg.StaticPartitionsDefinition(axis.static)
    return dg.DynamicPartitionsDefinition(name=axis.dynamic)


def time_windows(spec: DimensionSpec) -> dg.TimeWindowPartitionsDefinition:
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
    """Return the partitions that a schedule or sensor asks for: the `last` ones of time that are over, or all keys that there are.

    Of two dimensions, one of which is of time, all keys of the other at those times.
    """
    return _at_last(spec, _all_keys(spec, context, now), last)


def newest_read(spec: PartitionsSpec, context: _HasInstance, read: dg.AssetKey, last: int = 1) -> list[str]:
    """Return the `last` ones up to the newest that the asset `read` has materialized, or all keys that there are.

    For what is about rows that were seen, whatever the day is today. Before anything was read it is `newest`.
    """
    time = spec.of_time
    there = context.instance.get_materialized_partitions(read) if time is not None else set()
    if time is None or not there:
        return newest(spec, context, last=last)
    seen = {keys_by_axis(spec, key)[time] for key in there if may_be_key(spec, key)}
    keys = _all_keys(spec, context, None)
    times = list(dict.fromkeys(keys_by_axis(spec, key)[time] for key in keys))
    end = max((i + 1 for i, at in enumerate(times) if at in seen), default=None)
    if end is None:
        return newest(spec, context, last=last)
    until = set(times[:end])
    return _at_last(spec, [key for key in keys if keys_by_axis(spec, key)[time] in until], last)


def run_for(keys: Sequence[str], tags: dict[str, str], run_key: str | None = None) -> dg.RunRequest:
    """Return a request for one run over `keys`, which are all from the first to the last, in each of the dimensions."""
    if len(keys) == 1:
        return dg.RunRequest(run_key=run_key, partition_key=keys[0], tags=tags)
    return dg.RunRequest(run_key=run_key, tags=tags | {RANGE_START: keys[0], RANGE_END: keys[-1]})


def _all_keys(spec: PartitionsSpec, context: _HasInstance, now: datetime | None) -> list[str]:
    added = added_keys(spec, context)
    store = context.instance if added else None
    each = [
        _along(axis).get_partition_keys(current_time=now, dynamic_partitions_store=store)
        for axis in spec.axes.values()
    ]
    if not spec.dimensions:
        return list(each[0])
    # Not the definition's own answer, which it keeps for each moment: a key that was added since would be missing.
    return [dg.MultiPartitionKey(dict(zip(spec.axes, pair, strict=True))) for pair in product(*each)]


def _at_last(spec: PartitionsSpec, keys: list[str], last: int) -> list[str]:
    """Return those of the `last` times, in their order: of two dimensions the other one may come first in it."""
    time = spec.of_time
    if time is None:
        return keys
    times = dict.fromkeys(keys_by_axis(spec, key)[time] for key in keys)
    wanted = set(list(times)[-last:])
    return [key for key in keys if keys_by_axis(spec, key)[time] in wanted]
