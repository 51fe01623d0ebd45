"""How a stage is defined as an asset: its key, its group, its pool and its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import dagster as dg

from synml_dagster.assets.stage.catalog import ON_REQUEST, STAGES

SPARK_POOL = "spark"
"""Dagster's pool of all steps that use Spark: without a limit until somebody sets one."""
_NO_SPARK = frozenset({"report"})


def stage_key(pipeline: str, stage: str) -> dg.AssetKey:
    """Return the key of one stage of a pipeline."""
    return dg.AssetKey([pipeline, stage])


def stage(pipeline: str, name: str, **more: Any) -> dict[str, Any]:
    """Return the arguments that `dagster.asset` takes for a stage."""
    description, kinds = (STAGES | ON_REQUEST)[name]
    return {
        "key": stage_key(pipeline, name),
        "group_name": pipeline,
        "description": description,
        "kinds": kinds,
        "tags": {"synml/pipeline": pipeline},
        "code_version": version("synml-dagster"),
        # Says nothing of a stage without partitions, but `dg launch --partition-range` asks it of all that it launches.
        "backfill_policy": dg.BackfillPolicy.single_run(),
        **({} if name in _NO_SPARK else {"pool": SPARK_POOL}),
    } | more


def inputs(
    pipeline: str, *stages: str, newest: Mapping[str, int | None] | None = None
) -> dict[str, dg.AssetIn]:
    """Return the inputs of a stage: arguments named as the stages that they come from.

    A stage that takes one with partitions whole gets those that are there; of the stages in `newest` so many of the newest alone.
    """
    present: dict[str, Any] = {"allow_missing_partitions": True}
    last = {name: {"newest": count} for name, count in (newest or {}).items() if count}
    told = {name: present | last.get(name, {}) for name in stages}
    return {name: dg.AssetIn(key=stage_key(pipeline, name), metadata=told[name]) for name in stages}
