"""The order of an input's partitions, and which of them are the newest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dagster as dg

from synml_dagster.io_managers.place import partition_of
from synml_dagster.tables import Table


def in_order(context: dg.InputContext, roots: Mapping[str | None, str]) -> dict[str | None, str]:
    """Return the roots of an input in the order in which its partitions are defined: but for those of time, Dagster hands them on as a set."""
    if len(roots) < 2:
        return dict(roots)
    cut = context.asset_partitions_def
    store = context.instance if _is_dynamic(cut) else None
    place = {str(key): i for i, key in enumerate(cut.get_partition_keys(dynamic_partitions_store=store))}
    return dict(sorted(roots.items(), key=lambda each: place.get(str(each[0]), len(place))))


def newest_of(context: dg.InputContext, tables: Sequence[Table], count: int) -> list[Table]:
    """Return the last `count` of `tables`, which are in order; of two dimensions, one of which is of time, those of its last `count` keys that are there."""
    cut = context.asset_partitions_def if context.has_asset_partitions else None
    if not isinstance(cut, dg.MultiPartitionsDefinition) or not cut.has_time_window_dimension:
        return list(tables[-count:])
    # The other dimension may come first in the order, which is that of the dimensions' names.
    time = cut.primary_dimension
    at = {
        table.root: cut.get_partition_key_from_str(str(partition_of(table.root))).keys_by_dimension[time.name]
        for table in tables
    }
    there = set(at.values())
    wanted = [key for key in time.partitions_def.get_partition_keys() if key in there][-count:]
    return [table for table in tables if at[table.root] in wanted]


def _is_dynamic(cut: dg.PartitionsDefinition) -> bool:
    if isinstance(cut, dg.MultiPartitionsDefinition):
        return any(_is_dynamic(dimension.partitions_def) for dimension in cut.partitions_defs)
    return isinstance(cut, dg.DynamicPartitionsDefinition)
