"""What the report says of how the model was checked, and what making it took."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synml_dagster.report.inputs import ReportInputs


def checks(inputs: ReportInputs) -> list[dict[str, str]]:
    """Return the checks, parity first, each with what it said."""
    found = []
    if (parity := inputs.parity) is not None:
        differ = (
            f"{parity['labels_different']:,} labels differ"
            if parity["labels_different"]
            else "no label differs"
        )
        said = (
            f"{parity['rows']:,} rows, {parity['adversarial_rows']:,} of them made up to be hard, scored by the exported graph and by Spark's own path: "
            f"{differ}; the largest difference is {parity['max_difference']:.2g}, and {parity['tolerance']:.0e} is allowed."
        )
        found.append(_check("parity", "onnx_model", bool(parity["passed"]), said))
    for check in inputs.checks:
        if check.name != "parity" or inputs.parity is None:
            found.append(_check(check.name, check.stage, check.passed, check.said, check.only_warns))
    return found


def _check(name: str, stage: str, passed: bool, said: str, only_warns: bool = False) -> dict[str, str]:
    state = "passed" if passed else "warning" if only_warns else "failed"
    return {
        "name": name.replace("_", " "),
        "stage": stage.replace("_", " "),
        "state": state,
        "mark": "good" if passed else "held",
        "said": said[:1].upper() + said[1:],
    }


def effort(inputs: ReportInputs) -> dict[str, Any] | None:
    """Return how long each step took and, where the description has a price, what the hours cost."""
    if not inputs.seconds:
        return None
    total = sum(inputs.seconds.values())
    most = max(inputs.seconds.values()) or 1.0
    price = inputs.card.machine_price if inputs.card else None
    told = [("Steps together", duration(total))]
    if price is not None and inputs.card is not None:
        told.append(("Cost", f"{price * total / 3600:,.2f} {inputs.card.currency}".strip()))
    return {
        "facts": told,
        "steps": [
            {"name": name.replace("_", " "), "time": duration(s), "bar": round(100 * s / most, 1)}
            for name, s in inputs.seconds.items()
        ],
    }


def duration(seconds: float) -> str:
    """Return a time as a person says it: 0.4 s, 42 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
