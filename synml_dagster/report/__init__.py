"""The model card: one self-contained HTML page about a model, its data and its reasons, and the same in short as Markdown."""

from synml_dagster.report.cases import chosen_cases
from synml_dagster.report.inputs import Check, ReportInputs
from synml_dagster.report.markdown import REGISTRY_LENGTH, render_markdown
from synml_dagster.report.page import render_report
from synml_dagster.report.spec import CardSpec

__all__ = [
    "REGISTRY_LENGTH",
    "CardSpec",
    "Check",
    "ReportInputs",
    "chosen_cases",
    "render_markdown",
    "render_report",
]
