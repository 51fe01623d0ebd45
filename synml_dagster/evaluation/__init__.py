"""How good is a model: metrics, curves and thresholds of a scored table, aggregated by Spark, and their pictures.

Pictures live in `synml_dagster.plots.evaluation` and `.training_figures`, which import matplotlib.
"""

from synml_dagster.evaluation.catalogue import (
    METRICS,
    MetricInfo,
    better_by,
    format_metric,
    higher_is_better,
    metric_info,
    primary_metric,
    reaches,
)
from synml_dagster.evaluation.costs import ChosenThreshold, choose_threshold
from synml_dagster.evaluation.decisions import decide
from synml_dagster.evaluation.evaluate import evaluate
from synml_dagster.evaluation.paired import PairedGain, paired_gain
from synml_dagster.evaluation.result import (
    Confusion,
    Cost,
    CostDecision,
    Evaluation,
    Interval,
    ThresholdChoice,
    ThresholdRow,
)
from synml_dagster.evaluation.spec import CostMatrix, Costs, EvaluateSpec

__all__ = [
    "METRICS",
    "ChosenThreshold",
    "Confusion",
    "Cost",
    "CostDecision",
    "CostMatrix",
    "Costs",
    "EvaluateSpec",
    "Evaluation",
    "Interval",
    "MetricInfo",
    "PairedGain",
    "ThresholdChoice",
    "ThresholdRow",
    "better_by",
    "choose_threshold",
    "decide",
    "evaluate",
    "format_metric",
    "higher_is_better",
    "metric_info",
    "paired_gain",
    "primary_metric",
    "reaches",
]
