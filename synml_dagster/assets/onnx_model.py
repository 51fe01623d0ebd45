"""`onnx_model`: the whole pipeline as one graph, which goes on only when it agrees with Spark's own path."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from synml_dagster.assets.artifacts import ExportedPipeline, FittedPipeline
from synml_dagster.assets.stage import clearly, gate, inputs, markdown_table, outcome, stage
from synml_dagster.evaluation import CostMatrix
from synml_dagster.export import ParityReport, check_parity, export_pipeline
from synml_dagster.onnx import OnnxModel
from synml_dagster.resources import SparkResource

PARITY_ROWS = 20_000
"""Rows of the raw table that are scored both ways, beside the adversarial ones."""


def build_onnx_model(pipeline: str, costs: CostMatrix | None = None) -> dg.AssetsDefinition:
    """Return the asset that exports, with its blocking parity check; with `costs` the graph also answers decisions by them."""
    told = stage(
        pipeline,
        "onnx_model",
        io_manager_key="bundles",
        ins=inputs(pipeline, "model"),
        metadata={"bundle": "synml_dagster.assets.artifacts:ExportedPipeline"},
    )

    @dg.asset(
        **told,
        check_specs=[
            gate(
                pipeline,
                "onnx_model",
                "parity",
                "Raw rows scored by ONNX Runtime and by Spark's own path give the same predictions.",
                blocking=True,
            )
        ],
        output_required=False,
    )
    @clearly
    def onnx_model(
        context: dg.AssetExecutionContext,
        spark: SparkResource,
        model: FittedPipeline,
    ) -> Iterator[Any]:
        table = costs.matrix(model.plan.label.classes or []) if costs is not None else None
        exported = OnnxModel(export_pipeline(model.plan, model.model, costs=table))
        session = spark.session
        parity = check_parity(
            session, model.plan, model.model, exported, model.raw.dataframe(session), rows=PARITY_ROWS
        )
        said = (
            f"{parity.rows} rows, {parity.labels_different} labels differ, "
            f"largest difference {parity.max_difference:.3g}"
        )
        context.log.info(f"parity: {said}")
        yield dg.Output(
            ExportedPipeline(model, exported, _in_short(parity)),
            metadata={
                "inputs": markdown_table(["name", "type"], [(i.name, i.type) for i in exported.inputs]),
                "outputs": markdown_table(["name", "type"], [(o.name, o.type) for o in exported.outputs]),
                "bytes": exported.size,
                "about": dg.MetadataValue.json(dict(exported.metadata)),
            },
        )
        yield outcome(
            "parity",
            parity.passed,
            said,
            {
                "rows": parity.rows,
                "labels different": parity.labels_different,
                "largest difference": float(parity.max_difference),
                "tolerance": float(parity.tolerance),
                "worst row": dg.MetadataValue.json(parity.worst),
            },
        )

    return onnx_model


def _in_short(parity: ParityReport) -> dict[str, Any]:
    """Return what a model card says of the comparison."""
    return {
        "rows": parity.rows,
        "adversarial_rows": parity.adversarial_rows,
        "labels_different": parity.labels_different,
        "max_difference": float(parity.max_difference),
        "tolerance": float(parity.tolerance),
        "passed": bool(parity.passed),
    }
