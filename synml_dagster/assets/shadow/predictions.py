"""`shadow_predictions`: the rows of a scoring run, scored by the champion and by the challenger in shadow."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from synml_dagster.assets.champion import ChampionRecord
from synml_dagster.assets.scoring import rows_to_score
from synml_dagster.assets.shadow.outcome import conclude, figures, history, tell_champion
from synml_dagster.assets.shadow.side_by_side import (
    Beside,
    champion_scores,
    check_kept,
    raised_by_model,
    said_of,
    scored_once,
)
from synml_dagster.assets.stage import (
    ScoreSpec,
    clearly,
    gate,
    inputs,
    outcome,
    reads_from,
    stage,
    stage_key,
)
from synml_dagster.checks import PromoteSpec, ShadowRun
from synml_dagster.checks.shadow_registry import in_shadow
from synml_dagster.errors import DataError, ModelError
from synml_dagster.onnx import OnnxModel
from synml_dagster.partitions import PartitionsSpec, partitioned
from synml_dagster.resources import MLflowResource, SparkResource
from synml_dagster.resources.reason import reason_of
from synml_dagster.tables import Table

NAME = "shadow_predictions"
SHADOW = "The challenger in shadow stayed within the guardrails in this run."


def build_shadow_predictions(
    pipeline: str,
    rule: PromoteSpec,
    score: ScoreSpec,
    partitions: PartitionsSpec | None = None,
    registered: str | None = None,
) -> dg.AssetsDefinition:
    """Return the asset that scores what `predictions` scores by both models, says how they differ, and decides after `rule.shadow.runs`.

    Where no challenger is in shadow it makes nothing, and opens no Spark. What the challenger cannot score refuses it, and
    fails no run, also where its graph fails within a task; a failure of Spark's that the champion alone does not meet is a warning, and the run does not count.
    What fails otherwise (the registry, the source, the champion) fails the step, which can be tried again.
    """
    name = registered or pipeline
    check_kept(score.keep or ())
    ins = inputs(pipeline, "champion")
    if score.source is None:
        ins |= {"raw": dg.AssetIn(key=stage_key(pipeline, "raw"))}
    of_asset = []
    if score.source is not None and score.source.asset:
        of_asset = [reads_from(score.source, stage_key(pipeline, "source"), partitions)]
    told = stage(
        pipeline,
        NAME,
        io_manager_key="spark_tables",
        ins=ins,
        # After the champion has scored: what its checks hold back is not looked at either.
        deps=[stage_key(pipeline, "predictions"), *of_asset],
        check_specs=[gate(pipeline, NAME, "shadow", SHADOW)],
        output_required=False,
        **partitioned(partitions),
    )

    def run(
        context: dg.AssetExecutionContext, resource: SparkResource, mlflow: MLflowResource, raw: Any
    ) -> Iterator[Any]:
        shadow, holder = in_shadow(mlflow, name), mlflow.champion(name)
        if shadow is None or holder is None:
            none = "challenger of {!r} is in shadow" if shadow is None else "version of {!r} is champion"
            yield outcome("shadow", True, f"no {none.format(name)}")
            return
        if shadow.beside != str(holder.version):
            # Another question may be asked of this champion: the two are not scored beside each other.
            done = conclude(mlflow, name, rule, pipeline, shadow, None)
            tell_champion(context, stage_key(pipeline, "champion"), shadow, done)
            yield outcome("shadow", done.promoted is not False, done.headline(shadow), only_warns=True)
            return
        run_id, at = context.run.run_id, datetime.now(UTC).isoformat(timespec="seconds")
        with ExitStack() as stack:
            tables: dict[str, Table] = {}
            spark, beside = resource.session, Beside.opened(mlflow, holder)
            each, _ = rows_to_score(context, score, partitions, raw, beside.champion, spark, [])
            once = {key: beside.scored(rows, score.keep, spark) for key, rows in each.items()}
            bundle = mlflow.download(shadow.version)
            try:
                challenger = OnnxModel.load(bundle)
                version = str(shadow.version.version)
                frames = {
                    key: beside.answered(rows, challenger, version, spark) for key, rows in once.items()
                }
            except (DataError, ModelError) as problem:
                found = ShadowRun(run_id=run_id, at=at, rows=0, problem=str(problem))
            else:
                try:
                    tables = stack.enter_context(scored_once(frames, pipeline, NAME))
                except Exception as problem:
                    found = ShadowRun(run_id=run_id, at=at, rows=0, problem=said_of(problem))
                    if not champion_scores(once.values()):
                        raise
                    if not raised_by_model(problem):
                        said = f"{shadow.name} could not be scored beside the champion, which can score the same rows alone: {found.problem}. This run does not count"
                        context.log.warning(said)
                        yield outcome("shadow", False, said, only_warns=True)
                        return
                else:
                    found = beside.compared(run_id, tables, challenger, spark)
            if not found.rows and not found.problem:
                yield outcome("shadow", True, "no rows were scored, and this run does not count")
                return
            done = conclude(mlflow, name, rule, pipeline, shadow, found)
            tell_champion(context, stage_key(pipeline, "champion"), shadow, done)
            if tables:
                files = {key: table.files() for key, table in tables.items()}
                about = {
                    "decision": done.headline(shadow),
                    "model_version": str(holder.version),
                    "challenger_version": shadow.version.version,
                    **figures(found),
                    "shadow runs": history(done.runs),
                    **reason_of(context),
                }
                yield dg.Output(files[""] if partitions is None else files, metadata=about)
        yield outcome(
            "shadow", done.promoted is not False, done.headline(shadow), figures(found), only_warns=True
        )

    if score.source:

        @dg.asset(**told)
        @clearly
        def shadow_predictions(
            context: dg.AssetExecutionContext,
            spark: SparkResource,
            mlflow: MLflowResource,
            champion: ChampionRecord,
        ) -> Iterator[Any]:
            yield from run(context, spark, mlflow, None)

    else:

        @dg.asset(**told)
        @clearly
        def shadow_predictions(
            context: dg.AssetExecutionContext,
            spark: SparkResource,
            mlflow: MLflowResource,
            champion: ChampionRecord,
            raw: Any,
        ) -> Iterator[Any]:
            yield from run(context, spark, mlflow, raw)

    return shadow_predictions
