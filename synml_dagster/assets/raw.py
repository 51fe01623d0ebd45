"""`raw`: the source in a snapshot that the whole run reads, so that every stage sees the same rows."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from synml_dagster.assets.artifacts import COLUMNS, check_carried
from synml_dagster.assets.stage import (
    check_apart,
    clearly,
    reads_from,
    says_version,
    stage,
    stage_key,
    version_read,
)
from synml_dagster.errors import DataError
from synml_dagster.files import ParquetFiles
from synml_dagster.io_managers.last_output import last_types
from synml_dagster.partitions import PartitionsSpec, partitioned
from synml_dagster.partitions.spec import CUT
from synml_dagster.resources import SparkResource
from synml_dagster.resources.reason import reason_of
from synml_dagster.sources import Source
from synml_dagster.upstream import reach

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def build_raw(
    pipeline: str,
    source: Source,
    partitions: PartitionsSpec | None = None,
    minimum_rows: int | None = None,
    scores: Sequence[str | None] = (),
    carried: Sequence[str] | None = (),
    check_columns: "Callable[[DataFrame], None] | None" = None,
    added: Sequence[str] = (),
) -> dg.AssetsDefinition:
    """Return the asset that reads `source`, or, of a source with partitions, the rows of those that it runs for.

    A source of fewer than `minimum_rows` ends the run, before the snapshot of an earlier one is replaced; so does one
    in whose folder the pipeline's own data or its `scores` would lie. `carried` are the columns that predictions of these rows
    keep, None for all of them: one that has the name of an answer, or is among the further columns `added` to these, is refused before any work. `check_columns` refuses a table, by its schema, that the same run
    would make no plan of.
    """

    @dg.asset(
        **stage(
            pipeline,
            "raw",
            io_manager_key="spark_tables",
            deps=[reads_from(source, stage_key(pipeline, "source"), partitions)],
            **partitioned(partitions),
        )
    )
    @clearly
    def raw(
        context: dg.AssetExecutionContext, spark: SparkResource, spark_tables: dg.ResourceParam[Any]
    ) -> Any:
        reached = reach(context, source, partitions)
        for place in reached.sources:
            check_apart(place, "source", *scores)
        version = version_read(context, reached, spark.session, stage_key(pipeline, "raw"))
        says_version(context, reached, version)
        told: dict[str, Any] = {"source": source.describe()} | version | reason_of(context)
        notes: list[str] = []
        # A column of codes stays one on a day whose codes happen to be digits: types go on from the snapshot before.
        known = last_types(spark_tables, pipeline, "raw")
        opened = reached.open(spark.session, known=known, notes=notes)
        frame = opened.whole
        for note in notes:
            context.log.warning(f"source: {note}")
        if notes:
            told["source notes"] = dg.MetadataValue.md("\n".join(f"- {note}" for note in notes))
        # Rows that are only to be scored need no label, and of partitions older ones may have what these have not.
        plans = stage_key(pipeline, "feature_plan") in context.job_def.asset_layer.executable_asset_keys
        if check_columns is not None and partitions is None and plans:
            check_columns(frame)
        check_carried(frame.columns if carried is None else carried, (*COLUMNS, *added))
        if partitions is not None:
            context.add_output_metadata(told | {CUT: partitions.cut})
            return opened.parts(context)
        rows = opened.nearest()
        files = rows if isinstance(rows, ParquetFiles) else None
        if frame.isEmpty() if files is None else files.count() == 0:
            raise DataError(f"source: {source.describe()} is an empty table; there is nothing to learn from")
        if minimum_rows:
            count = frame.count() if files is None else files.count()
            if count < minimum_rows:
                raise DataError(
                    f"source: {source.describe()} has {count} rows, and automation.minimum_rows asks for {minimum_rows}. "
                    "Is it still being written? Run again when it is whole, or lower automation.minimum_rows."
                )
        context.add_output_metadata(told)
        return rows

    return raw
