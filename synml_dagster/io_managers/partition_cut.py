"""How an asset was cut into partitions of time when a partition was published: one key is a day today, and was a week before."""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg

from synml_dagster.errors import SynmlError
from synml_dagster.io_managers.place import partition_of, partition_roots
from synml_dagster.tables import open_table


def cut_of(definition: dg.PartitionsDefinition | None) -> str:
    """Return a text that is another one where the same key means another window of time; empty where no part of a key is one of time.

    Examples
    --------
    >>> cut_of(dg.DailyPartitionsDefinition("2026-01-01")), cut_of(dg.StaticPartitionsDefinition(["a"]))
    ('0 0 * * * UTC', '')
    """
    if isinstance(definition, dg.TimeWindowPartitionsDefinition):
        return f"{definition.cron_schedule} {definition.timezone}"
    if isinstance(definition, dg.MultiPartitionsDefinition):
        each = {dimension.name: cut_of(dimension.partitions_def) for dimension in definition.partitions_defs}
        return ", ".join(f"{name}: {cut}" for name, cut in sorted(each.items()) if cut)
    return ""


def cut_now(context: dg.InputContext | dg.OutputContext) -> str:
    """Return how the asset of an input or an output is cut now."""
    return cut_of(context.asset_partitions_def) if context.has_asset_partitions else ""


def cut_otherwise(roots: Iterable[str | None], cut: str) -> list[str]:
    """Return the partitions beside those at `roots`, of the last hundred, that were published when time was cut otherwise than `cut`."""
    places = set(roots)
    base, inside, _ = (next(iter(places)) or "").rpartition("/partitions/")
    if not (cut and inside):
        return []
    found = []
    for place in partition_roots(base):
        if place in places:
            continue
        try:
            table = open_table(place)
        except SynmlError:
            continue
        if table.other_cut(cut) is not None:
            found.append(partition_of(place) or place)
    return found
