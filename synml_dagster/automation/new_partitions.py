"""Which partitions of an asset that is a source have other rows than were read, and the run that is asked for over them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import takewhile
from typing import Any

import dagster as dg

from synml_dagster.partitions import PartitionsSpec, keys_by_axis, newest
from synml_dagster.sources.version import SOURCE_VERSION
from synml_dagster.upstream import Upstream


@dataclass(frozen=True)
class Seen:
    """What the sensor's cursor holds.

    Attributes
    ----------
    upto
        The last event of the source, of a partition of the pipeline, that was looked at.
    left
        Partitions that changed and have not been asked for.
    asked
        Partitions that were asked for and have never been read: runs that failed are not asked for again.
    changes
        A number that each request raises: Dagster never starts two runs of one run key.
    """

    upto: int
    changes: int
    left: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, cursor: str | None) -> Seen:
        """Read a cursor; one that is not there, or was reset by hand, begins anew with a count that no run key has had."""
        try:
            return cls(**json.loads(cursor or ""))
        except (ValueError, TypeError):
            return cls(0, int(time.time()))

    def written(self) -> str:
        """Return the cursor."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Changed:
    """The partitions that have other rows than were read.

    Attributes
    ----------
    versions
        Of each of them, in the order of their definition, the version that is there now.
    keys
        Those for one run: the newest that follow each other.
    after
        The cursor once these are asked for; of no change the one to go on with.
    """

    versions: Mapping[str, str]
    keys: list[str]
    after: Seen


def changed_partitions(
    context: dg.SensorEvaluationContext,
    upstream: Upstream,
    reader: dg.AssetKey,
    spec: PartitionsSpec,
    seen: Seen,
) -> Changed:
    """Compare what `upstream` has materialized with what `reader` has read, partition by partition.

    What is looked at is what has changed since the last look, so that a tick takes no longer with a year of days.
    """
    there = upstream.partitions or {}
    keys = [str(key) for key in newest(spec, context, last=sys.maxsize)]
    read = context.instance.get_latest_storage_id_by_partition(
        reader, dg.DagsterEventType.ASSET_MATERIALIZATION
    )
    looked_at = [
        key
        for key in keys
        if key in there
        and (there[key] > seen.upto or key in seen.left or not (key in read or key in seen.asked))
    ]
    versions = {key: upstream.latest(key).version for key in looked_at}
    fresh = {key: v for key, v in versions.items() if key not in read or v != _read(context, reader, key)}
    asked = keys_for_one_run(list(fresh), keys, spec)
    after = Seen(
        upto=max((there[key] for key in keys if key in there), default=seen.upto),
        changes=seen.changes + bool(asked),
        left=[key for key in fresh if key not in asked],
        asked=[key for key in dict.fromkeys([*seen.asked, *asked]) if key not in read],
    )
    return Changed(fresh, asked, after)


def keys_for_one_run(changed: list[str], keys: list[str], spec: PartitionsSpec) -> list[str]:
    """Return the newest that follow each other, and that a range of the definition is nothing but."""
    if not changed:
        return []
    row = keys
    if spec.dimensions:
        fixed = spec.of_time or next(iter(spec.axes))
        of = {key: keys_by_axis(spec, key)[fixed] for key in keys}
        place = {at: i for i, at in enumerate(dict.fromkeys(of.values()))}
        # Not that of the last key: the other dimension may come first in the order.
        newest_of_all = max((of[key] for key in changed), key=place.__getitem__)
        row = [key for key in keys if of[key] == newest_of_all]
        changed = [key for key in changed if of[key] == newest_of_all]
    wanted, end = set(changed), row.index(changed[-1])
    back = list(takewhile(lambda key: key in wanted, reversed(row[: end + 1])))
    return list(reversed(back[: spec.per_run]))


def _read(context: dg.SensorEvaluationContext, reader: dg.AssetKey, key: str) -> str | None:
    found = context.instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=reader, asset_partitions=[key]), limit=1
    ).records
    return version_in(found[0].asset_materialization if found else None)


def version_in(made: dg.AssetMaterialization | None) -> str | None:
    """Return the version of the source that a materialization has read, as it says itself."""
    version: Any = made.metadata.get(SOURCE_VERSION) if made is not None else None
    return str(version.value) if version is not None else None
