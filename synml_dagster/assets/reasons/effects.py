"""`effects`: what raw columns do to the answers in general, asked of the exported graph on test rows."""

from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np

from synml_dagster.assets.artifacts import ExportedPipeline
from synml_dagster.assets.reasons.asked import Asked
from synml_dagster.assets.stage import (
    EffectsSpec,
    clearly,
    figure,
    inputs,
    markdown_table,
    picture,
    pictures,
    stage,
    stored_once,
)
from synml_dagster.explain.effects import Effects
from synml_dagster.features import GROUP, LABEL, WEIGHT
from synml_dagster.resources import MLflowResource, SparkResource

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

    from synml_dagster.explain.effects import PermutationImportance

_METRICS = {"binary": "auc", "multiclass": "logloss", "regression": "rmse", "ranking": "ndcg@10"}
_MOST_PICTURES, _MOST_LINES = 8, 60


def build_effects(pipeline: str, spec: EffectsSpec) -> dg.AssetsDefinition:
    """Return the asset that asks."""

    @dg.asset(
        **stage(
            pipeline,
            "effects",
            io_manager_key="bundles",
            ins=inputs(pipeline, "onnx_model"),
            metadata={"bundle": "synml_dagster.explain.effects:Effects"},
        )
    )
    @clearly
    def effects(
        context: dg.AssetExecutionContext,
        spark: SparkResource,
        mlflow: MLflowResource,
        onnx_model: ExportedPipeline,
    ) -> Effects:
        asked = Asked.of(onnx_model)
        rows = asked.rows(spark.session, "test", spec.rows, measured=True).persist()
        try:
            found = measured(rows, asked, spec)
        finally:
            rows.unpersist()
        for note in found.notes:
            context.log.info(f"effects: {note}")
        with mlflow.run(context) as run:
            run.log_metrics(
                {
                    f"permutation_importance/{line['column']}": line["mean"]
                    for line in found.to_pandas("permutation").to_dict("records")
                }
            )
        context.add_output_metadata(stored_once(context, effects_metadata(found)))
        return found

    return effects


def measured(rows: "DataFrame", asked: Asked, spec: EffectsSpec) -> Effects:
    """Return the effects that `spec` asks for, on labelled raw rows.

    Raises
    ------
    ConfigError, DataError
        A column that is named cannot be stepped through, or has no values in these rows.
    """
    from synml_dagster.explain.effects import (
        accumulated_local_effects,
        partial_dependence,
    )
    from synml_dagster.explain.effects.grid import is_number, sampled

    named = None if spec.columns is None else list(spec.columns)
    columns = asked.columns(named, spec.most, "explain.effects.columns")
    asked.columns([c for pair in spec.pairs for c in pair], spec.most, "explain.effects.pairs")
    seen, notes = sampled(rows, columns), []
    values = {name: _there(seen.column(name)).unique() for name in columns}
    if named is None:
        if empty := [c for c in columns if not len(values[c])]:
            notes.append(f"{', '.join(empty)}: no test row that was looked at has a value.")
        columns = [c for c in columns if len(values[c])]
    numbers = [c for c in columns if is_number(values[c].type) and len(values[c]) > 1]
    graph, output = asked.exported.onnx, asked.output
    weight = WEIGHT if asked.plan.weight is not None else None
    if weight is not None and not rows.agg({weight: "sum"}).collect()[0][0]:
        weight = None
        notes.append("The test rows that were looked at weigh nothing, and count the same here.")
    dependence = partial_dependence(
        rows,
        graph,
        [*columns, *((one, other) for one, other in spec.pairs)],
        points=spec.points,
        curves=spec.curves,
        weight=weight,
        output=output,
    )
    accumulated = (
        accumulated_local_effects(rows, graph, numbers, bins=spec.points, weight=weight, output=output)
        if numbers
        else []
    )
    permutation = _importance(rows, asked, spec, weight, notes) if spec.shuffles else None
    return Effects.of(
        asked.plan.task,
        asked.outputs,
        dependence[0].rows,
        dependence,
        accumulated,
        permutation,
        _mean_answer(rows, asked, weight),
        notes,
    )


def _importance(
    rows: "DataFrame", asked: Asked, spec: EffectsSpec, weight: str | None, notes: list[str]
) -> "PermutationImportance | None":
    """Return what the model is without each column; None, and a note, where the rows have nothing to be measured by."""
    from synml_dagster.assets.evaluation import gains_of
    from synml_dagster.explain.effects import permutation_importance

    plan = asked.plan
    metric = _METRICS[plan.task]
    weighed = rows if weight is None else rows.where(f"{weight} > 0")
    if metric == "auc" and weighed.select(LABEL).distinct().count() < 2:
        metric = "logloss"
        notes.append(
            "The test rows that were looked at are all of one class: permutation importance is by logloss."
        )
    of_queries: dict[str, Any] = {}
    if plan.task == "ranking":
        gains = gains_of(plan, asked.exported.fitted.model)
        if gains is None and plan.linear_gain:
            gains = [float(grade) for grade in range(int(plan.label.maximum or 0) + 1)]
        of_queries = {"query": GROUP, "gains": gains}
    return permutation_importance(
        rows,
        asked.exported.onnx,
        LABEL,
        metric=metric,
        features=asked.reads,
        repeats=spec.shuffles,
        rows=max(spec.rows, rows.count()) if of_queries else spec.rows,
        classes=list(range(len(plan.label.classes))) if plan.label.classes else None,
        weight=weight,
        seed=spec.seed,
        output=asked.output,
        **of_queries,
    )


def _there(column: "pa.ChunkedArray") -> "pa.ChunkedArray":
    """Return the values that can be asked about."""
    import pyarrow as pa
    import pyarrow.compute as pc

    known = column.drop_null()
    return known.filter(pc.is_finite(known)) if pa.types.is_floating(known.type) else known


def _mean_answer(rows: "DataFrame", asked: Asked, weight: str | None) -> list[float]:
    from pyspark.sql import functions as sf

    from synml_dagster.onnx import score

    told = score(rows, asked.exported.onnx, keep=[weight] if weight else [], outputs=[asked.output])
    weights = sf.col(weight) if weight else sf.lit(1.0)
    answer = sf.col(asked.output)
    each = (
        [answer]
        if len(asked.outputs) == 1
        else [sf.get(answer, sf.lit(i)) for i in range(len(asked.outputs))]
    )
    (line,) = told.agg(*(sf.sum(one * weights) / sf.sum(weights) for one in each)).collect()
    return [float(v) if v is not None else float(np.nan) for v in line]


def effects_metadata(found: Effects) -> dict[str, Any]:
    """Return pictures and tables for the asset's page, and how far each column moves the answers as numbers that plot over time."""
    from synml_dagster.plots import effects as figures

    output = found.outputs[-1]
    told: dict[str, Any] = {"test rows": found.rows}
    if found.metric is not None and found.baseline is not None:
        told[f"test/{found.metric}"] = figure(found.baseline)
        told["permutation importance"] = picture(
            figures.permutation(found), f"how much worse {found.metric} is where a column is shuffled"
        )
        told["by column"] = markdown_table(
            ["column", f"{found.metric} worse by", "deviation", "least", "most"],
            [
                [line["column"], *(f"{line[k]:.4g}" for k in ("mean", "deviation", "low", "high"))]
                for line in found.to_pandas("permutation").head(_MOST_LINES).to_dict("records")
            ],
        )
    told |= {f"moves the mean answer by/{c}": figure(found.reach(c, output)) for c in found.columns}
    told["effects"] = pictures(
        {c: figures.dependence(found, c, output) for c in found.columns[:_MOST_PICTURES]}
        | {
            " & ".join(pair): figures.together(found, pair, output)
            for pair in found.pairs[: _MOST_PICTURES // 2]
        }
    )
    told["tables"] = (
        "dependence, curves, accumulated and permutation, each a Parquet file in the asset's folder"
    )
    told["notes"] = dg.MetadataValue.md("\n".join(f"- {n}" for n in found.notes) or "none")
    return told
