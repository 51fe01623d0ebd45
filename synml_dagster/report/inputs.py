"""What a report is made of, each part as far as the page shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from synml_dagster.evaluation import Evaluation
from synml_dagster.explain import Explanations

if TYPE_CHECKING:
    from synml_dagster.balance import DataBalance, Fairness
    from synml_dagster.explain import AttributedRows
    from synml_dagster.explain.effects import Effects
    from synml_dagster.features import FeaturePlan
    from synml_dagster.learners import TrainedModel
    from synml_dagster.report.spec import CardSpec


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
    learner: str
    origin: str
    spread: float | None
    seconds: float


class Sweep(Protocol):
    """What a sweep found, as the `sweep` stage records it."""

    metric: str
    direction: str
    best_params: dict[str, Any]
    best_value: float | None
    best_trial: int | None
    trials: list[Any]
    importance: dict[str, float]
    ensemble: list[Any]
    ensemble_value: float | None
    validation: str
    notes: list[str]

    def leaderboard(self) -> list[Any]:
        """Return the trials that have a value, best first."""
        ...

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
    def inputs(self) -> Sequence[Signature]:
        """Its inputs."""
        ...

    @property
    def outputs(self) -> Sequence[Signature]:
        """Its outputs."""
        ...


@dataclass(frozen=True)
class Check:
    """What one check of a stage said."""

    name: str
    stage: str
    passed: bool
    said: str
    only_warns: bool = False


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
    model: TrainedModel | None = None
    sweep: Sweep | None = None
    onnx_model: Graph | None = None
    onnx_path: str = "model.onnx"
    champion: Decision | None = None
    explanations: Explanations | None = None
    effects: Effects | None = None
    """What raw columns do to the answers in general."""
    attributions: AttributedRows | None = None
    """Rows explained by asking the model."""
    data_balance: DataBalance | None = None
    fairness: Fairness | None = None
    card: CardSpec | None = None
    """What people say of the model."""
    parity: Mapping[str, Any] | None = None
    """What comparing the graph with the model found: rows, adversarial_rows, labels_different, max_difference, tolerance, passed."""
    checks: Sequence[Check] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    """How long each step took, in their order."""
    run_id: str | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)
    """More lines for the end of the page: MLflow run, table versions, who."""
    created: datetime | None = None
    """When the page is made: now where None."""

    @property
    def made(self) -> datetime:
        """When the page is made."""
        return self.created or datetime.now(UTC)
