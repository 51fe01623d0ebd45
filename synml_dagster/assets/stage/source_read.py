"""Which version of its source an asset read: what the sensor compares with the source of today."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from synml_dagster.errors import SourceError
from synml_dagster.partitions import PartitionsSpec
from synml_dagster.sources import Source
from synml_dagster.sources.version import SOURCE_VERSION, source_version
from synml_dagster.upstream import Reached, dependency, digest_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def reads_from(
    source: Source, own: dg.AssetKey, partitions: PartitionsSpec | None = None
) -> dg.AssetDep | dg.AssetKey:
    """Return what an asset that reads `source` depends on: the asset that it is, or the pipeline's `own` name for it."""
    return dependency(source, partitions) if source.asset else own


def version_read(
    context: dg.AssetExecutionContext, reached: Reached, spark: SparkSession, reader: dg.AssetKey
) -> dict[str, str]:
    """Return the metadata that says so; nothing where nothing tells when the source changes.

    To be asked before the rows are read: a change in between is then seen by the sensor, not missed. Of a source that has
    the run's partitions, each of those of `reader` is told its own.
    """
    source = reached.source
    if source.asset:
        if "" in reached.versions:
            return {SOURCE_VERSION: reached.versions[""]}
        for key, version in reached.versions.items():
            context.add_asset_metadata({SOURCE_VERSION: version}, asset_key=reader, partition_key=key)
        return {}
    try:
        return {SOURCE_VERSION: source_version(source, spark)}
    except SourceError as unknown:
        context.log.debug(f"{unknown}")
        return {}


def says_version(context: dg.AssetExecutionContext, reached: Reached, told: dict[str, str]) -> None:
    """Make the source's version the asset's data version: reading unchanged rows once more is no news downstream."""
    version = told.get(SOURCE_VERSION) or (digest_of(reached.versions) if reached.versions else None)
    if version:
        context.set_data_version(context.asset_key, dg.DataVersion(f"{reached.source.kind}-{version}"))
