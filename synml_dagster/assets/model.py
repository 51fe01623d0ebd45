"""`model`: LightGBM on all training rows, with the sweep's parameters and early stopping."""

import time

import dagster as dg

from synml_dagster.assets.specs import TrainSpec
from synml_dagster.assets.stage import figure, inputs, picture, stage
from synml_dagster.assets.training import fit, lost_precision, progress_to, side, validation_score
from synml_dagster.features import FeaturePlan
from synml_dagster.learners.lightgbm import LightGBMModel
from synml_dagster.resources import DataDirectory, MLflowResource, SparkResource
from synml_dagster.tables import Table
from synml_dagster.tuning import SweepResult


def build_model(pipeline: str, train: TrainSpec) -> dg.AssetsDefinition:
    """Return the asset that trains."""

    @dg.asset(
        **stage(
            pipeline,
            "model",
            io_manager_key="bundles",
            ins=inputs(pipeline, "features", "feature_plan", "sweep"),
        )
    )
    def model(
        context: dg.AssetExecutionContext,
        spark: SparkResource,
        mlflow: MLflowResource,
        features: Table,
        feature_plan: FeaturePlan,
        sweep: SweepResult,
    ) -> LightGBMModel:
        from synml_dagster.plots import training as training_figures

        began = time.monotonic()
        trained = fit(
            spark.session,
            feature_plan,
            train,
            sweep.best_params,
            side(features, "train"),
            side(features, "validation"),
            on_progress=progress_to(context.log.info),
            estimator={"checkpoint": _checkpoint(context, pipeline, feature_plan)},
        )
        metric, value = validation_score(trained)
        if worry := lost_precision(feature_plan, train):
            context.log.warning(worry)
            context.add_output_metadata({"warnings": dg.MetadataValue.md(f"- {worry}")})
        history = training_figures.training_history(trained.history, trained.best_iteration)
        importance = training_figures.importance(trained.feature_importance("gain"))
        context.add_output_metadata(
            {
                f"validation/{metric}": figure(value),
                "rounds": trained.iterations,
                "seconds": round(time.monotonic() - began, 2),
                "training history": picture(history, "metric by round"),
                "importance": picture(importance, "gain by feature"),
                "parameters": dg.MetadataValue.json(trained.params),
            }
        )
        with mlflow.run(context) as run:
            run.log_params(
                {k: v for k, v in trained.params.items() if v is not None} | {"rounds": trained.iterations}
            )
            run.log_metrics({f"validation/{metric}": value})
        return trained

    return model


def _checkpoint(context: dg.AssetExecutionContext, pipeline: str, plan: FeaturePlan) -> str:
    """Where the trees so far are kept: found again by a re-execution of the run, and never by one of other rows or features."""
    run = context.run.root_run_id or context.run.run_id
    return DataDirectory().path(pipeline, "checkpoints", f"{run}-{plan.identity}")
