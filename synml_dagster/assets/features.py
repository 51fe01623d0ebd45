"""`features`: the model's inputs and label as one table, a folder per side of the split."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from synml_dagster.assets.artifacts import with_its_plan
from synml_dagster.assets.stage import clearly, inputs, stage, stage_key
from synml_dagster.features import SPLIT, FeaturePlan, assemble, assemble_files
from synml_dagster.files import ParquetFiles
from synml_dagster.resources import SparkResource
from synml_dagster.tables import Table


def build_features(
    pipeline: str, after: Sequence[str] = (), window: int | None = None
) -> dg.AssetsDefinition:
    """Return the asset that assembles the features, gated by a check that no row was lost, and by those of the stages `after` which it runs."""

    @dg.asset(
        **stage(
            pipeline,
            "features",
            io_manager_key="spark_tables",
            ins=inputs(pipeline, "raw", "feature_plan", window=window),
            metadata={"partition_by": [SPLIT]},
            deps=[stage_key(pipeline, name) for name in after],
        )
    )
    @clearly
    def features(
        context: dg.AssetExecutionContext, spark: SparkResource, raw: Table, feature_plan: FeaturePlan
    ) -> Any:
        nearest, made = raw.nearest(spark.session), None
        parts = feature_plan.with_all_parts()
        if isinstance(nearest, ParquetFiles):
            made = assemble_files(spark.session, nearest, parts)
        rows = assemble(raw.dataframe(spark.session), parts) if made is None else made
        return with_its_plan(rows, feature_plan, raw)

    return features
