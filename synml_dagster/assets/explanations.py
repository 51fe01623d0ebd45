"""`explanations`: exact SHAP values of a sample of the test rows."""

import dagster as dg

from synml_dagster.assets.fitted import FittedPipeline
from synml_dagster.assets.specs import ExplainSpec
from synml_dagster.assets.split import side
from synml_dagster.assets.stage import clearly, inputs, picture, stage
from synml_dagster.explain import Explanations, explain
from synml_dagster.explain.base import NOT_EXACT, is_explained_exactly
from synml_dagster.resources import MLflowResource, SparkResource


def build_explanations(pipeline: str, spec: ExplainSpec) -> dg.AssetsDefinition:
    """Return the asset that explains."""

    @dg.asset(
        **stage(
            pipeline,
            "explanations",
            io_manager_key="bundles",
            ins=inputs(pipeline, "model"),
        )
    )
    @clearly
    def explanations(
        context: dg.AssetExecutionContext,
        spark: SparkResource,
        mlflow: MLflowResource,
        model: FittedPipeline,
    ) -> Explanations:
        from synml_dagster.plots import explanations as figures

        if not is_explained_exactly(model.model.form):
            context.log.warning(NOT_EXACT)
            context.add_output_metadata({"rows": 0, "warnings": NOT_EXACT})
            return Explanations.none(model.plan.task, model.model.features, NOT_EXACT)
        test = side(model.features, "test")
        found = explain(test, model.model, model.plan, rows=spec.rows, seed=spec.seed, spark=spark.session)
        importance, beeswarm = figures.importance(found), figures.beeswarm(found)
        context.add_output_metadata(
            {
                "rows": found.rows,
                "importance": picture(importance, "mean size of the SHAP value by feature"),
                "beeswarm": picture(beeswarm, "SHAP value of each row by feature"),
            }
        )
        with mlflow.run(context) as run:
            run.log_metrics({f"mean_abs_shap/{name}": size for name, size in found.importance.items()})
            run.log_pictures({"shap importance": importance, "shap beeswarm": beeswarm})
        return found

    return explanations
