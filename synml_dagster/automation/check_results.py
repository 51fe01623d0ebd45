"""What Dagster has recorded of a check, newest first."""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg

_MOST = 1000


@dataclass(frozen=True)
class FailedResult:
    """One failed result of a check.

    Attributes
    ----------
    at
        When it was recorded, in seconds since 1970.
    said
        The check's sentence.
    """

    at: float
    said: str


def failures_in_a_row(
    instance: dg.DagsterInstance,
    check: dg.AssetCheckKey,
    after: float,
    most: int,
    least: tuple[str, float] | None = None,
) -> tuple[list[FailedResult], str]:
    """Return the latest failures that no other result interrupts, newest first, and what ended the row.

    Parameters
    ----------
    after
        Results up to this moment do not count, in seconds since 1970.
    most
        How many failures are enough.
    least
        A key of the result's metadata and the value that it must reach; a failure without the key counts.
    """
    found: list[FailedResult] = []
    records = instance.event_log_storage.get_asset_check_execution_history(check, limit=_MOST)
    for record in records:
        event = record.event
        evaluation = event.dagster_event.event_specific_data if event and event.dagster_event else None
        if event is None or not isinstance(evaluation, dg.AssetCheckEvaluation):
            continue  # planned, and under way, cut off or recorded once more
        if event.timestamp <= after:
            return found, "the last training or the last request"
        if evaluation.passed:
            return found, "it passed"
        if least is not None and least[0] in evaluation.metadata:
            value = float(str(evaluation.metadata[least[0]].value))
            if value < least[1]:
                return found, f"a failure whose {least[0]} was {value:.3g}, below {least[1]:g}"
        found.append(FailedResult(event.timestamp, evaluation.description or f"{check.name} failed"))
        if len(found) == most:
            return found, "enough"
    return found, "the first result"
