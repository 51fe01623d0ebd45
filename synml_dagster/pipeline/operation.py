"""What operates a pipeline: its jobs, checks, schedules and sensors around its assets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from synml_dagster.assets.gates import build_answers_check, build_table_checks
from synml_dagster.assets.predictions import build_rejected_rows
from synml_dagster.assets.stage import stage_key
from synml_dagster.automation import (
    Retraining,
    age_sensor,
    failed_check_sensor,
    follow_sensor,
    followed,
    measure_job,
    new_data_sensor,
    promotion_jobs,
    schedules,
    score_job,
    train_job,
)
from synml_dagster.pipeline.embedded import default_resources

if TYPE_CHECKING:
    from synml_dagster.pipeline.description import Description


def build_definitions(
    pipeline: Description,
    assets: Sequence[dg.AssetsDefinition],
    resources: Mapping[str, Any],
    change_spec: Callable[[dg.AssetSpec], dg.AssetSpec] | None,
) -> dg.Definitions:
    """Return what operates the pipeline of these assets; see `MLPipeline.definitions`."""

    def changed(spec: dg.AssetSpec) -> dg.AssetSpec:
        spec = followed(pipeline.automation, spec, pipeline.name, of_asset=pipeline.source.asset is not None)
        return change_spec(spec) if change_spec else spec

    made = [a.map_asset_specs(changed) for a in assets]
    reads = pipeline.score.source is None
    stages = ["raw"] * reads + ["predictions"] + ["contributions"] * bool(pipeline.explain.every_row)
    stages += ["shadow_predictions"] * bool(pipeline.promote.shadow)
    scored = [stage_key(pipeline.name, s) for s in stages]
    live = stage_key(pipeline.name, "live_evaluation") if pipeline.live else None
    train, score = train_job(pipeline.name, [live] if live else []), score_job(pipeline.name, scored)
    measure = measure_job(pipeline.name, live) if live else None
    origin = dg.AssetSpec(
        key=stage_key(pipeline.name, "source"),
        group_name=pipeline.name,
        description=f"What the pipeline reads: {pipeline.source.describe()}",
        kinds={pipeline.source.kind},
    )
    given = dict(resources or {})
    if pipeline.resources == "embedded":
        given = dict(default_resources()) | given
    return dg.Definitions(
        # An asset that is the source has a spec of its own, here or in another code location.
        assets=[
            *([] if pipeline.source.asset else [change_spec(origin) if change_spec else origin]),
            *made,
        ],
        asset_checks=[build_rejected_rows(pipeline.name), *_checks(pipeline)],
        jobs=[
            train,
            score,
            *([measure] if measure else []),
            *promotion_jobs(pipeline.name, stage_key(pipeline.name, "champion"), pipeline.mlflow.model),
        ],
        schedules=schedules(pipeline.name, pipeline.automation, train, score, pipeline.partitions),
        sensors=_sensors(pipeline, train, score, measure),
        resources=given,
    )


def _checks(pipeline: Description) -> list[dg.AssetChecksDefinition]:
    found = build_table_checks(pipeline.name, pipeline.checks, pipeline.mlflow.model, pipeline.partitions)
    if pipeline.checks.predictions is not None:
        found.append(build_answers_check(pipeline.name, pipeline.checks.predictions, pipeline.mlflow.model))
    return found


def _sensors(pipeline: Description, train: Any, score: Any, measure: Any) -> list[dg.SensorDefinition]:
    name, spec, parts, on = (
        pipeline.name,
        pipeline.automation,
        pipeline.partitions,
        pipeline.automation.retrain_on,
    )
    raw, predictions, champion, live = (
        stage_key(name, s) for s in ("raw", "predictions", "champion", "live_evaluation")
    )
    found = []
    if spec.on_new_data == "score":
        apart = pipeline.score.source
        found.append(
            new_data_sensor(name, spec, apart or pipeline.source, predictions if apart else raw, score, parts)
        )
    elif spec.on_new_data == "retrain":
        found.append(
            new_data_sensor(name, spec, pipeline.source, raw, train, parts, partitions_back=spec.read_again)
        )
    if spec.on_new_labels and pipeline.live is not None:
        labels = pipeline.live.labels or pipeline.source
        found.append(new_data_sensor(name, spec, labels, live, measure, word="new_labels"))
    if spec.follow.any:
        found.append(follow_sensor(name, spec, shadow=pipeline.promote.shadow is not None))
    if on is not None:
        retraining = Retraining(name, spec, on, train, champion, raw, parts)
        if on.drift is not None:
            check = dg.AssetCheckKey(predictions, "drift")
            found.append(failed_check_sensor(retraining, "drift", check, on.drift, on.drift.importance))
        if on.decay is not None:
            found.append(failed_check_sensor(retraining, "decay", dg.AssetCheckKey(live, "decay"), on.decay))
        if on.age is not None:
            found.append(age_sensor(retraining, on.age))
    return found
