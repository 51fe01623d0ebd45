"""`model`: the learner on all training rows, with the sweep's parameters."""

import time
from typing import Any

import dagster as dg
from pydantic import Field

from synml_dagster.assets.fitted import FittedPipeline, plan_of
from synml_dagster.assets.split import side
from synml_dagster.assets.stage import clearly, figure, inputs, picture, stage
from synml_dagster.features import FeaturePlan
from synml_dagster.learners import TrainSpec, learner_of
from synml_dagster.resources import DataDirectory, MLflowResource, SparkResource
from synml_dagster.tables import Table
from synml_dagster.tuning import SweepResult, SweepSpec
from synml_dagster.tuning.choice import train_spec

_OF_SEVERAL = (
    "The model of the family and with the parameters that won the sweep, trained on all training rows."
)


class ModelRun(dg.Config):
    """What one run may say otherwise than the description."""

    rounds: int | None = Field(default=None, ge=1, description="The most boosting rounds.")


def build_model(pipeline: str, train: TrainSpec, search: SweepSpec | None = None) -> dg.AssetsDefinition:
    """Return the asset that trains."""
    planned = learner_of(train.learner)

    @dg.asset(
        **stage(
            pipeline,
            "model",
            io_manager_key="bundles",
            description=planned.summary if search is None or search.learners is None else _OF_SEVERAL,
            kinds={*planned.kinds, "spark"},
            ins=inputs(pipeline, "features", "sweep"),
        )
    )
    @clearly
    def model(
        context: dg.AssetExecutionContext,
        config: ModelRun,
        spark: SparkResource,
        mlflow: MLflowResource,
        features: Table,
        sweep: SweepResult,
    ) -> FittedPipeline:
        from synml_dagster.plots import training as training_figures

        began, feature_plan = time.monotonic(), plan_of(features)
        learner = learner_of(sweep.learner or train.learner)
        spec = train_spec(learner.name, train)
        if config.rounds is not None and "rounds" not in learner.no_such_keys:
            spec = TrainSpec(**spec.model_dump(exclude_unset=True) | {"rounds": config.rounds})
        trained = learner.fit(
            spark.session,
            feature_plan,
            spec,
            sweep.best_params,
            side(features, "train"),
            side(features, "validation"),
            on_progress=lambda progress: context.log.info(str(progress)),
            checkpoint=_checkpoint(context, pipeline, feature_plan),
        )
        metric, value = trained.validation_score()
        worries = [*learner.warnings(feature_plan, spec), *trained.facts.get("notes", [])]
        for worry in worries:
            context.log.warning(worry)
        importance = training_figures.importance(trained.importance(), learner.importance_name)
        drawn = {"importance of features": importance}
        told: dict[str, Any] = {
            f"validation/{metric}": figure(value),
            "learner": learner.title,
            "rounds": trained.iterations,
            "seconds": round(time.monotonic() - began, 2),
            "importance": picture(importance, f"{learner.importance_name}, by feature"),
            "parameters": dg.MetadataValue.json(trained.params),
        }
        if worries:
            told["warnings"] = dg.MetadataValue.md("\n".join(f"- {worry}" for worry in worries))
        if trained.iterations > 1:
            history = training_figures.training_history(trained.history, trained.best_iteration)
            told["training history"] = picture(history, f"metric by {learner.round_name}")
            drawn["training history"] = history
        context.add_output_metadata(told)
        with mlflow.run(context) as run:
            run.log_params(
                {k: v for k, v in trained.params.items() if v is not None} | {"rounds": trained.iterations}
            )
            run.log_metrics({f"validation/{metric}": value})
            run.log_history(
                {f"rounds/{data}/{name}": v for data, m in trained.history.items() for name, v in m.items()}
            )
            run.log_pictures(drawn)
        return FittedPipeline.of(trained, feature_plan, sweep, features)

    return model


def _checkpoint(context: dg.AssetExecutionContext, pipeline: str, plan: FeaturePlan) -> str:
    """Where the trees so far are kept: found again by a re-execution of the run, and never by one of other rows or features."""
    run = context.run.root_run_id or context.run.run_id
    return DataDirectory().path(pipeline, "checkpoints", f"{run}-{plan.identity}")
