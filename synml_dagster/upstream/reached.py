"""The rows of a source, whichever it is: of an asset those that its materializations lead to, partition by partition where both have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import dagster as dg

from synml_dagster.errors import ConfigError, SourceError
from synml_dagster.partitions import PartitionsSpec, rows_of
from synml_dagster.partitions.run_parts import RESULT, parts_of
from synml_dagster.sources import Source, read_source
from synml_dagster.sources.files import source_files
from synml_dagster.tables import Table, TableUnion
from synml_dagster.upstream.agreement import check_agreement
from synml_dagster.upstream.place import Place, place_of
from synml_dagster.upstream.record import Made, Upstream

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class Reached:
    """Where the rows of a source are now.

    Attributes
    ----------
    versions
        The version of each of the run's partitions, or of the whole under an empty key; nothing of a source that is no asset.
    places
        Where the rows of each of the run's partitions lie, or all rows under an empty key.
    """

    source: Source
    places: Mapping[str, Sequence[Place]]
    versions: Mapping[str, str] = field(default_factory=dict)
    partitions: PartitionsSpec | None = None

    @property
    def by_partition(self) -> bool:
        """Whether each of the run's partitions is one of the source."""
        return "" not in self.places

    @property
    def sources(self) -> list[Source]:
        """The places that are no tables of this package."""
        return [p for place in self.places.values() for p in place if isinstance(p, Source)]

    def open(
        self,
        spark: SparkSession,
        *,
        known: Mapping[str, str] | None = None,
        notes: list[str] | None = None,
    ) -> Opened:
        """Open the rows as DataFrames; see `read_source` for `known` and `notes`.

        Raises
        ------
        SourceError
            They cannot be read.
        """
        read: dict[str, DataFrame] = {}
        for key, places in self.places.items():
            # Partitions that lie in one place are read once.
            alike = next((k for k in read if self.places[k] == places), None)
            read[key] = read[alike] if alike is not None else self._frame(spark, places, known, notes)
        return Opened(self, read, spark)

    def _frame(
        self,
        spark: SparkSession,
        places: Sequence[Place],
        known: Mapping[str, str] | None,
        notes: list[str] | None,
    ) -> DataFrame:
        tables = [p for p in places if isinstance(p, Table)]
        if len(tables) == len(places):
            return (tables[0] if len(tables) == 1 else TableUnion.of(tables)).dataframe(spark)
        return _union(
            [
                p.dataframe(spark) if isinstance(p, Table) else self._read(spark, p, known, notes)
                for p in places
            ]
        )

    def _read(
        self,
        spark: SparkSession,
        place: Source,
        known: Mapping[str, str] | None,
        notes: list[str] | None,
    ) -> DataFrame:
        try:
            return read_source(spark, place, known=known, notes=notes)
        except SourceError as problem:
            if not self.source.asset or self.source.place is not None:
                raise
            raise SourceError(
                f"{problem} This is where {self.source.describe()} says that its rows are; if Spark reaches them elsewhere, "
                "say so by path, table, jdbc or sql beside source.asset."
            ) from problem


@dataclass(frozen=True)
class Opened:
    """The rows of a source as DataFrames, by partition of the run or all under an empty key."""

    reached: Reached
    frames: Mapping[str, DataFrame]
    spark: SparkSession

    @property
    def whole(self) -> DataFrame:
        """All of the rows that were opened."""
        return _union(list({id(frame): frame for frame in self.frames.values()}.values()))

    def nearest(self) -> Any:
        """Return all rows as the files that tasks can read by themselves, where they are all there is to it; else as a DataFrame."""
        (places,) = self.reached.places.values()
        tables = [p for p in places if isinstance(p, Table)]
        if tables and len(tables) == len(places):
            return (tables[0] if len(tables) == 1 else TableUnion.of(tables)).nearest(self.spark)
        frame = next(iter(self.frames.values()))
        files = (
            source_files(self.spark, places[0], frame)
            if len(places) == 1 and isinstance(places[0], Source)
            else None
        )
        return frame if files is None else files

    def parts(self, context: dg.AssetExecutionContext) -> dict[str, Any]:
        """Return the rows of each of the run's partitions."""
        spec = self.reached.partitions
        assert spec is not None
        if not self.reached.by_partition:
            return parts_of(context, self.frames[""], spec)
        if not spec.has_columns:
            return {
                key: Opened(
                    replace(self.reached, places={"": self.reached.places[key]}), {"": frame}, self.spark
                ).nearest()
                for key, frame in self.frames.items()
            }
        found = {key: rows_of(frame, spec, key) for key, frame in self.frames.items()}
        self._say_left_out(context, spec, found)
        return found

    def _say_left_out(
        self, context: dg.AssetExecutionContext, spec: PartitionsSpec, found: Mapping[str, DataFrame]
    ) -> None:
        """Say how many rows lie where a partition's own do and are no rows of it by their column."""
        left = 0
        for key, frame in self.frames.items():
            alike = [k for k in self.frames if self.frames[k] is frame]
            if alike[0] == key and len(alike) == 1 and not self._is_shared(key):
                left += frame.count() - found[key].count()
        if left:
            columns = " and ".join(repr(axis.column) for axis in spec.axes.values())
            context.log.warning(
                f"{left} rows lie with partitions of {self.reached.source.describe()} that they do not belong to by their column {columns}, and are not read. "
                "Where the asset's partitions are right, leave partitions.column out."
            )
        context.add_output_metadata({"rows of other partitions": left}, output_name=RESULT)

    def _is_shared(self, key: str) -> bool:
        """Whether the rows of several partitions lie in one place, as those of one table do."""
        return any(isinstance(p, Source) and p.path is None for p in self.reached.places[key])


def reach(
    context: dg.AssetExecutionContext, source: Source, partitions: PartitionsSpec | None = None
) -> Reached:
    """Return where the rows of `source` are, of an asset as Dagster's instance says now; nothing is read yet.

    Raises
    ------
    SourceError
        The asset was never materialized, or nothing tells where its rows are.
    ConfigError
        Its partitions are not those of the run.
    """
    if not source.asset:
        return Reached(source, {"": [source]}, {}, partitions)
    upstream = Upstream(context, source)
    there = upstream.partitions
    given = source.without_asset() if source.place else None
    if partitions is None:
        made = [upstream.latest(key) for key in there] if there is not None else [upstream.latest()]
        whole = [given] if given else _distinct([place_of(upstream, m, source) for m in made])
        return Reached(source, {"": whole}, {"": upstream.version()})
    if there is None:
        if not partitions.has_columns:
            raise ConfigError(
                f"{upstream.said} has no partitions, so that partitions.column has to say which of its rows belong to which"
            )
        latest = upstream.latest()
        return Reached(
            source,
            {"": [given or place_of(upstream, latest, source)]},
            {"": latest.version},
            partitions,
        )
    check_agreement(upstream.key, upstream.definition, partitions)
    made_of = {key: upstream.latest(key) for key in context.partition_keys}
    versions = {key: made.version for key, made in made_of.items()}
    if given is not None:
        return Reached(source, {"": [given]}, versions, partitions)
    places = {key: [place_of(upstream, made, source)] for key, made in made_of.items()}
    if not partitions.has_columns:
        _check_apart(upstream, source, {key: place for key, (place,) in places.items()}, there)
    return Reached(source, places, versions, partitions)


def _check_apart(
    upstream: Upstream, source: Source, places: Mapping[str, Place], there: Mapping[str, int]
) -> None:
    """Refuse partitions whose rows no column tells apart and that lie in one place: each would be read as all of them."""
    others: dict[str, Place] = {}
    another = next((key for key in reversed(list(there)) if key not in places), None)
    if another is not None:
        others[another] = place_of(upstream, upstream.latest(another), source)
    every = dict(places) | others
    for key, place in places.items():
        if isinstance(place, Source) and place.path is None:
            raise ConfigError(
                f"{upstream.said}: the rows of all its partitions are in {place.describe()}, so that partitions.column has to say which of them belong to {key!r}"
            )
        twin = next((other for other, theirs in every.items() if other != key and theirs == place), None)
        if twin is not None:
            where = place.describe() if isinstance(place, Source) else place.root
            raise ConfigError(
                f"{upstream.said}: its partitions {key!r} and {twin!r} both lie in {where}, so that partitions.column has to say which rows belong to which"
            )


def _distinct(places: Sequence[Place]) -> list[Place]:
    found: list[Place] = []
    for place in places:
        if place not in found:
            found.append(place)
    return found


def _union(frames: Sequence[DataFrame]) -> DataFrame:
    whole = frames[0]
    for frame in frames[1:]:
        whole = whole.unionByName(frame, allowMissingColumns=True)
    return whole


__all__ = ["Made", "Opened", "Reached", "reach"]
