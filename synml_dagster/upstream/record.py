"""What Dagster's instance has recorded of an asset that is a source."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import dagster as dg

from synml_dagster.errors import SourceError, did_you_mean
from synml_dagster.io_managers.place import metadata_of
from synml_dagster.sources import Source

# Dagster marks a data version that an asset has given itself. One that it computes of a code version alone stays the
# same while rows change, and says nothing.
_DATA_VERSION = "dagster/data_version"
_IS_GIVEN = "dagster/data_version_is_user_provided"

_LOOKED_AT = 50


@dataclass(frozen=True)
class Made:
    """One materialization.

    Attributes
    ----------
    version
        Another one where there may be other rows.
    event
        The number of its event, greater than those of all before it.
    own
        Whether the present run, or the one that it re-executes, has made it.
    metadata
        What it says of itself, as plain values.
    """

    version: str
    event: int
    partition: str | None
    own: bool
    metadata: Mapping[str, Any]

    @classmethod
    def of(cls, record: dg.EventLogRecord, runs: Iterable[str] = ()) -> Made:
        """Read a record of the event log."""
        made = record.asset_materialization
        assert made is not None
        tags = made.tags or {}
        if tags.get(_IS_GIVEN) == "true" and _DATA_VERSION in tags:
            version = f"data-{tags[_DATA_VERSION]}"
        else:
            version = f"event-{record.storage_id}"
        own = record.run_id in set(runs)
        return cls(version, record.storage_id, made.partition, own, metadata_of(made.metadata))


class Upstream:
    """An asset of this or another code location, as the instance knows it.

    Parameters
    ----------
    context
        Of a step or of a sensor.
    """

    def __init__(self, context: Any, source: Source) -> None:
        self.key = dg.AssetKey.from_user_string(str(source.asset))
        self.said = f"source.asset: {self.key.to_user_string()}"
        self._context, self._instance = context, context.instance
        self._runs = _own_runs(context)

    @cached_property
    def node(self) -> Any:
        """What this code location's graph says of the asset; None where it is of another one."""
        job = getattr(self._context, "job_def", None)  # of a step
        if job is not None:
            graph = job.asset_layer.asset_graph
        else:
            repository = getattr(self._context, "repository_def", None)
            if repository is None:
                return None
            graph = repository.asset_graph
        return graph.get(self.key) if graph.has(self.key) else None

    @property
    def known(self) -> bool:
        """Whether somebody has defined or materialized it: it may be materialized yet."""
        here = self.node is not None and not self._is_stub
        return here or bool(self._instance.has_asset_key(self.key))

    @property
    def _is_stub(self) -> bool:
        """Whether the node is nothing but the other end of an edge: Dagster makes one of each key that nobody defines."""
        return "dagster/auto_created_stub_asset" in (self.node.metadata or {})

    @property
    def declared(self) -> Mapping[str, Any]:
        """The metadata of its definition, where this code location has one."""
        return {} if self.node is None or self._is_stub else self.node.metadata

    @property
    def definition(self) -> dg.PartitionsDefinition | None:
        """The definition of its partitions, where this code location knows one."""
        return self.node.partitions_def if self.node is not None else None

    @cached_property
    def partitions(self) -> dict[str, int] | None:
        """The event of each partition that was materialized and still is one, by key; None of an asset without partitions.

        Raises
        ------
        SourceError
            It was never materialized, or not since it has these partitions, or there is no such asset.
        """
        newest = self._records(limit=1)
        if not newest:
            raise self.absent()
        made = newest[0].asset_materialization
        if made is None or made.partition is None:
            return None
        events = self._instance.get_latest_storage_id_by_partition(
            self.key, dg.DagsterEventType.ASSET_MATERIALIZATION
        )
        cut = self.definition
        if cut is not None:  # what was made under an earlier definition would be there twice
            keys = set(cut.get_partition_keys(dynamic_partitions_store=self._instance))
            events = {key: event for key, event in events.items() if key in keys}
            if not events:
                raise SourceError(
                    f"{self.said} has materialized none of the partitions that it has now, only some of an earlier definition. Materialize them first."
                )
        return dict(sorted(events.items()))

    def latest(self, partition: str | None = None) -> Made:
        """Return the last materialization, or that of one partition; of those of the present run, where it has made some.

        Raises
        ------
        SourceError
            There is none.
        """
        records = self._records(
            [partition] if partition is not None else None, _LOOKED_AT if self._runs else 1
        )
        if not records:
            raise self.absent(partition)
        own = next((r for r in records if r.run_id in self._runs), records[0])
        return Made.of(own, self._runs)

    def absent(self, partition: str | None = None) -> SourceError:
        """Return the error of an asset, or of one of its partitions, that was never materialized."""
        if partition is not None and (there := self.partitions):
            last = list(there)[-1]
            return SourceError(
                f"{self.said} has never materialized its partition {partition!r}; it has {len(there)}, the last of which is {last!r}. "
                "Materialize that partition there first, or run for others."
            )
        if self.known:
            return SourceError(
                f"{self.said} was never materialized, so that there are no rows to read. Materialize it first; an asset that "
                "Dagster does not run itself has to report its materializations (`report_runless_asset_event`)."
            )
        names = [key.to_user_string() for key in self._instance.all_asset_keys() if key != self.key]
        return SourceError(
            f"{self.said} is no asset of this code location, and Dagster's instance has no materialization of it."
            f"{did_you_mean(self.key.to_user_string(), names)} Correct the key, or materialize it first."
        )

    def version(self) -> str:
        """Return a short text that is another one once it is materialized anew, of partitions once any of them is."""
        if self.partitions is None:
            return self.latest().version
        return digest_of(self.partitions)

    def _records(self, partitions: list[str] | None = None, limit: int = 1) -> list[dg.EventLogRecord]:
        wanted = (
            self.key if partitions is None else dg.AssetRecordsFilter(self.key, asset_partitions=partitions)
        )
        found = self._instance.fetch_materializations(wanted, limit=limit).records
        return [record for record in found if record.asset_materialization is not None]


def digest_of(events: Mapping[str, Any]) -> str:
    """Return a short text of the keys and what belongs to each."""
    lines = "\n".join(f"{key}|{event}" for key, event in sorted(events.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def _own_runs(context: Any) -> tuple[str, ...]:
    try:
        run = context.run
    except Exception:  # a sensor has none
        return ()
    return tuple(r for r in (run.run_id, run.parent_run_id, run.root_run_id) if r)
