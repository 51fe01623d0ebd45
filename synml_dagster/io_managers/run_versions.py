"""The versions that a run goes on from: those that it published itself, whatever other runs have published since.

Two runs of one pipeline at the same time each publish a plan and a table. The current plan beside the current table may
be one of each, and a model of the two is wrong without a word.
"""

from __future__ import annotations

from typing import Any

import dagster as dg
from dagster import DagsterInvariantViolationError

from synml_dagster.errors import SourceError
from synml_dagster.io_managers.place import metadata_of


def own_versions(context: dg.InputContext) -> dict[str | None, str]:
    """Return, by partition or under None, the version of the input that this run published, or the run that it re-executes.

    Nothing where the upstream asset is not part of the run: then the current version is the one to read.
    """
    upstream = context.upstream_output
    if upstream is None or not context.has_asset_key:
        return {}
    try:
        run_id, instance = upstream.run_id, context.instance
    except DagsterInvariantViolationError:  # outside of a run: `Definitions.load_asset_value`
        return {}
    found: dict[str | None, str] = {}
    # In the order of time: a step that was tried again published again.
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
        made = _materialization(entry)
        if made is None or made.asset_key != context.asset_key:
            continue
        version = metadata_of(made.metadata).get("version")
        if isinstance(version, str) and "," not in version:  # else it is that of several tables together
            found[made.partition] = version
    return found


def replaced(where: str, version: str | None, problem: SourceError) -> SourceError:
    """Return the error of an input whose version cannot be opened, with what to do about it."""
    since = (
        ". Other runs have published newer ones since this run published its own, and it goes on from no other. "
        "Materialize it again, or let fewer runs of it go on at the same time"
        if version is not None
        else ""
    )
    return SourceError(f"{where}: {problem}{since}")


def _materialization(entry: Any) -> dg.AssetMaterialization | None:
    event = entry.dagster_event
    return event.step_materialization_data.materialization if event is not None else None
