"""`evaluation`: the model on the test rows, which nothing before has seen."""

from typing import Any

import dagster as dg

from synml_dagster.assets.fitted import FittedPipeline
from synml_dagster.assets.split import side
from synml_dagster.assets.stage import figure, inputs, picture, stage
from synml_dagster.evaluation import Evaluation, evaluate
from synml_dagster.features import GROUP, LABEL, WEIGHT, FeaturePlan
from synml_dagster.learners import TrainedModel
from synml_dagster.resources import MLflowResource, SparkResource


def build_evaluation(pipeline: str) -> dg.AssetsDefinition:
    """Return the asset that measures."""

    @dg.asset(
        **stage(
            pipeline,
            "evaluation",
            io_manager_key="bundles",
            ins=inputs(pipeline, "model"),
        )
    )
    def evaluation(
        context: dg.AssetExecutionContext,
        spark: SparkResource,
        mlflow: MLflowResource,
        model: FittedPipeline,
    ) -> Evaluation:
        test = side(model.features, "test")
        names = set(test.schema().names)
        kept = [name for name in (LABEL, WEIGHT, GROUP) if name in names]
        scored = model.model.transform(test, keep=kept, spark=spark.session)
        found = evaluate_scored(scored, model.plan, model.model)
        context.add_output_metadata(evaluation_metadata(found))
        with mlflow.run(context) as run:
            run.log_metrics({f"test/{name}": value for name, value in found.metrics.items()})
        return found

    return evaluation


def evaluate_scored(scored: Any, plan: FeaturePlan, trained: TrainedModel) -> Evaluation:
    """Measure a table that holds `__label` and predictions by the measures of the plan's task.

    A ranking is measured by the gains that `trained` was trained with, whichever model has scored the table.
    """
    gains = trained.label_gain if plan.task == "ranking" else None
    if plan.linear_gain and gains == list(range(len(gains or ()))):
        gains = None  # those that `train_params` gives by itself
    return evaluate(
        scored,
        task=plan.task,
        label=LABEL,
        probabilities="probability",
        classes=plan.label.classes,
        weight=WEIGHT if WEIGHT in scored.columns else None,
        group=GROUP if GROUP in scored.columns else None,
        linear_gain=plan.linear_gain,
        label_gain=gains,
    )


def evaluation_metadata(found: Evaluation) -> dict[str, Any]:
    """Return the metrics as numbers that plot over time, and the curves as pictures."""
    from synml_dagster.plots import evaluation as figures

    told: dict[str, Any] = {f"test/{name}": figure(value) for name, value in found.metrics.items()}
    told["test rows"] = found.rows
    for name, png in figures.curves(found).items():
        told[name] = picture(png, name)
    return told
