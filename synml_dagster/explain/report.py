"""The report: a trained pipeline on one self-contained page that one would show a customer.

No address outside the page is named: pictures are inline SVG (their dense parts inline PNG) that follow the page's light
or dark colours. Everything that comes from data is escaped.
"""

from __future__ import annotations

from datetime import UTC, datetime

from synml_dagster.explain.report_inputs import ReportInputs

__all__ = ["ReportInputs", "render_report"]


def render_report(inputs: ReportInputs) -> str:
    """Return the report as one HTML page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from synml_dagster.explain import report_data, report_model, report_reasons, report_training

    environment = Environment(
        loader=PackageLoader("synml_dagster.explain", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    created = inputs.created or datetime.now(UTC)
    return environment.get_template("report.html.j2").render(
        name=inputs.name,
        source=inputs.source,
        created=created.strftime("%d %B %Y, %H:%M UTC").lstrip("0"),
        headline=report_model.headline(inputs),
        tiles=report_model.tiles(inputs),
        verdict=report_model.verdict(inputs),
        metrics=report_model.metric_table(inputs),
        notes=inputs.evaluation.notes,
        curves=report_model.curves(inputs),
        thresholds=report_model.threshold_table(inputs),
        per_class=report_model.class_table(inputs),
        drivers=report_reasons.drivers(inputs),
        cases=report_reasons.cases(inputs),
        data=report_data.data(inputs),
        training=report_training.training(inputs),
        use=report_data.use(inputs),
        provenance=report_data.provenance(inputs, created),
    )
