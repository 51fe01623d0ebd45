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

_MOST = 1000


def written(context: dg.AssetCheckExecutionContext, key: dg.AssetKey) -> list[dg.AssetMaterialization]:
    """Return what the run of `context` materialized of `key`, by partition, or the latest where a check runs by itself.

    Raises
    ------
    DataError
        It was never materialized.
    """
    records = context.instance.fetch_materializations(key, limit=_MOST).records
    own = [r for r in records if r.run_id == context.run.run_id] or list(records[:1])
    made = [r.asset_materialization for r in reversed(own) if r.asset_materialization is not None]
    if not made:
        raise DataError(f"{key.to_user_string()} was never materialized, so that there is nothing to check")
    return made


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
