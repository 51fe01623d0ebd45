"""`predictions`: rows scored on Spark by the champion's ONNX graph."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg

from synml_dagster.assets.champion import ChampionRecord
from synml_dagster.assets.provenance import Provenance
from synml_dagster.assets.specs import ScoreSpec
from synml_dagster.assets.stage import inputs, stage
from synml_dagster.errors import ModelError
from synml_dagster.onnx import OnnxModel, score
from synml_dagster.resources import MLflowResource, SparkResource
from synml_dagster.spark import shares_reachable
from synml_dagster.spark.source import read_source


def build_predictions(pipeline: str, spec: ScoreSpec) -> dg.AssetsDefinition:
    """Return the asset that scores the pipeline's own table, or the source that `spec` names."""
    wanted = ["champion"] if spec.source else ["champion", "raw"]
    place = {"root": spec.path} if spec.path else {}
    told = stage(
        pipeline, "predictions", io_manager_key="spark_tables", ins=inputs(pipeline, *wanted), metadata=place
    )

    def run(
        context: dg.AssetExecutionContext,
        spark: SparkResource,
        mlflow: MLflowResource,
        record: ChampionRecord,
        raw: Any,
    ) -> Any:
        version = mlflow.champion(pipeline)
        if version is None:
            raise ModelError(
                f"predictions: {pipeline!r} has no champion to score with: version {record.version} was not promoted, "
                f"because {record.reason}. Lower promote.minimum, or improve the model."
            )
        model = OnnxModel.load(mlflow.download(version))
        session = spark.session
        rows = read_source(session, spec.source) if spec.source else _readable(session, raw)
        provenance = Provenance(str(version.version), model.metadata["plan_fingerprint"], datetime.now(UTC))
        scored = provenance.stamp(score(rows, model, keep=spec.keep, spark=session))
        context.add_output_metadata(
            provenance.metadata() | {"scored": spec.source.describe() if spec.source else f"{pipeline}/raw"}
        )
        if spec.table:
            scored.write.mode("overwrite").saveAsTable(spec.table)
            return spark.session.table(spec.table)
        return scored

    if spec.source:  # then `raw` is no input

        @dg.asset(**told)
        def predictions(
            context: dg.AssetExecutionContext,
            spark: SparkResource,
            mlflow: MLflowResource,
            champion: ChampionRecord,
        ) -> Any:
            return run(context, spark, mlflow, champion, None)

    else:

        @dg.asset(**told)
        def predictions(
            context: dg.AssetExecutionContext,
            spark: SparkResource,
            mlflow: MLflowResource,
            champion: ChampionRecord,
            raw: Any,
        ) -> Any:
            return run(context, spark, mlflow, champion, raw)

    return predictions


def _readable(spark: Any, table: Any) -> Any:
    """The table's files, where the tasks can read them by themselves, which is faster; else its rows."""
    files = table.files()
    return files if shares_reachable(spark, files) else table.dataframe(spark)
