"""The report: one self-contained HTML page about a model, its data and its reasons."""

from synml_dagster.report.inputs import ReportInputs
from synml_dagster.report.page import render_report

__all__ = ["ReportInputs", "render_report"]
