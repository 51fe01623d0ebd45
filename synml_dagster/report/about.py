"""What people say of the model: its purpose, what it must not be used for, and who answers for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synml_dagster.report.inputs import ReportInputs


def about(inputs: ReportInputs) -> dict[str, Any] | None:
    """Return what the description's `card` says, None where it says nothing that a reader would see."""
    card = inputs.card
    if card is None:
        return None
    people = [("Owner", card.owner), ("Contact", card.contact), ("License", card.license)]
    told = {
        "intended_use": _paragraphs(card.intended_use),
        "not_for": [" ".join(entry.split()) for entry in card.not_for],
        "limitations": _paragraphs(card.limitations),
        "facts": [(title, text) for title, text in people if text],
    }
    return told if any(told.values()) else None


def _paragraphs(text: str | None) -> list[str]:
    return [line.strip() for line in (text or "").splitlines() if line.strip()]
