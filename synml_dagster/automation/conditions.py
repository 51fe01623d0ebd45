"""Declarative automation: predictions that follow a new champion and new rows by themselves."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg

from synml_dagster.automation.spec import AutomationSpec
from synml_dagster.resources.reason import REASON_TAG


def followed(
    spec: AutomationSpec, asset: dg.AssetSpec, pipeline: str, of_asset: bool = False
) -> dg.AssetSpec:
    """Return the spec of one of the pipeline's assets with the condition and freshness policy that the description gives it.

    `of_asset` says that the source is another asset, so that a partition is read once that has it, and not once it is over.
    """
    raw, champion, predictions = (dg.AssetKey([pipeline, s]) for s in ("raw", "champion", "predictions"))
    if asset.key == raw and spec.follow.partitions:
        asset = asset.replace_attributes(
            automation_condition=new_upstream_partition() if of_asset else new_partition()
        )
    if asset.key == predictions and spec.follow.any:
        asset = asset.replace_attributes(automation_condition=new_to_score(spec, champion, raw))
    if asset.key.path[-1] == "shadow_predictions" and spec.follow.any:
        asset = asset.replace_attributes(automation_condition=scored_anew(predictions))
    if asset.key == predictions and spec.fresh_hours is not None:
        policy = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=spec.fresh_hours))
        asset = asset.replace_attributes(freshness_policy=policy)
    return asset


def new_partition() -> dg.AutomationCondition:
    """Return the condition of `raw`: a partition that has come into being is read once; of days the last one."""
    wanted = dg.AutomationCondition.newly_missing().since_last_handled()
    return (
        dg.AutomationCondition.in_latest_time_window() & wanted & ~dg.AutomationCondition.in_progress()
    ).with_label("a new partition")


def new_upstream_partition() -> dg.AutomationCondition:
    """Return the condition of `raw` that reads an asset: a partition that this has materialized is read, each time that it has."""
    news = dg.AutomationCondition.any_deps_updated()
    return (
        dg.AutomationCondition.in_latest_time_window()
        & news.since_last_handled()
        & ~dg.AutomationCondition.any_deps_missing()
        & ~dg.AutomationCondition.any_deps_in_progress()
        & ~dg.AutomationCondition.in_progress()
    ).with_label("a new partition of the source")


def new_to_score(spec: AutomationSpec, champion: dg.AssetKey, raw: dg.AssetKey) -> dg.AutomationCondition:
    """Return the condition of `predictions`: what they are made of has changed since they were made or asked for.

    What counts is the data version: `champion` has that of the version which serves, so that a challenger that was refused
    asks for nothing, and rows that are read anew and are the same do not either.
    """
    watched = [key for key, on in ((champion, spec.follow.champion), (raw, spec.follow.partitions)) if on]
    changed = dg.AutomationCondition.data_version_changed()
    news = dg.AutomationCondition.any_deps_match(changed).allow(dg.AssetSelection.assets(*watched))
    return (
        dg.AutomationCondition.in_latest_time_window()
        & news.since_last_handled()
        & ~dg.AutomationCondition.any_deps_missing()
        & ~dg.AutomationCondition.any_deps_in_progress()
        & ~dg.AutomationCondition.in_progress()
    ).with_label("something new to score")


def scored_anew(predictions: dg.AssetKey) -> dg.AutomationCondition:
    """Return the condition of `shadow_predictions`: a challenger in shadow scores whatever the champion scores.

    A run that found nobody in shadow has made no table. It counts as handled by its check, or each scoring by a job would
    be followed by a run of this asset alone. Of partitions, the check is one for all of them.
    """
    scored = dg.AutomationCondition.any_deps_updated().allow(dg.AssetSelection.assets(predictions))
    looked = dg.AutomationCondition.any_checks_match(dg.AutomationCondition.newly_updated())
    handled = (
        dg.AutomationCondition.newly_requested()
        | dg.AutomationCondition.newly_updated()
        | dg.AutomationCondition.initial_evaluation()
        | looked
    ).with_label("handled")
    return (scored.since(handled) & ~dg.AutomationCondition.in_progress()).with_label(
        "the champion has scored"
    )


def follow_sensor(pipeline: str, spec: AutomationSpec, shadow: bool = False) -> dg.SensorDefinition:
    """Return `<pipeline>_follow`, which evaluates the conditions; it starts stopped, as all sensors do."""
    stages = ["raw", "predictions"] + ["shadow_predictions"] * shadow
    return dg.AutomationConditionSensorDefinition(
        name=f"{pipeline}_follow",
        target=dg.AssetSelection.assets(*([pipeline, stage] for stage in stages)),
        minimum_interval_seconds=spec.every_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING if spec.running else dg.DefaultSensorStatus.STOPPED,
        run_tags={"synml/pipeline": pipeline, REASON_TAG: "follow: something new to score"},
        description="Reads new partitions, and scores again what a new champion or new rows have made old.",
    )
