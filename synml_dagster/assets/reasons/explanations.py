"""`explanations`: exact SHAP values of a sample of the test rows."""

from dataclasses import replace

import dagster as dg

from synml_dagster.assets.artifacts import FittedPipeline, side
from synml_dagster.assets.stage import (
    ExplainSpec,
    clearly,
    inputs,
    markdown_table,
    picture,
    pictures,
    stage,
    stored_once,
)
from synml_dagster.explain import (
    Explanations,
    explain,
    explain_chosen,
    explainer_for,
    importance_stability,
    is_explained_exactly,
)
from synml_dagster.learners import learner_of
from synml_dagster.report import chosen_cases
from synml_dagster.resources import MLflowResource, SparkResource

_MOST_LINES, _MOST_PICTURES = 30, 12
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
        form = model.model.form
        if (
            not is_explained_exactly(form)
            and (scored := explainer_for(form).rows_scored)
            and (most := max(_FEWEST, _MOST_SCORED // scored)) < rows
        ):
            rows = most
            context.log.info(
                f"{rows} of the {spec.rows} rows that explain.rows asks for: {learner_of(model.model.learner).title.lower()} has no closed form "
                f"of what each column adds, and {scored:,} rows are scored to explain one"
            )
        found = explain(test, model.model, model.plan, rows=rows, seed=spec.seed, spark=spark.session)
        if (asked := spec.chosen) is not None:
            chosen, ids, notes = explain_chosen(
                model.raw.dataframe(spark.session), model.plan, model.model, asked.column, asked.values
            )
            for note in notes:
                context.log.warning(f"explain.chosen: {note}")
            found = replace(found, chosen=chosen, chosen_by=asked.column, ids=ids, notes=notes)
        importance, beeswarm = figures.importance(found), figures.beeswarm(found)
        told = {
            "rows": found.rows,
            "method": found.method,
            "importance": picture(importance, "mean size of the SHAP value by feature"),
            "beeswarm": picture(beeswarm, "SHAP value of each row by feature"),
            "stability": markdown_table(
                ["rank", "feature", "mean size", "95% of draws", "ranks in 95% of draws"],
                [
                    [
                        s.rank,
                        s.feature,
                        f"{s.value:.4g}",
                        f"{s.low:.4g} to {s.high:.4g}",
                        f"{s.best} to {s.worst}",
                    ]
                    for s in importance_stability(found, seed=spec.seed)[:_MOST_LINES]
                ],
            ),
        }
        if found.chosen is not None:
            told["chosen rows"] = pictures(
                {
                    f"{case.title}: {case.answer}": figures.waterfall(found.chosen, case.row, case.output)
                    for case in chosen_cases(found)[:_MOST_PICTURES]
                }
            )
        if found.notes:
            told["notes"] = dg.MetadataValue.md("\n".join(f"- {note}" for note in found.notes))
        context.add_output_metadata(stored_once(context, told))
        with mlflow.run(context) as run:
            run.log_metrics({f"mean_abs_shap/{name}": size for name, size in found.importance.items()})
            run.log_pictures({"shap importance": importance, "shap beeswarm": beeswarm})
        return found

    return explanations
