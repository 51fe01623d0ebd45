"""The rows of a source, whichever it is: of an asset those that its materializations lead to, partition by partition where both have them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import dagster as dg

from synml_dagster.errors import ConfigError, SourceError
from synml_dagster.io_managers.partition_cut import cut_of
from synml_dagster.partitions import PartitionsSpec, newest, partitions_definition, rows_of
from synml_dagster.partitions.run_parts import RESULT, parts_of
from synml_dagster.sources import Source, read_source
from synml_dagster.sources.files import source_files
from synml_dagster.tables import Table, together, unioned
from synml_dagster.upstream.agreement import check_agreement
from synml_dagster.upstream.place import Place, place_of
from synml_dagster.upstream.record import Made, Upstream, digest_of

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
            return together(tables).dataframe(spark)
        return unioned(
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
        return unioned(list({id(frame): frame for frame in self.frames.values()}.values()))

    def nearest(self) -> Any:
        """Return all rows as the files that tasks can read by themselves, where they are all there is to it; else as a DataFrame."""
        (places,) = self.reached.places.values()
        tables = [p for p in places if isinstance(p, Table)]
        if tables and len(tables) == len(places):
            return together(tables).nearest(self.spark)
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
        _check_once(upstream, whole)
        # Of what is read, and not of what others have materialized since: a run goes on from its own.
        version = made[0].version if there is None else digest_of({str(m.partition): m.event for m in made})
        return Reached(source, {"": whole}, {"": version})
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
    if upstream.definition is None and not partitions.dimensions and partitions.of_time is not None:
        _check_windows(context, upstream, partitions, made_of, there)
    versions = {key: made.version for key, made in made_of.items()}
    if given is not None:
        return Reached(source, {"": [given]}, versions, partitions)
    places = {key: [place_of(upstream, made, source)] for key, made in made_of.items()}
    _check_cut(upstream, partitions, {key: place for key, (place,) in places.items()})
    if not partitions.has_columns:
        _check_apart(upstream, source, {key: place for key, (place,) in places.items()}, there)
    return Reached(source, places, versions, partitions)


def _check_windows(
    context: dg.AssetExecutionContext,
    upstream: Upstream,
    spec: PartitionsSpec,
    made: Mapping[str, Made],
    there: Mapping[str, int],
) -> None:
    """Refuse partitions of time that an asset of another code location cuts otherwise, as far as its keys tell: of days and weeks they are of one form."""
    own = list(dict.fromkeys(newest(spec, context, last=sys.maxsize)))
    known, since = set(own), min(one.event for one in made.values())
    # What is older may be of an earlier definition of that asset.
    other = next((k for k, e in there.items() if e > since and own[0] < k < own[-1] and k not in known), None)
    if other is not None:
        raise ConfigError(
            f"partitions: partition p is read from partition p of {upstream.said}, which has materialized {other!r}, and that is none of the description's {spec.cut} partitions. "
            "Let both be of one length, or read it by path, table, jdbc or sql instead of asset."
        )


def _check_cut(upstream: Upstream, spec: PartitionsSpec, places: Mapping[str, Place]) -> None:
    """Refuse a table of this package that was published for another window of time than its key means here."""
    own = cut_of(partitions_definition(spec))
    for key, place in places.items():
        if isinstance(place, Table) and (theirs := place.other_cut(own)) is not None:
            raise ConfigError(
                f"partitions: partition {key!r} of {upstream.said} was published when its partitions were those of {theirs!r}, and those of the description are those of {own!r}. "
                "Materialize it there again, or let both be cut alike."
            )


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
        twin = next(
            (other for other, theirs in every.items() if other != key and _overlap(theirs, place)), None
        )
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


def _check_once(upstream: Upstream, places: Sequence[Place]) -> None:
    """Refuse a folder within another one of them: its rows would be there twice."""
    paths = sorted(f"{p.path}/" for p in places if isinstance(p, Source) and p.path)
    for outer, inner in pairwise(paths):
        if inner.startswith(outer):
            raise ConfigError(
                f"{upstream.said}: the rows of one of its partitions lie in {inner!r} and those of another in {outer!r}, which holds that folder, so that they would be "
                "read twice. Say where all of them are by path, table, jdbc or sql beside source.asset, or materialize the older ones anew."
            )


def _overlap(one: Place, other: Place) -> bool:
    """Whether rows lie in both of two places: they are one, or one is a folder within the other."""
    if not (isinstance(one, Source) and isinstance(other, Source) and one.path and other.path):
        return one == other
    outer, inner = sorted((f"{one.path}/", f"{other.path}/"))
    return inner.startswith(outer)
