"""What the report says of where the model is worst."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synml_dagster.explain.value_names import number_text

if TYPE_CHECKING:
    from synml_dagster.report.inputs import ReportInputs


def weak_spots(inputs: ReportInputs) -> dict[str, Any] | None:
    """Return the slices on which the model is worst, None where nobody has looked."""
    found = inputs.evaluation.slices
    if found is None:
        return None
    rates = found.measure == "wrong answers"

    def text(value: float) -> str:
        return f"{value:.1%}" if rates else number_text(value)

    return {
        "measure": "Wrong answers" if rates else "Mean absolute error",
        "all": text(found.error),
        "rows": f"{found.rows:,}",
        "looked_at": f"{found.looked_at:,}",
        "slices": [
            {
                "parts": list(zip(s.columns, s.values, strict=True)),
                "rows": f"{s.rows:,}",
                "share": f"{s.share:.1%}",
                "error": text(s.error),
                "interval": f"{text(s.low)} to {text(s.high)}",
            }
            for s in found.slices
        ],
    }
