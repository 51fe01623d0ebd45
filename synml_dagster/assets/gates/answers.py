"""The check `answers` of `predictions`: the champion's answers against those on its test rows."""

from typing import Any

import dagster as dg

from synml_dagster.assets.gates.written import frame, written
from synml_dagster.assets.stage import SPARK_POOL, clearly, figure, outcome, pictures, stage_key
from synml_dagster.checks.answers import answer_bins, count_answers, judge_answers
from synml_dagster.checks.spec import PredictionsCheck
from synml_dagster.errors import ModelError
from synml_dagster.evaluation import Evaluation
from synml_dagster.resources import MLflowResource, SparkResource


def build_answers_check(
    pipeline: str, spec: PredictionsCheck, registered: str | None = None
) -> dg.AssetChecksDefinition:
    """Return the check; of the answers one column is read."""
    key, name = stage_key(pipeline, "predictions"), registered or pipeline

    @dg.asset_check(
        asset=key,
        name="answers",
        description=PredictionsCheck.__doc__,
        blocking=spec.blocking,
        pool=SPARK_POOL,
    )
    @clearly
    def answers(
        context: dg.AssetCheckExecutionContext, spark: SparkResource, mlflow: MLflowResource
    ) -> dg.AssetCheckResult:
        from synml_dagster.plots.drift import two_distributions

        made = written(context, key)
        number = str(made[-1].metadata["model_version"].value)
        version = mlflow.version(name, number)
        if version is None:
            raise ModelError(f"answers: version {number} of {name!r} is no longer in the registry")
        bins = answer_bins(Evaluation.load(mlflow.download(version)))
        warns = spec.severity == "warn"
        if bins is None:
            return outcome(
                "answers", True, "scores of a ranking are compared within a query alone", only_warns=True
            )
        found = count_answers([frame(m, spark.session) for m in made], bins)
        passed, said, index = judge_answers(found, bins, spec)
        told: dict[str, Any] = {"rows": sum(found), "model_version": number}
        if index is not None:
            told["stability index"] = figure(index)
        if not passed:
            shares = [[v / sum(part) for v in part] for part in (bins.expected, found)]
            told["distributions"] = pictures(
                {bins.column: two_distributions(bins.column, bins.names, shares[0], shares[1])}
            )
        return outcome("answers", passed, said, told, only_warns=warns)

    return answers
