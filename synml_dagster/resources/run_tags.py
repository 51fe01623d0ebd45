"""Tags of a Dagster run that lead to what belongs to it: its MLflow run, Spark's UI, the report."""

from __future__ import annotations

from contextlib import suppress

import dagster as dg

from synml_dagster.redaction import redacted

MLFLOW_TAG = "synml/mlflow"
SPARK_TAG = "synml/spark_ui"
REPORT_TAG = "synml/report"

_TAGGED: set[tuple[str, str]] = set()
"""What this process has tagged: each step of a run would write the same once more."""


def tag_run(instance: dg.DagsterInstance, run_id: str, tag: str, value: str) -> None:
    """Give a run the tag; a tag that cannot be written ends no step."""
    if (run_id, tag) in _TAGGED:
        return
    with suppress(Exception):
        instance.add_run_tags(run_id, {tag: redacted(value)})
        _TAGGED.add((run_id, tag))
