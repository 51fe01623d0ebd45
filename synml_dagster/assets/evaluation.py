"""`evaluation`: the model on the test rows, which nothing before has seen."""

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal

import dagster as dg

from synml_dagster.assets.artifacts import FittedPipeline, side
from synml_dagster.assets.groups.training_weights import without_balance
from synml_dagster.assets.stage import (
    clearly,
    figure,
    gate,
    inputs,
    markdown_table,
    outcome,
    pictures,
    stage,
    stored_once,
)
from synml_dagster.assets.weak_spots import weak_spots
from synml_dagster.checks import PromoteSpec, below_baseline
from synml_dagster.errors import SynmlError
from synml_dagster.evaluation import (
    ChosenThreshold,
    CostMatrix,
    EvaluateSpec,
    Evaluation,
    choose_threshold,
    evaluate,
    primary_metric,
    reaches,
)
from synml_dagster.features import BALANCE, GROUP, LABEL, WEIGHT, FeaturePlan
from synml_dagster.learners import TrainedModel
from synml_dagster.resources import MLflowResource, SparkResource
from synml_dagster.tuning import SweepResult

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def build_evaluation(
    pipeline: str, rule: PromoteSpec, spec: EvaluateSpec | None = None
) -> dg.AssetsDefinition:
    """Return the asset that measures, with its checks: better than the best answer that looks at no column, and `rule.minimum`."""
    asked = spec or EvaluateSpec()
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

        session = spark.session
        chosen = None
        if asked.costs is not None and model.plan.task == "binary":
            scored = _scored(session, model, "validation")
            weight = WEIGHT if WEIGHT in scored.columns else None
            chosen = choose_threshold(scored, asked.costs, label=LABEL, weight=weight)
        found = evaluate_scored(
            _scored(session, model, "test"), model.plan, model.model, chosen, asked.cost_matrix
        )
        with ThreadPoolExecutor(1, "curves") as drawer:
            drawing = drawer.submit(figures.curves, found)  # while Spark cuts the rows into slices
            if asked.slices:
                try:
                    found.slices = weak_spots(session, model, asked.slices)
                except SynmlError as problem:
                    context.log.warning(f"where the model is worst could not be looked at: {problem}")
                    found.notes.append(f"Where the model is worst could not be looked at: {problem}")
        if (split := model.plan.split).by == "group" and model.plan.task != "ranking":
            found.notes.append(
                f"Rows were split by {split.spec.column or 'group'}, because rows of one group are alike. The intervals take rows as independent, and are too narrow where they are not."
            )
        with mlflow.run(context) as run:
            run.log_metrics(figures_over_time(found))
            curves = drawing.result()
            run.log_pictures(curves)
        page = evaluation_metadata(found, curves) | beside_the_sweep(found, model.sweep)
        yield dg.Output(found, metadata=stored_once(context, page))
        metric = rule.metric or primary_metric(found.task)
        low = below_baseline(metric, found.metrics, found.baseline)
        value = found.metrics.get(metric, float("nan"))
        beside = f" and the baseline's {found.baseline[metric]:.6g}" if metric in found.baseline else ""
        told = {metric: value, "baseline": found.baseline.get(metric, math.nan)}
        told = {name: figure(number) for name, number in told.items() if math.isfinite(number)}
        yield outcome("baseline", low is None, low or f"{metric} is {value:.6g}{beside}", told)
        if rule.minimum is not None:
            reached = reaches(metric, value, rule.minimum)
            yield outcome(
                "minimum", reached, f"{metric} is {value:.6g}; asked for is {rule.minimum:.6g}", told
            )

    return evaluation


def _scored(
    session: "SparkSession", model: FittedPipeline, part: Literal["validation", "test"]
) -> "DataFrame":
    """Return the rows of one side with the model's answers."""
    rows = side(model.features, part)
    names = set(rows.schema().names)
    kept = [name for name in (LABEL, WEIGHT, BALANCE, GROUP) if name in names]
    return without_balance(model.model.transform(rows, keep=kept, spark=session), model.plan)


def figures_over_time(found: Evaluation) -> dict[str, float]:
    """Return the figures that plot over time: each metric with the ends of its interval, and what answers cost."""
    told = {f"test/{name}": value for name, value in found.metrics.items()}
    for name, interval in found.intervals.items():
        told |= {f"test/{name}_low": interval.low, f"test/{name}_high": interval.high}
    if (choice := found.choice) is not None:
        told |= {
            "test/threshold": choice.threshold,
            "test/cost": choice.cost.value,
            "test/cost_at_half": choice.cost_at_half.value,
        }
    if (decision := found.decision) is not None:
        told |= {
            "test/cost": decision.cost.value,
            "test/cost_of_likeliest": decision.cost_of_likeliest.value,
        }
    return told


def evaluate_scored(
    scored: "DataFrame",
    plan: FeaturePlan,
    trained: TrainedModel,
    chosen: ChosenThreshold | None = None,
    costs: CostMatrix | None = None,
) -> Evaluation:
    """Measure a table that holds `__label` and predictions by the measures of the plan's task.

    A ranking is measured by the gains that `trained` was trained with, whichever model has scored the table.
    """
    return evaluate(
        scored,
        task=plan.task,
        label=LABEL,
        probabilities="probability",
        classes=plan.label.classes,
        weight=WEIGHT if WEIGHT in scored.columns else None,
        group=GROUP if GROUP in scored.columns else None,
        linear_gain=plan.linear_gain,
        label_gain=gains_of(plan, trained),
        chosen=chosen,
        cost_matrix=costs,
    )


def beside_the_sweep(found: Evaluation, sweep: SweepResult) -> dict[str, str]:
    """Return what the winner of a sweep was worth on the rows that chose it, and is on test rows; nothing where none ran."""
    promised = sweep.ensemble_value if sweep.ensemble else sweep.best_value
    if not sweep.trials or promised is None or sweep.metric not in found.metrics:
        return {}
    who = f"{len(sweep.ensemble)} trials together" if sweep.ensemble else f"trial {sweep.best_trial}"
    return {
        "the sweep's winner": f"{who}: {sweep.metric} {promised:.6g} on {sweep.validation}, which chose it, and {found.metrics[sweep.metric]:.6g} on test rows, which chose nothing"
    }


def gains_of(plan: FeaturePlan, trained: TrainedModel) -> Sequence[float] | None:
    """Return the gains of grades that a ranking was trained with, None where they are the usual ones."""
    gains = trained.label_gain if plan.task == "ranking" else None
    if plan.linear_gain and gains == list(range(len(gains or ()))):
        return None  # those that `train_params` gives by itself
    return gains


def evaluation_metadata(found: Evaluation, curves: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the metrics as numbers that plot over time, and the curves as pictures; the ends of the intervals come last."""
    numbers = {name: figure(value) for name, value in figures_over_time(found).items()}
    ends = {name: value for name, value in numbers.items() if name.endswith(("_low", "_high"))}
    told: dict[str, Any] = {name: value for name, value in numbers.items() if name not in ends}
    told["test rows"] = found.rows
    if (choice := found.choice) is not None:
        told["answers"] = (
            f"the predicted label is the likelier class; it costs least to flag from a probability of {choice.threshold:.4g} on"
        )
    if (decision := found.decision) is not None:
        told["answers"] = (
            f"the predicted label is the likeliest class; the column `decision` holds the one that is expected to cost least, another one in {decision.changed:.1%} of the rows"
        )
    if found.slices and found.slices.slices:
        told[f"worst by {found.slices.measure}"] = markdown_table(
            ["slice", "rows", found.slices.measure, "95% interval"],
            [[s.name, s.rows, f"{s.error:.4g}", f"{s.low:.4g} to {s.high:.4g}"] for s in found.slices.slices],
        )
    told["curves"] = pictures(curves)
    return told | ends
