"""What a model card is made of that Dagster and the bundle know: the parts of the model, checks and times of the run."""

from __future__ import annotations

from typing import Any

import dagster as dg

from synml_dagster.assets.artifacts import ExportedPipeline
from synml_dagster.report import Check


def made_of(exported: ExportedPipeline) -> dict[str, Any]:
    """Return what a bundle tells a card, by the card's own names."""
    fitted = exported.fitted
    return {
        "plan": fitted.plan,
        "rows": fitted.plan.rows,
        "split_rows": fitted.rows,
        "model": fitted.model,
        "sweep": fitted.sweep,
        "onnx_model": exported.onnx,
        "parity": exported.parity,
    }


def checks_of(context: dg.AssetExecutionContext, pipeline: str) -> list[Check]:
    """Return the checks of the pipeline's stages that this run has evaluated, in their order."""
    logged = context.instance.all_logs(context.run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    events = [entry.dagster_event for entry in logged if entry.dagster_event is not None]
    told = [event.asset_check_evaluation_data for event in events]
    return [
        Check(
            name=check.check_name,
            stage=check.asset_key.path[-1],
            passed=check.passed,
            said=check.description or "",
            only_warns=check.severity == dg.AssetCheckSeverity.WARN,
        )
        for check in told
        if check.asset_key.path[0] == pipeline
    ]


def seconds_of(context: dg.AssetExecutionContext, pipeline: str) -> dict[str, float]:
    """Return how long each finished step of this run took, in their order."""
    steps = context.instance.get_run_step_stats(context.run.run_id)
    done = [s for s in steps if s.start_time is not None and s.end_time is not None]
    before = f"{pipeline}__"
    return {
        s.step_key.removeprefix(before): s.end_time - s.start_time
        for s in sorted(done, key=lambda s: s.start_time or 0.0)
        if s.step_key.startswith(before)
    }
