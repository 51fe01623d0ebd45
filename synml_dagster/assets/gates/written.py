"""What a run has written of an asset: the materializations that a check is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from synml_dagster.errors import DataError
from synml_dagster.files import ParquetFiles
from synml_dagster.tables import PARTITION, RUN, open_table
from synml_dagster.tables.table import found_files

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def run_checked(context: dg.AssetCheckExecutionContext, key: dg.AssetKey) -> str:
    """Return the id of the run that a check of `key` is about: its own, or the last that has materialized it where a check runs by itself.

    It is empty where that was reported by hand, in no run.

    Raises
    ------
    DataError
        It was never materialized.
    """
    if _made_in(context, key, context.run.run_id):
        return str(context.run.run_id)
    latest = context.instance.fetch_materializations(key, limit=1).records
    if not latest:
        raise DataError(f"{key.to_user_string()} was never materialized, so that there is nothing to check")
    return latest[0].run_id


def written(context: dg.AssetCheckExecutionContext, key: dg.AssetKey) -> list[dg.AssetMaterialization]:
    """Return what the run that is checked has materialized of `key`, each of its partitions once.

    Raises
    ------
    DataError
        It was never materialized.
    """
    run_id = run_checked(context, key)
    found = _made_in(context, key, run_id) if run_id else []
    if not found:
        latest = context.instance.fetch_materializations(key, limit=1).records
        found = [r.asset_materialization for r in latest if r.asset_materialization is not None]
    return list({made.partition: made for made in found}.values())


def _made_in(
    context: dg.AssetCheckExecutionContext, key: dg.AssetKey, run_id: str
) -> list[dg.AssetMaterialization]:
    events = context.instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    made = [e.asset_materialization for e in events]
    return [m for m in made if m is not None and m.asset_key == key]


def row_count(made: dg.AssetMaterialization) -> int | None:
    """Return the rows that a materialization says, of its partition where it has one."""
    for name in ("dagster/partition_row_count", "dagster/row_count"):
        if name in made.metadata:
            return int(str(made.metadata[name].value))
    return None


def frame(made: dg.AssetMaterialization, spark: SparkSession) -> DataFrame:
    """Open what a materialization has written as a DataFrame, by the schema that it keeps: one without rows may have no file to tell it.

    Of a catalog table to which runs append it is the rows of its run, and of its partition where there are any.
    """
    from pyspark.sql import functions as sf

    told = made.metadata
    if "path" in told:
        root, _, version = str(told["path"].value).rpartition("/versions/")
        return open_table(root, version).dataframe(spark)
    rows = spark.table(str(told["dagster/table_name"].value))
    if RUN in told:
        rows = rows.where(sf.col(RUN) == sf.lit(str(told[RUN].value)))
        if made.partition is not None:
            rows = rows.where(sf.col(PARTITION) == sf.lit(made.partition))
    return rows


def files(made: dg.AssetMaterialization) -> ParquetFiles | None:
    """Return the files that a materialization has written, None of a catalog table."""
    if "path" not in made.metadata:
        return None
    return ParquetFiles(tuple(path for path, _ in found_files(str(made.metadata["path"].value), ())))
