"""Why a run was asked for, as a tag of the run and on the pages of what it made."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dagster as dg


REASON_TAG = "synml/reason"
"""Every run that a schedule or a sensor asks for says why in this tag."""


def reason_of(
    context: dg.OpExecutionContext | dg.AssetExecutionContext | dg.AssetCheckExecutionContext,
) -> dict[str, str]:
    """Return the metadata that says why the run of `context` was asked for; nothing of a run that a person launched."""
    reason = context.run.tags.get(REASON_TAG)
    return {"reason": reason} if reason else {}
