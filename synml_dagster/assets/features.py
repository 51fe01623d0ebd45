"""`features`: the model's inputs and label as one table, a folder per side of the split."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from synml_dagster.assets.artifacts import with_its_plan
from synml_dagster.assets.groups.training_weights import REWEIGHING, reweighed_rows
from synml_dagster.assets.stage import clearly, inputs, markdown_table, stage, stage_key
from synml_dagster.checks import BalanceSpec
from synml_dagster.features import SPLIT, FeaturePlan, assemble, assemble_files
from synml_dagster.files import ParquetFiles
from synml_dagster.resources import SparkResource
from synml_dagster.tables import Table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def build_features(
    pipeline: str,
    after: Sequence[str] = (),
    window: int | None = None,
    balance: BalanceSpec | None = None,
) -> dg.AssetsDefinition:
    """Return the asset that assembles the features, gated by a check that no row was lost, and by those of the stages `after` which it runs.

    `balance` may ask for weights that balance the groups of sensitive columns; the table then carries them.
    """

    @dg.asset(
        **stage(
            pipeline,
            "features",
            io_manager_key="spark_tables",
            ins=inputs(pipeline, "raw", "feature_plan", newest={"raw": window}),
            metadata={"partition_by": [SPLIT]},
            deps=[stage_key(pipeline, name) for name in after],
        )
    )
    @clearly
    def features(
        context: dg.AssetExecutionContext, spark: SparkResource, raw: Table, feature_plan: FeaturePlan
    ) -> Any:
        if balance is not None and balance.reweighed_columns:
            return _reweighed(context, raw.dataframe(spark.session), raw, feature_plan, balance)
        nearest, made = raw.nearest(spark.session), None
        parts = feature_plan.with_all_parts()
        if isinstance(nearest, ParquetFiles):
            made = assemble_files(spark.session, nearest, parts)
        rows = assemble(raw.dataframe(spark.session), parts) if made is None else made
        return with_its_plan(rows, feature_plan, raw)

    return features


def _reweighed(
    context: dg.AssetExecutionContext, rows: "DataFrame", raw: Table, plan: FeaturePlan, balance: BalanceSpec
) -> Any:
    made, found = reweighed_rows(rows, plan.with_all_parts(), balance)
    context.log.info(f"balance.reweigh: {found.said()}; learned on {found.rows:,} training rows")
    for note in found.notes:
        context.log.warning(f"balance.reweigh: {note}")
    context.add_output_metadata(
        {
            "reweighed by": " & ".join(found.columns),
            "training weights": markdown_table(
                [*found.columns, "class", "training rows", "weight"],
                [[*c.group, c.label, c.rows, f"{c.weight:.4g}"] for c in found.cells],
            ),
        }
    )
    return with_its_plan(made, plan, raw, {REWEIGHING: found.model_dump_json() + "\n"})
