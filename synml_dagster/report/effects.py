"""What the report says of effects: what each raw column does to the answers in general, and what the model is without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synml_dagster.report.picture import picture

if TYPE_CHECKING:
    from synml_dagster.report.inputs import ReportInputs

_MOST_COLUMNS, _MOST_PAIRS = 8, 4
_MOST_LINES = 15


def effects(inputs: ReportInputs) -> dict[str, Any] | None:
    """Return pictures of the effects, None where the description did not ask for any."""
    found = inputs.effects
    if found is None:
        return None
    from synml_dagster.plots import effects as figures

    output = found.outputs[-1]
    of = f"the probability of {output}" if inputs.evaluation.classes else "the answer"
    ranked = sorted(found.columns, key=lambda c: -found.reach(c, output))
    told: dict[str, Any] = {
        "intro": (
            f"The exported model was asked about {found.rows:,} test rows with one column changed at a time. The blue line is the mean of {of} over these rows at each value, "
            "the grey lines are single rows. The dashed line moves each row only as far as to its neighbours' values: where the two lines differ, columns go together."
        ),
        "columns": [
            picture(
                column,
                f"Moves the mean by {found.reach(column, output):.3g}.",
                figures.dependence(found, column, output, "svg"),
            )
            for column in ranked[:_MOST_COLUMNS]
        ],
        "pairs": [
            picture(" and ".join(pair), "Darker is more.", figures.together(found, pair, output, "svg"))
            for pair in found.pairs[:_MOST_PAIRS]
        ],
        "more": max(0, len(ranked) - _MOST_COLUMNS),
        "notes": found.notes,
        "permutation": None,
    }
    if found.metric is not None and found.baseline is not None:
        caption = f"{found.metric} is {found.baseline:.4g} on these rows. Bars are the mean over the shuffles, thin lines reach from the least to the most."
        told["permutation"] = picture(
            "What the model is without a column", caption, figures.permutation(found, _MOST_LINES, "svg")
        )
    return told


def attributions(inputs: ReportInputs) -> dict[str, Any] | None:
    """Return what asking the model about single rows found, None where the description did not ask."""
    found = inputs.attributions
    if found is None:
        return None
    from synml_dagster.plots import effects as figures

    fit = (
        ""
        if found.fit is None
        else f" Sums of them explain {found.fit:.1%} of what the model does near the rows (R²)."
    )
    caption = f"{found.method} of {found.rows:,} of {found.of_rows:,} test rows, by raw column, against {found.background}.{fit}"
    return {
        "picture": picture(f"By {found.method}", caption, figures.attributions(found, _MOST_LINES, "svg"))
    }
