"""`explanations`: exact SHAP values of a sample of the test rows."""

import dagster as dg

from synml_dagster.assets.artifacts import FittedPipeline, side
from synml_dagster.assets.stage import ExplainSpec, clearly, inputs, picture, stage, stored_once
from synml_dagster.explain import Explanations, KernelExplainer, explain, explainer_for
from synml_dagster.learners import learner_of
from synml_dagster.resources import MLflowResource, SparkResource

_MOST_SCORED, _FEWEST = 3_000_000, 20
"""How many rows are scored for explanations that have no closed form, and how many are explained at least."""


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
        explainer = explainer_for(model.model.form)
        if (
            isinstance(explainer, KernelExplainer)
            and (most := max(_FEWEST, _MOST_SCORED // explainer.rows_scored)) < rows
        ):
            rows = most
            context.log.info(
                f"{rows} of the {spec.rows} rows that explain.rows asks for: {learner_of(model.model.learner).title.lower()} has no closed form "
                f"of what each column adds, and {explainer.rows_scored:,} rows are scored to explain one"
            )
        found = explain(test, model.model, model.plan, rows=rows, seed=spec.seed, spark=spark.session)
        importance, beeswarm = figures.importance(found), figures.beeswarm(found)
        told = {
            "rows": found.rows,
            "method": found.method,
            "importance": picture(importance, "mean size of the SHAP value by feature"),
            "beeswarm": picture(beeswarm, "SHAP value of each row by feature"),
        }
        context.add_output_metadata(stored_once(context, told))
        with mlflow.run(context) as run:
            run.log_metrics({f"mean_abs_shap/{name}": size for name, size in found.importance.items()})
            run.log_pictures({"shap importance": importance, "shap beeswarm": beeswarm})
        return found

    return explanations
