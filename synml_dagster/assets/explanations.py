"""`explanations`: exact SHAP values of a sample of the test rows."""

import dagster as dg

from synml_dagster.assets.fitted import FittedPipeline
from synml_dagster.assets.specs import ExplainSpec
from synml_dagster.assets.split import side
from synml_dagster.assets.stage import clearly, inputs, picture, stage
from synml_dagster.explain import Explanations, explain
from synml_dagster.explain.base import is_explained_exactly
from synml_dagster.learners import learner_of
from synml_dagster.resources import MLflowResource, SparkResource

_MOST_BY_KERNEL = 200


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

        test, rows = side(model.features, "test"), spec.rows
        if not is_explained_exactly(model.model.form) and rows > _MOST_BY_KERNEL:
            rows = _MOST_BY_KERNEL
            context.log.info(
                f"{rows} of the {spec.rows} rows that explain.rows asks for: each row of {learner_of(model.model.learner).title.lower()} "
                "is explained by thousands of others, where trees and linear models have a closed form"
            )
        found = explain(test, model.model, model.plan, rows=rows, seed=spec.seed, spark=spark.session)
        importance, beeswarm = figures.importance(found), figures.beeswarm(found)
        context.add_output_metadata(
            {
                "rows": found.rows,
                "method": found.method,
                "importance": picture(importance, "mean size of the SHAP value by feature"),
                "beeswarm": picture(beeswarm, "SHAP value of each row by feature"),
            }
        )
        with mlflow.run(context) as run:
            run.log_metrics({f"mean_abs_shap/{name}": size for name, size in found.importance.items()})
            run.log_pictures({"shap importance": importance, "shap beeswarm": beeswarm})
        return found

    return explanations
