"""Which version of its source an asset read: what the sensor compares with the source of today."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from synml_dagster.errors import SourceError
from synml_dagster.sources import Source
from synml_dagster.sources.version import SOURCE_VERSION, source_version

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def version_read(context: dg.AssetExecutionContext, source: Source, spark: SparkSession) -> dict[str, str]:
    """Return the metadata that says so; nothing where nothing tells when the source changes.

    To be asked before the rows are read: a change in between is then seen by the sensor, not missed.
    """
    try:
        return {SOURCE_VERSION: source_version(source, spark)}
    except SourceError as unknown:
        context.log.debug(f"{unknown}")
        return {}


def says_version(context: dg.AssetExecutionContext, source: Source, told: dict[str, str]) -> None:
    """Make the source's version the asset's data version: reading unchanged rows once more is no news downstream."""
    if version := told.get(SOURCE_VERSION):
        context.set_data_version(context.asset_key, dg.DataVersion(f"{source.kind}-{version}"))
