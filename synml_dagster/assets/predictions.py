"""`predictions`: rows scored on Spark by the champion's ONNX graph."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg

from synml_dagster.assets.champion import ChampionRecord
from synml_dagster.assets.provenance import COLUMNS, Provenance
from synml_dagster.assets.specs import ScoreSpec
from synml_dagster.assets.stage import inputs, stage
from synml_dagster.errors import ModelError
from synml_dagster.onnx import OnnxModel, can_have_bad_rows, score
from synml_dagster.onnx.scorer import ANSWERS, REASON
from synml_dagster.resources import MLflowResource, SparkResource
from synml_dagster.spark import Marked, shares_reachable
from synml_dagster.spark.source import read_source


def build_predictions(pipeline: str, spec: ScoreSpec) -> dg.AssetsDefinition:
    """Return the asset that scores the pipeline's own table, or the source that `spec` names."""
    wanted = ["champion"] if spec.source else ["champion", "raw"]
    place = {key: value for key, value in (("root", spec.path), ("table", spec.table)) if value}
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
        provenance = Provenance(str(version.version), model.metadata["plan_fingerprint"], datetime.now(UTC))
        session = spark.session
        rows = read_source(session, spec.source) if spec.source else _readable(session, raw)
        context.add_output_metadata(
            provenance.metadata() | {"scored": spec.source.describe() if spec.source else f"{pipeline}/raw"}
        )
        return scored(rows, model, provenance, spec, session)

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


def scored(rows: Any, model: OnnxModel, provenance: Provenance, spec: ScoreSpec, spark: Any) -> Marked:
    """Score `rows`, a DataFrame or Parquet files, and mark those that cannot be scored, unless `spec` has them raise."""
    if spec.bad_rows == "raise" or not can_have_bad_rows(rows, model, spark):
        frame = provenance.stamp(score(rows, model, keep=spec.keep, spark=spark))
        return Marked(frame, None, tuple(frame.columns))
    columns = (rows if hasattr(rows, "columns") else rows.dataframe(spark)).columns
    keep = columns if spec.keep is None else spec.keep
    # The rows set aside show the value that was wrong, whether or not it is among the columns to carry along.
    taken = {*ANSWERS, REASON, *COLUMNS} if spec.keep is not None else set()
    carried = [*keep, *(c for c in columns if c not in keep and c.casefold() not in taken)]
    frame = provenance.stamp(score(rows, model, keep=carried, bad_rows="mark", spark=spark))
    added = [name for name in frame.columns[len(carried) :] if name != REASON]
    return Marked(frame, REASON, columns=(*keep, *added), aside=(*carried, *COLUMNS))


def _readable(spark: Any, table: Any) -> Any:
    """The table's files, where the tasks can read them by themselves, which is faster; else its rows."""
    files = table.files()
    return files if shares_reachable(spark, files) else table.dataframe(spark)
