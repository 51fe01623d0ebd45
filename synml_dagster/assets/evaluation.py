"""`evaluation`: the model on the test rows, which nothing before has seen."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from synml_dagster.assets.artifacts import FittedPipeline, side
from synml_dagster.assets.stage import clearly, figure, gate, inputs, outcome, pictures, stage
from synml_dagster.checks import PromoteSpec, below_baseline
from synml_dagster.evaluation import Evaluation, evaluate, higher_is_better, primary_metric
from synml_dagster.features import GROUP, LABEL, WEIGHT, FeaturePlan
from synml_dagster.learners import TrainedModel
from synml_dagster.resources import MLflowResource, SparkResource


def build_evaluation(pipeline: str, rule: PromoteSpec) -> dg.AssetsDefinition:
    """Return the asset that measures, with its checks: better than the best answer that looks at no column, and `rule.minimum`."""
    gates = [gate(pipeline, "evaluation", "baseline", "Better than the best answer that looks at no column.")]
    if rule.minimum is not None:
        gates.append(gate(pipeline, "evaluation", "minimum", "What promote.minimum asks for is reached."))

    @dg.asset(
        **stage(
            pipeline,
            "evaluation",
            io_manager_key="bundles",
            ins=inputs(pipeline, "model"),
            metadata={"bundle": "synml_dagster.evaluation:Evaluation"},
        ),
        check_specs=gates,
        output_required=False,
    )
    @clearly
    def evaluation(
        context: dg.AssetExecutionContext,
        spark: SparkResource,
        mlflow: MLflowResource,
        model: FittedPipeline,
    ) -> Iterator[Any]:
        from synml_dagster.plots import evaluation as figures

        test = side(model.features, "test")
        names = set(test.schema().names)
        kept = [name for name in (LABEL, WEIGHT, GROUP) if name in names]
        scored = model.model.transform(test, keep=kept, spark=spark.session)
        found = evaluate_scored(scored, model.plan, model.model)
        with mlflow.run(context) as run:
            run.log_metrics({f"test/{name}": value for name, value in found.metrics.items()})
            curves = figures.curves(found)
            run.log_pictures(curves)
        yield dg.Output(found, metadata=evaluation_metadata(found, curves))
        metric = rule.metric or primary_metric(found.task)
        low = below_baseline(metric, found.metrics, found.baseline)
        value = found.metrics.get(metric, float("nan"))
        yield outcome("baseline", low is None, low or f"{metric} is {value:.6g}")
        if rule.minimum is not None:
            reached = value >= rule.minimum if higher_is_better(metric) else value <= rule.minimum
            yield outcome(
                "minimum", bool(reached), f"{metric} is {value:.6g}; asked for is {rule.minimum:.6g}"
            )

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


def evaluation_metadata(found: Evaluation, curves: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the metrics as numbers that plot over time, and the curves as pictures."""
    told: dict[str, Any] = {f"test/{name}": figure(value) for name, value in found.metrics.items()}
    told["test rows"] = found.rows
    told["curves"] = pictures(curves)
    return told
