"""The model card as Markdown: for the registry's model version, and as `MODEL_CARD.md` beside the model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from synml_dagster.redaction import redacted
from synml_dagster.report import about, data, groups, model, operation, thresholds, training, weak_spots

if TYPE_CHECKING:
    from synml_dagster.report.inputs import ReportInputs

REGISTRY_LENGTH = 5_000
"""Characters that MLflow's registry keeps of a version's description."""
_MOST_SLICES, _MOST_GROUPS = 6, 12


def render_markdown(inputs: ReportInputs, most: int | None = None) -> str:
    """Return the card as Markdown (CommonMark with tables).

    Text that comes from people or data is escaped: it is shown as it is written and is neither markup nor HTML.

    Parameters
    ----------
    inputs
        As for `render_report`; sections without their part are left out.
    most
        The most characters. Whole sections are left out from the end, and a line says so; `REGISTRY_LENGTH` is what
        MLflow's registry takes. As long as need be when None.
    """
    parts = [part for part in _sections(inputs) if part]
    whole = "\n\n".join(parts) + "\n"
    if most is None or len(whole) <= most:
        return whole
    left = "\n\n*Left out here for its length: the rest, which is in MODEL_CARD.md and report.html.*\n"
    kept = parts[0][: most - len(left)]
    for part in parts[1:]:
        if len(kept) + 2 + len(part) + len(left) <= most:
            kept += "\n\n" + part
    return kept + left


def plain(text: object) -> str:
    """Return text as Markdown that shows just it, on one line; what looks like a secret is hidden."""
    line = " ".join(redacted(str(text)).split())
    line = re.sub(r"([\\`*_\[\]|~])", r"\\\1", line).replace("&", "&amp;").replace("<", "&lt;")
    # What begins a heading, a list, a quote or a rule does so at the beginning alone.
    return re.sub(r"^(\d+(?=[.)](?:\s|$))|(?=[#>]|[+-](?:\s|$)|[-=]{2}))", r"\1\\", line)


def _sections(inputs: ReportInputs) -> Iterable[str]:
    yield _head(inputs)
    yield _purpose(inputs)
    yield _quality(inputs)
    yield _threshold(inputs)
    yield _weak(inputs)
    yield _groups(inputs)
    yield _data(inputs)
    yield _training(inputs)
    yield _checks(inputs)
    yield _provenance(inputs)


def _head(inputs: ReportInputs) -> str:
    lines = [f"# {plain(inputs.name)}", plain(model.headline(inputs))]
    if (verdict := model.verdict(inputs)) is not None:
        status = "Promoted to champion" if verdict["promoted"] else "Not promoted"
        lines.append(f"**{status}:** {plain(verdict['reason'])}")
    return "\n\n".join(lines)


def _purpose(inputs: ReportInputs) -> str:
    told = about.about(inputs)
    if told is None:
        return ""
    lines = ["## Purpose"]
    lines += [plain(line) for line in told["intended_use"]]
    if told["not_for"]:
        lines.append(
            "**Must not be used for:**\n\n" + "\n".join(f"- {plain(line)}" for line in told["not_for"])
        )
    if told["limitations"]:
        lines.append(f"**Known to be weak:** {plain(' '.join(told['limitations']))}")
    if told["facts"]:
        lines.append("\n".join(f"- **{key}:** {plain(value)}" for key, value in told["facts"]))
    return "\n\n".join(lines)


def _quality(inputs: ReportInputs) -> str:
    told = model.metric_table(inputs)
    rows = [[row["title"], row["test"], row["interval"], row["baseline"]] for row in told["rows"]]
    notes = [plain(note) for note in inputs.evaluation.notes]
    return "\n\n".join(
        [
            f"## Quality\n\nOn {told['test_rows']} held-out test rows{', weighted' if told['weighted'] else ''}; the baseline is {plain(told['baseline_is'])}.",
            _table(["Metric", "Test", "95% interval", "Baseline"], rows),
            *notes,
        ]
    )


def _threshold(inputs: ReportInputs) -> str:
    told = thresholds.choice(inputs)
    if told is None:
        return _decision(inputs)
    rows = [[row["title"], row["cost"], row["interval"], *row["cells"]] for row in told["rows"]]
    head = [
        "Answers",
        told["unit"],
        "95% interval",
        "Flagged",
        "Precision",
        "Recall",
        "False positives",
        "False negatives",
    ]
    said = "The predicted label is the likelier class, whatever the costs."
    return f"## Threshold\n\n{plain(told['told'])} {plain(told['saved'])} {said}\n\n{_table(head, rows)}"


def _decision(inputs: ReportInputs) -> str:
    told = thresholds.decision(inputs)
    if told is None:
        return ""
    rows = [[row["title"], row["cost"], row["interval"]] for row in told["rows"]]
    table = _table(["Answers", told["unit"], "95% interval"], rows)
    return f"## Deciding by costs\n\n{plain(told['told'])} {plain(told['saved'])}\n\n{table}"


def _weak(inputs: ReportInputs) -> str:
    told = weak_spots.weak_spots(inputs)
    if told is None:
        return ""
    title = f"## Weak spots\n\n{told['measure']} on all test rows: {told['all']}. Slices looked at: {told['looked_at']}; "
    if not told["slices"]:
        return title + "none is surely worse."
    rows = [
        [" and ".join(f"{c} {v}" for c, v in s["parts"]), s["rows"], s["error"], s["interval"]]
        for s in told["slices"][:_MOST_SLICES]
    ]
    return (
        title
        + f"these are surely worse.\n\n{_table(['Rows where', 'Rows', told['measure'], '95% interval'], rows)}"
    )


def _groups(inputs: ReportInputs) -> str:
    told = groups.groups(inputs, pictures=False)
    if told is None or not told["disparities"]:
        return ""
    rows = [
        [d["columns"], d["label"], d["title"], d["difference"], d["interval"], d["between"]]
        for d in told["disparities"][:_MOST_GROUPS]
    ]
    text = "## Groups\n\n" + _table(
        ["Columns", "Class", "Of", "Difference", "95% interval", "Largest and smallest"], rows
    )
    weighed = inputs.fairness.reweighing if inputs.fairness else None
    return text if weighed is None else f"{text}\n\n*Training was reweighed:* {plain(weighed.said())}."


def _data(inputs: ReportInputs) -> str:
    told = data.data(inputs)
    facts = "\n".join(f"- **{key}:** {plain(value)}" for key, value in told["facts"])
    sides = ", ".join(f"{side['name'].lower()} {side['rows']}" for side in told["sides"])
    lines = [f"## Data\n\n{facts}" + (f"\n- **Rows by side:** {sides}" if sides else "")]
    if told["warnings"]:
        lines.append("\n".join(f"- *Note:* {plain(warning)}" for warning in told["warnings"]))
    return "\n\n".join(lines)


def _training(inputs: ReportInputs) -> str:
    told = training.training(inputs, pictures=False)
    if told is None:
        return ""
    facts = [
        *told["facts"],
        *((key, value) for key, value in (operation.effort(inputs) or {}).get("facts", [])),
    ]
    lines = ["## Training", "\n".join(f"- **{key}:** {plain(value)}" for key, value in facts)]
    if told["members"]:
        lines.append(
            "\n".join(
                f"- {plain(weight)} {plain(name)} ({plain(trial)})" for weight, name, trial in told["members"]
            )
        )
    return "\n\n".join(lines)


def _checks(inputs: ReportInputs) -> str:
    told = operation.checks(inputs)
    if not told:
        return ""
    return "## Checks\n\n" + "\n".join(
        f"- **{plain(c['name'])}** ({plain(c['stage'])}): {c['state']}. {plain(c['said'])}" for c in told
    )


def _provenance(inputs: ReportInputs) -> str:
    told = data.provenance(inputs, inputs.made)
    return "## Provenance\n\n" + "\n".join(f"- **{key}:** {plain(value)}" for key, value in told)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(plain(cell) for cell in head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(plain(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)
