"""Runs one whole pipeline and says what came of it as JSON: in this process, or as `python -m tests.pipeline.whole`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import dagster as dg

from synml_dagster import MLPipeline

QUICK = {"sweep": {"trials": 2}, "train": {"rounds": 60, "early_stopping": 10}, "explain": {"rows": 50}}


def run_whole(description: dict[str, Any], instance: dg.DagsterInstance | None = None) -> dict[str, Any]:
    """Materialize every asset and return their metadata and values' places."""
    defs = MLPipeline.model_validate(description).definitions()
    name = description["name"]
    with instance or dg.DagsterInstance.ephemeral() as used:
        result = defs.resolve_job_def(f"{name}_train").execute_in_process(instance=used, raise_on_error=False)
        failures = []
        for event in result.all_events:
            if event.is_step_failure:
                error = event.step_failure_data.error
                while error.cause:
                    error = error.cause
                failures.append(f"{event.step_key}: {error.message}")
        logs = used.all_logs(result.run_id)
        return {
            "success": result.success,
            "said": [entry.user_message for entry in logs if not entry.is_dagster_event],
            "pictures": dict(
                Counter(
                    entry.dagster_event_type.name
                    for entry in logs
                    if entry.dagster_event_type
                    for _ in range(entry.to_json().count("data:image/png"))
                )
            ),
            "failures": failures,
            "checks": {c.check_name: c.passed for c in result.get_asset_check_evaluations()},
            "metadata": {
                m.asset_key.path[-1]: {k: _plain(v.value) for k, v in m.metadata.items()}
                for e in result.get_asset_materialization_events()
                for m in [e.step_materialization_data.materialization]
            },
        }


def _plain(value: object) -> object:
    return value if isinstance(value, int | float | str | None) else str(value)


if __name__ == "__main__":
    told = run_whole(json.loads(sys.argv[1]))
    Path(sys.argv[2]).write_text(json.dumps(told))
