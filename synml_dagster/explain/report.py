"""The report: a trained pipeline on one self-contained page that one would show a customer.

No address outside the page is named: pictures are inline SVG (their dense parts inline PNG) that follow the page's light
or dark colours. Everything that comes from data is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from synml_dagster.evaluation.result import Evaluation
from synml_dagster.explain.explanations import Explanations

if TYPE_CHECKING:
    from synml_dagster.features import FeaturePlan
    from synml_dagster.lightgbm import LightGBMModel


class Decision(Protocol):
    """Whether the model was promoted, as the `champion` stage records it."""

    version: str
    promoted: bool
    reason: str
    metric: str
    challenger_value: float
    champion_value: float | None
    champion_version: str | None


class Trial(Protocol):
    """One trial of a sweep."""

    number: int
    value: float | None
    params: dict[str, Any]
    rounds: int | None


class Sweep(Protocol):
    """What a sweep found, as the `sweep` stage records it."""

    metric: str
    direction: str
    best_params: dict[str, Any]
    best_value: float | None
    best_trial: int | None
    trials: list[Any]
    importance: dict[str, float]

    def best_so_far(self) -> list[tuple[int, float]]:
        """Return the best value after each finished trial."""
        ...


class Signature(Protocol):
    """An input or output of an exported graph."""

    name: str
    type: str


class Graph(Protocol):
    """The exported ONNX graph, as far as the page describes it."""

    @property
    def inputs(self) -> Any:
        """Its inputs, each a `Signature`."""
        ...

    @property
    def outputs(self) -> Any:
        """Its outputs, each a `Signature`."""
        ...


@dataclass(frozen=True, kw_only=True)
class ReportInputs:
    """What a report is made of. Only the name, the plan and the evaluation are needed; the rest adds sections."""

    name: str
    plan: FeaturePlan
    evaluation: Evaluation
    """On the test rows."""
    validation: Evaluation | None = None
    source: str = ""
    rows: int | None = None
    """Rows of the raw table."""
    split_rows: Mapping[str, int] = field(default_factory=dict)
    """Rows by side: train, validation, test."""
    model: LightGBMModel | None = None
    sweep: Sweep | None = None
    onnx_model: Graph | None = None
    onnx_path: str = "model.onnx"
    champion: Decision | None = None
    explanations: Explanations | None = None
    run_id: str | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)
    """More lines for the end of the page: MLflow run, table versions, who."""
    created: datetime | None = None


def render_report(inputs: ReportInputs) -> str:
    """Return the report as one HTML page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from synml_dagster.explain import report_data, report_model

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
        drivers=report_model.drivers(inputs),
        cases=report_model.cases(inputs),
        data=report_data.data(inputs),
        training=report_model.training(inputs),
        use=report_data.use(inputs),
        provenance=report_data.provenance(inputs, created),
    )
