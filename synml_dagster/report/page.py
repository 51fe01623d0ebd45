"""The report: a trained pipeline on one self-contained page that one would show a customer.

No address outside the page is named: pictures are inline SVG (their dense parts inline PNG) that follow the page's light
or dark colours. Everything that comes from data is escaped.
"""

from __future__ import annotations

from synml_dagster.report.inputs import ReportInputs

__all__ = ["ReportInputs", "render_report"]


def render_report(inputs: ReportInputs) -> str:
    """Return the report as one HTML page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from synml_dagster.report import (
        about,
        data,
        effects,
        groups,
        model,
        operation,
        reasons,
        thresholds,
        training,
        weak_spots,
    )

    environment = Environment(
        loader=PackageLoader("synml_dagster.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    created = inputs.made
    curves, of_choice = model.curves(inputs)
    return environment.get_template("report.html.j2").render(
        name=inputs.name,
        source=inputs.source,
        created=created.strftime("%d %B %Y, %H:%M UTC").lstrip("0"),
        headline=model.headline(inputs),
        tiles=model.tiles(inputs),
        verdict=model.verdict(inputs),
        metrics=model.metric_table(inputs),
        notes=inputs.evaluation.notes,
        curves=curves,
        choice_pictures=of_choice,
        thresholds=thresholds.threshold_table(inputs),
        positive=inputs.evaluation.positive,
        choice=thresholds.choice(inputs),
        decision=thresholds.decision(inputs),
        about=about.about(inputs),
        weak=weak_spots.weak_spots(inputs),
        checks=operation.checks(inputs),
        effort=operation.effort(inputs),
        per_class=model.class_table(inputs),
        drivers=reasons.drivers(inputs),
        cases=reasons.cases(inputs),
        case_notes=inputs.explanations.notes if inputs.explanations else [],
        effects=effects.effects(inputs),
        attributions=effects.attributions(inputs),
        groups=groups.groups(inputs),
        data=data.data(inputs),
        training=training.training(inputs),
        use=data.use(inputs),
        provenance=data.provenance(inputs, created),
    )
