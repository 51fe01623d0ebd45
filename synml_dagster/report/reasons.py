"""What the report says of why the model answers as it does: drivers, and a few rows explained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synml_dagster.report.picture import Picture, picture

if TYPE_CHECKING:
    from synml_dagster.explain import Explanations
    from synml_dagster.report.inputs import ReportInputs

_DEPENDENCE = 6
_STABLE, _FEWEST = 10, 10


def drivers(inputs: ReportInputs) -> dict[str, Any] | None:
    """Return what drives the answers: importance, beeswarm and dependence pictures."""
    found = inputs.explanations
    if found is None:
        if inputs.model is None:
            return None
        from synml_dagster.learners import learner_of
        from synml_dagster.plots.training import importance

        measure = learner_of(inputs.model.learner).importance_name
        svg = importance(inputs.model.importance(), measure, form="svg")
        return {
            "intro": "",
            "stable": None,
            "main": [picture("Importance", f"By feature, its share of the {measure}.", svg)],
            "single": [],
        }
    from synml_dagster.plots import explanations as figures

    of_table = f" of {found.table_rows:,}" if found.table_rows and found.table_rows > found.rows else ""
    top = list(found.importance)
    output = figures.default_output(found)
    several = len(found.outputs) > 1
    of_class = f" for class {found.outputs[output]}" if several else ""
    swarm = (
        f"One dot per row, at the feature's effect on the answer{of_class}: right raises it, left lowers it. "
        "Orange dots are rows with a high value of the feature, blue ones with a low value."
    )
    main = [
        picture(
            "How much each feature matters",
            "Mean size of a feature's effect over the explained rows. The thin lines are 95% intervals: how far another sample of as many rows would move it.",
            figures.importance(found, most=15, form="svg"),
        ),
        picture("How each feature works", swarm, figures.beeswarm(found, form="svg")),
    ]
    effect = {"multiclass": "class scores", "ranking": "scores"}.get(found.task, found.link.unit)
    if found.link.name == "probability":
        effect = found.link.unit
    shown = [name for name in top[:_DEPENDENCE] if found.importance[name] > 0]
    return {
        "intro": (
            f"{found.method} of {found.rows:,}{of_table} test rows. A row's values add up from the mean answer "
            f"to its own, in {effect}."
        ),
        "top": top[:3],
        "main": main,
        "stable": _stable(found),
        "single": [_dependence(inputs, name, output) for name in shown],
    }


def _stable(found: Explanations) -> dict[str, Any] | None:
    """Return how far importance and order would move with other rows, None where one row alone was explained."""
    from synml_dagster.explain import importance_stability

    if found.rows < _FEWEST:
        return None
    told = [s for s in importance_stability(found) if s.value > 0]
    shown = told[:_STABLE]
    steady = sum(s.steady for s in shown)
    return {
        "said": (
            f"{steady} of the {len(shown)} strongest features keep their place in 95% of 400 draws of the explained rows. "
            "This is what other rows would do to the order of this model; another training may move it more."
        ),
        "lines": [
            {
                "rank": s.rank,
                "feature": s.feature,
                "value": f"{s.value:.4g}",
                "interval": f"{s.low:.4g} to {s.high:.4g}",
                "ranks": f"{s.best}" if s.steady else f"{s.best} to {s.worst}",
            }
            for s in shown
        ],
    }


def _dependence(inputs: ReportInputs, feature: str, output: int) -> Picture:
    from synml_dagster.explain.interactions import strongest_partner
    from synml_dagster.plots import explanations as figures

    found = inputs.explanations
    assert found is not None
    other = strongest_partner(found, found.features.index(feature), output)
    partner = None if other is None else found.features[other]
    text = f"Coloured by {partner}, which changes the effect most." if partner else ""
    return picture(feature, text, figures.dependence(found, feature, output, partner, "svg"))


def cases(inputs: ReportInputs) -> list[dict[str, Any]]:
    """Return a few rows explained one by one."""
    found = inputs.explanations
    if found is None:
        return []
    from synml_dagster.plots import explanations as figures
    from synml_dagster.report.cases import chosen_cases, telling_cases

    every = [(case, found) for case in telling_cases(found)]
    if found.chosen is not None:
        every = [*((case, found.chosen) for case in chosen_cases(found)), *every]
    return [
        {
            "title": case.title,
            "answer": case.answer,
            "right": case.right,
            "picture": picture(
                f"{case.title}: {case.answer}",
                "",
                figures.waterfall(rows, case.row, case.output, form="svg"),
            ),
        }
        for case, rows in every
    ]
