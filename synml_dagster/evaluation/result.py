"""What an evaluation found, as a bundle of one JSON file."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from synml_dagster.balance import ErrorSlices
from synml_dagster.errors import ModelError
from synml_dagster.evaluation.catalogue import Task
from synml_dagster.evaluation.spec import CostMatrix, Costs

_FILE = "metrics.json"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Interval(_Part):
    """A 95% confidence interval, and where it is from: Wilson, DeLong, bootstrap, t or delta."""

    low: float
    high: float
    method: str


class RocCurve(_Part):
    """Points of the ROC curve from (0, 0) to (1, 1), thinned for drawing."""

    false_positive_rate: list[float]
    true_positive_rate: list[float]


class PrCurve(_Part):
    """Points of the precision-recall curve by growing recall, thinned for drawing."""

    recall: list[float]
    precision: list[float]


class Calibration(_Part):
    """Rows in groups of equal size by score: what was predicted against what came."""

    predicted: list[float]
    observed: list[float]
    weight: list[float]


class ScoreHistogram(_Part):
    """Weight of each class by probability; `edges` has one value more than the counts."""

    edges: list[float]
    positive: list[float]
    negative: list[float]


class Gains(_Part):
    """Share of all positives found in the top share of rows by score."""

    flagged: list[float]
    found: list[float]


class ThresholdRow(_Part):
    """What deciding at `threshold` (probability at or above it counts as positive) leads to."""

    threshold: float
    flagged: float = Field(description="Share of the rows that are flagged.")
    precision: float
    recall: float
    specificity: float
    accuracy: float
    f1: float
    true_positive: float
    false_positive: float
    false_negative: float
    true_negative: float


class Confusion(_Part):
    """Weight by true class (rows) and most likely class (columns), in the order of `classes`."""

    classes: list[str]
    weight: list[list[float]]


class ClassMetrics(_Part):
    """One class against the rest."""

    name: str
    weight: float
    precision: float
    recall: float
    f1: float
    auc: float | None = None
    auc_interval: Interval | None = None
    calibration: Calibration | None = None


class Cost(_Part):
    """Mean cost of a row, with its 95% interval where there are two rows or more."""

    value: float
    low: float | None = None
    high: float | None = None


class CostCurve(_Part):
    """Mean cost of a row by threshold."""

    threshold: list[float]
    cost: list[float]


class ThresholdChoice(_Part):
    """The threshold that costs least on some rows, and what it costs on those that the evaluation is of."""

    costs: Costs
    threshold: float
    of_calibrated: float = Field(description="What would be best were the probabilities exactly right.")
    chosen_on: str
    chosen_rows: int
    at: ThresholdRow
    at_half: ThresholdRow
    cost: Cost
    cost_at_half: Cost
    saved: Cost = Field(description="Cost of a row at 0.5 less that at the threshold.")
    curve: CostCurve


class CostDecision(_Part):
    """What it leads to that each row is answered with the class whose expected cost is lowest."""

    costs: CostMatrix
    cost: Cost
    cost_of_likeliest: Cost = Field(description="Of answering with the likeliest class.")
    saved: Cost = Field(description="Cost of a row by the likeliest class less that by the decision.")
    expected: float = Field(description="Mean cost that the probabilities lead to expect.")
    changed: float = Field(description="Share of the rows whose decision is not the likeliest class.")
    confusion: Confusion


class Histogram2D(_Part):
    """Weight on a grid; `weight[i][j]` lies between `x_edges[i:i+2]` and `y_edges[j:j+2]`.

    The outer cells hold everything beyond them as well.
    """

    x_edges: list[float]
    y_edges: list[float]
    weight: list[list[float]]


class Histogram(_Part):
    """Weight by bin; the outer bins hold everything beyond them as well."""

    edges: list[float]
    weight: list[float]


class Evaluation(_Part):
    """How a model did on the rows of one table.

    `metrics` are those of `METRICS[task]`, less those that these rows cannot answer (`notes` say why).
    `baseline` holds the same metrics for the best answer that looks at no feature: the class shares or the mean.
    """

    version: int = 1
    task: Task
    rows: int
    weight: float = Field(description="Total weight; equals the rows where none was given.")
    weighted: bool = False
    classes: list[str] = Field(
        default_factory=list, description="By class index; binary: negative, positive."
    )
    metrics: dict[str, float]
    intervals: dict[str, Interval] = Field(
        default_factory=dict,
        description="95% confidence interval of each metric; none in results of earlier versions.",
    )
    baseline: dict[str, float] = Field(default_factory=dict)
    notes: list[str] = Field(default_factory=list)

    roc: RocCurve | None = None
    pr: PrCurve | None = None
    calibration: Calibration | None = None
    scores: ScoreHistogram | None = None
    gains: Gains | None = None
    thresholds: list[ThresholdRow] = Field(default_factory=list)
    best_f1: ThresholdRow | None = Field(default=None, description="The threshold with the highest F1.")

    choice: ThresholdChoice | None = Field(
        default=None, description="The threshold that the description's costs lead to."
    )

    decision: CostDecision | None = Field(
        default=None, description="The answers that the description's table of costs leads to."
    )

    confusion: Confusion | None = None
    per_class: list[ClassMetrics] = Field(default_factory=list)

    actual_vs_predicted: Histogram2D | None = Field(default=None, description="x: prediction, y: label.")
    residuals: Histogram | None = Field(default=None, description="Prediction minus label.")

    groups: int | None = Field(default=None, description="Queries of a ranking.")
    per_group: Histogram | None = Field(default=None, description="Queries by NDCG@10.")

    slices: ErrorSlices | None = Field(
        default=None, description="Where the model is worst, by raw column and by two of them."
    )

    @property
    def positive(self) -> str | None:
        """The positive class of a binary task."""
        return self.classes[1] if self.task == "binary" and len(self.classes) == 2 else None

    def save(self, directory: str | Path) -> None:
        """Write `metrics.json` into `directory`, made if need be."""
        target = Path(directory)
        target.mkdir(parents=True, exist_ok=True)
        (target / _FILE).write_text(
            self.model_dump_json(indent=1, exclude_none=True) + "\n", encoding="utf-8"
        )

    @classmethod
    def load(cls, directory: str | Path) -> Evaluation:
        """Read what `save` wrote.

        Raises
        ------
        ModelError
            When the file is absent or is not an evaluation.
        """
        path = Path(directory) / _FILE
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise ModelError(f"{path} is not there: this directory holds no evaluation.") from error
        except ValidationError as error:
            raise ModelError(f"{path} is not an evaluation that this version reads: {error}") from error
