"""`live_evaluation`: the champion on rows that it scored before their labels were known."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from synml_dagster.assets.evaluation import evaluate_scored
from synml_dagster.assets.shadow import both_live
from synml_dagster.assets.stage import (
    clearly,
    figure,
    gate,
    inputs,
    outcome,
    pictures,
    reads_from,
    stage,
    stage_key,
    stored_once,
    version_read,
)
from synml_dagster.checks import LiveSpec, PromoteSpec, decayed, labelled_since
from synml_dagster.errors import DataError, ModelError
from synml_dagster.evaluation import Evaluation, primary_metric
from synml_dagster.features import FeaturePlan
from synml_dagster.io_managers.last_output import last_tables
from synml_dagster.io_managers.place import partition_of
from synml_dagster.learners import TrainedModel
from synml_dagster.resources import MLflowResource, SparkResource
from synml_dagster.resources.reason import reason_of
from synml_dagster.sources import Source
from synml_dagster.tables import Table, TableUnion
from synml_dagster.upstream import reach

DECAY = "The metric on rows that were labelled since they were scored is as good as on the test rows."
ARRIVAL = "Enough of the scored rows have a label."


def build_live_evaluation(
    pipeline: str, spec: LiveSpec, rule: PromoteSpec, labels: Source, registered: str | None = None
) -> dg.AssetsDefinition:
    """Return the asset that joins predictions with `labels` and measures, with its checks."""
    name = registered or pipeline
    gates = [gate(pipeline, "live_evaluation", "decay", DECAY)]
    if spec.labelled is not None:
        gates.append(gate(pipeline, "live_evaluation", "label_arrival", ARRIVAL))
    only_warns = spec.severity == "warn"

    @dg.asset(
        **stage(
            pipeline,
            "live_evaluation",
            io_manager_key="bundles",
            ins=inputs(pipeline, "predictions", newest={"predictions": spec.last}),
            deps=[reads_from(labels, stage_key(pipeline, "source"))] if labels.asset else [],
            metadata={"bundle": "synml_dagster.evaluation:Evaluation"},
        ),
        check_specs=gates,
        output_required=False,
    )
    @clearly
    def live_evaluation(
        context: dg.AssetExecutionContext,
        spark: SparkResource,
        mlflow: MLflowResource,
        spark_tables: dg.ResourceParam[Any],
        predictions: Any,
    ) -> Iterator[Any]:
        from synml_dagster.plots import evaluation as figures

        session, version = spark.session, mlflow.champion(name)
        if version is None:
            raise ModelError(
                f"live_evaluation: {name!r} has no champion; nothing can be compared with its test rows"
            )
        bundle = mlflow.download(version)
        plan, test = FeaturePlan.load(bundle), Evaluation.load(bundle)
        if plan.task == "ranking":
            raise DataError("live: rows of a ranking are not told by a key; leave `live` out")
        metric, reached = rule.metric or primary_metric(plan.task), reach(context, labels)
        told: dict[str, Any] = {
            "labels": labels.describe(),
            "model_version": str(version.version),
            **version_read(context, reached, session, stage_key(pipeline, "live_evaluation")),
            **reason_of(context),
        }
        # A catalog table comes as its rows.
        made = predictions.dataframe(session) if isinstance(predictions, Table) else predictions
        # A file of labels may be read otherwise than the rows were, and codes with leading zeros would match nothing.
        known = {f.name: f.dataType.simpleString() for f in made.schema.fields if f.name in spec.key}
        answers = reached.open(session, known=known | {plan.label.column: plan.label.spark_type}).whole
        joined, scored = labelled_since(made, answers, plan, spec.key, str(version.version))
        joined = joined.cache()
        try:
            rows = joined.count()
            told |= {"rows scored without a label": scored, "rows labelled since": rows}
            found = evaluate_scored(joined, plan, TrainedModel.load(bundle)) if rows else None
        finally:
            joined.unpersist()
        context.log.info(f"{rows} of {scored} rows that version {version.version} scored have a label now")
        if rule.shadow is not None:
            parts = predictions.parts if isinstance(predictions, TableUnion) else (predictions,)
            keys = [key for t in parts if isinstance(t, Table) and (key := partition_of(t.root)) is not None]
            beside = last_tables(spark_tables, pipeline, "shadow_predictions", partitions=keys or None)
            told |= both_live(mlflow, name, metric, spec, answers, beside, session)
        if found is None:
            said = f"none of {scored} rows that version {version.version} scored without a label has one now"
            yield outcome("decay", True, said, told)
        else:
            bad, said, loss = decayed(metric, found, test, spec)
            told |= {f"live/{k}": figure(v) for k, v in found.metrics.items()}
            shown = told | {"curves": pictures(figures.curves(found))}
            yield dg.Output(found, metadata=stored_once(context, shown))
            more = {} if loss is None else {"loss": figure(loss)}
            yield outcome("decay", not bad, said, {"rows labelled since": rows} | more, only_warns=only_warns)
        if spec.labelled is not None:
            share = rows / scored if scored else 1.0
            said = f"{rows} of {scored} scored rows have a label ({share:.1%}); {spec.labelled:.1%} are asked for"
            yield outcome(
                "label_arrival",
                share >= spec.labelled,
                said,
                {"share": figure(share)},
                only_warns=only_warns,
            )

    return live_evaluation
