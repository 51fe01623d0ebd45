"""`attributions`: test rows explained by Kernel SHAP or LIME, by raw column, whatever the family of the model."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from synml_dagster.assets.artifacts import ExportedPipeline
from synml_dagster.assets.reasons.asked import Asked
from synml_dagster.assets.stage import (
    AttributionsSpec,
    clearly,
    figure,
    inputs,
    markdown_table,
    picture,
    stage,
    stored_once,
)
from synml_dagster.explain import AttributedRows, Background, explain_with
from synml_dagster.features import LABEL
from synml_dagster.resources import MLflowResource, SparkResource

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

_METHODS = {"kernel_shap": "Kernel SHAP", "lime": "LIME"}
_MOST_LINES = 40


def build_attributions(pipeline: str, spec: AttributionsSpec) -> dg.AssetsDefinition:
    """Return the asset that explains by asking."""

    @dg.asset(
        **stage(
            pipeline,
            "attributions",
            io_manager_key="bundles",
            ins=inputs(pipeline, "onnx_model"),
            metadata={"bundle": "synml_dagster.explain:AttributedRows"},
        )
    )
    @clearly
    def attributions(
        context: dg.AssetExecutionContext,
        spark: SparkResource,
        mlflow: MLflowResource,
        onnx_model: ExportedPipeline,
    ) -> AttributedRows:
        found = attributed(spark.session, Asked.of(onnx_model), spec)
        if found.fit is not None:
            context.log.info(
                f"attributions: {found.rows} rows by {found.method}, R² {found.fit:.3f} on average"
            )
        with mlflow.run(context) as run:
            run.log_metrics({f"mean_abs_attribution/{name}": size for name, size in found.importance.items()})
        context.add_output_metadata(stored_once(context, attributions_metadata(found)))
        return found

    return attributions


def attributed(spark: "SparkSession", asked: Asked, spec: AttributionsSpec) -> AttributedRows:
    """Return the attributions of some test rows, against some training rows.

    Raises
    ------
    ConfigError, DataError
        See `synml_dagster.explain.explain_with`.
    """
    background = Background.sample(asked.rows(spark, "train").drop(LABEL), asked.reads, rows=spec.background)
    rows = asked.rows(spark, "test", spec.rows).drop(LABEL).persist()
    from synml_dagster.spark.task_errors import typed_errors

    try:
        with typed_errors():
            told = explain_with(
                rows,
                asked.exported.onnx,
                background,
                method=spec.method,
                columns=spec.columns,
                output=asked.output,
                budget=spec.budget,
                samples=spec.samples,
                features=spec.features,
                seed=spec.seed,
                column="__attributions",
            ).toArrow()
    finally:
        rows.unpersist()
    return AttributedRows(
        method=_METHODS[spec.method],
        background=background.said,
        task=asked.plan.task,
        outputs=asked.outputs,
        rows=told.num_rows,
        of_rows=asked.exported.fitted.rows.get("test", told.num_rows),
        table=_long(told, asked),
    )


def _long(told: "pa.Table", asked: Asked) -> Any:
    import pandas as pd

    from synml_dagster.explain.value_texts import value_texts

    raw = {column.path[0]: column for column in asked.plan.raw_inputs}
    texts = {
        name: value_texts(told.column(name).combine_chunks(), raw[name]).to_pylist()
        if len(raw[name].path) == 1
        else [str(v) for v in told.column(name).to_pylist()]
        for name in asked.reads
    }
    answers = _answers(told, asked)
    lines = []
    each = zip(
        *(told.column(f"__attributions{end}").to_pylist() for end in ("", "_base", "_r2")), strict=True
    )
    for row, (players, base, r2) in enumerate(each):
        for player in players:
            for j, name in enumerate(asked.outputs):
                lines.append(
                    {
                        "row": row,
                        "column": player["player"],
                        "value": texts[player["player"]][row],
                        "output": name,
                        "attribution": player["values"][j],
                        "base": base[j],
                        "r2": r2[j],
                        "answer": answers[row][j],
                    }
                )
    return pd.DataFrame(lines).astype({"r2": "float64"})


def _answers(told: "pa.Table", asked: Asked) -> list[list[float]]:
    from synml_dagster.onnx import Scorer

    scorer = Scorer(asked.exported.onnx, outputs=[asked.output], provider="cpu")
    found = scorer.score(told.select(asked.reads)).column(0).to_pylist()
    return [value if isinstance(value, list) else [value] for value in found]


def attributions_metadata(found: AttributedRows) -> dict[str, Any]:
    """Return a picture, how well sums say what the model does, and a table of the strongest reasons of each row."""
    from synml_dagster.plots import effects as figures

    output = found.outputs[-1]
    own = found.table[found.table["output"] == output]
    own = own.reindex(own["attribution"].abs().sort_values(ascending=False, kind="stable").index)
    lines: list[list[object]] = []
    for row, reasons in own.groupby("row", sort=True):
        if len(lines) >= _MOST_LINES:
            break
        why = "; ".join(
            f"{r['column']} = {r['value']} ({r['attribution']:+.3g})"
            for r in reasons.head(3).to_dict("records")
        )
        lines.append([row, f"{reasons['answer'].iloc[0]:.4g}", why, f"{reasons['r2'].iloc[0]:.3f}"])
    told: dict[str, Any] = {
        "rows": found.rows,
        "method": found.method,
        "background": found.background,
        "importance": picture(figures.attributions(found), "mean size of the attribution by column"),
        f"reasons for {output}": markdown_table(["row", "answer", "strongest columns", "R²"], lines),
        "tables": "attributions.parquet in the asset's folder: a line for each row, column and output",
    }
    if found.fit is not None:
        told["R²"] = figure(found.fit)
    return told
