"""The tables that an input reads: what its run has published, else what is there, partition by partition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import dagster as dg
from dagster import DagsterInvariantViolationError

from synml_dagster.errors import ConfigError, SourceError
from synml_dagster.io_managers.newest import in_order, newest_of
from synml_dagster.io_managers.partition_cut import cut_now
from synml_dagster.io_managers.place import metadata_of
from synml_dagster.io_managers.run_versions import own_versions, replaced
from synml_dagster.tables import PARTITION, Table, open_catalog_table, open_table, together

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def opened_input(context: dg.InputContext, roots: Mapping[str | None, str]) -> Table:
    """Open the tables under `roots`, by partition or under None, as one.

    Raises
    ------
    SourceError
        One is not there, or holds the rows of another window of time than its key means now, unless partitions may be missing.
    """
    upstream, asked = context.upstream_output, metadata_of(context.definition_metadata)
    absent, newest = asked.get("allow_missing_partitions"), asked.get("newest")
    key = context.asset_key.to_user_string() if context.has_asset_key else f"the input {context.name!r}"
    # Of rows that runs append those of all runs are there, and the versions of one are no versions of them.
    appended = upstream is not None and metadata_of(upstream.definition_metadata).get("append")
    found, own = [], {} if appended else own_versions(context)
    for part, root in in_order(context, dict(roots)).items():
        version = own.get(part)
        try:
            table = open_table(root, version)
        except SourceError as problem:
            if part is None or version is not None or not absent:
                where = f"{key}, partition {part!r}" if part is not None else key
                raise replaced(where, version, problem) from problem
            continue
        # Earlier releases did not write down how time was cut.
        before = table.other_cut(cut_now(context)) if part is not None else None
        if before is None:
            found.append(table)
            continue
        said = (
            f"{key}, partition {part!r}: its rows were published when its partitions were those of {before!r}, and they are those of {cut_now(context)!r} now. "
            "Materialize that partition again."
        )
        if not absent:
            raise SourceError(said)
        context.log.warning(f"{said} It is passed over.")
    if not found:
        raise SourceError(f"{key}: none of its {len(roots)} partitions has been materialized")
    return together(newest_of(context, found, int(newest)) if newest else found)


def opened_catalog_input(context: dg.InputContext, spark: SparkSession, name: str) -> DataFrame:
    """Open the catalog table `name`; of an asset with partitions, whose runs append, the rows of those that the input is for.

    Raises
    ------
    SourceError
        There is no such table, or one of the partitions was never materialized, unless partitions may be missing.
    ConfigError
        The input asks for its newest partitions.
    """
    from pyspark.sql import functions as sf

    frame, asked = open_catalog_table(spark, name), metadata_of(context.definition_metadata)
    if not context.has_asset_partitions:
        return frame
    key, wanted = context.asset_key, list(context.asset_partition_keys)
    if asked.get("newest"):
        raise ConfigError(
            f"{key.to_user_string()}: its partitions are rows of the catalog table {name!r}, of which an input cannot ask for the newest. Take all, and choose them by the column {PARTITION!r}."
        )
    if not asked.get("allow_missing_partitions"):
        # The table does not tell: a partition may have been materialized and have no rows.
        try:
            there = context.instance.get_materialized_partitions(key)
        except DagsterInvariantViolationError:  # outside of a run: `Definitions.load_asset_value`
            there = set(wanted)
        if missing := [part for part in wanted if part not in there]:
            raise SourceError(
                f"{key.to_user_string()}, partition {missing[0]!r}: nothing of it is in {name!r} yet. Materialize it first."
            )
    return frame.where(sf.col(PARTITION).isin(wanted))
