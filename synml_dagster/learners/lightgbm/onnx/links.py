"""From raw score to prediction: each LightGBM objective's link as ONNX nodes.

The formulas are those of LightGBM's `ConvertOutput` in src/objective. They run in float64 on one value per row and
class, which costs nothing beside the trees and keeps the last digits.
"""

from __future__ import annotations

from synml_dagster.errors import ModelError
from synml_dagster.learners.trees import TreeEnsemble
from synml_dagster.onnx.graph import Graph

_IDENTITY = {"", "custom", "none", "lambdarank", "rank_xendcg"}
_SQRT_ABLE = {"regression", "regression_l1", "huber", "fair", "quantile", "mape"}
_EXP = {"poisson", "gamma", "tweedie"}

CLASSIFIERS = {"binary", "multiclass", "multiclassova"}
"""Objectives whose trees score classes; the others predict a number."""


def add_link(graph: Graph, ensemble: TreeEnsemble, raw: str) -> str:
    """Add the nodes behind the float64 `raw` tensor `[N, k]`; return the float64 prediction `[N, k]`.

    Raises
    ------
    ModelError
        The objective is not one of LightGBM's.
    """
    name = ensemble.objective
    if name in _IDENTITY:
        return raw
    if name in _EXP:
        return graph.node("Exp", raw)
    if name in _SQRT_ABLE:
        if "sqrt" not in ensemble.objective_params:
            return raw
        return graph.node("Mul", raw, graph.node("Abs", raw))
    if name in ("binary", "multiclassova"):
        return logistic(graph, raw, ensemble.sigmoid)
    if name in ("cross_entropy", "xentropy"):
        return logistic(graph, raw, 1.0)
    if name in ("cross_entropy_lambda", "xentlambda"):
        one = graph.constant(1.0, "float64")
        return graph.node("Log", graph.node("Add", graph.node("Exp", raw), one))
    if name == "multiclass":
        return softmax(graph, raw)
    raise ModelError(
        f"The objective {name!r} of this LightGBM model is not known, so its link cannot be exported."
    )


def logistic(graph: Graph, raw: str, slope: float) -> str:
    """1 / (1 + exp(-slope * raw)), in float64."""
    scaled = graph.node("Exp", graph.node("Mul", raw, graph.constant(-slope, "float64")))
    one = graph.constant(1.0, "float64")
    return graph.node("Div", one, graph.node("Add", scaled, one))


def softmax(graph: Graph, raw: str) -> str:
    """Softmax over the classes, in float64, less each row's largest score so that nothing overflows."""
    axis = graph.constant([1], "int64")
    largest = graph.node("ReduceMax", raw, axis, keepdims=1)
    powers = graph.node("Exp", graph.node("Sub", raw, largest))
    return graph.node("Div", powers, graph.node("ReduceSum", powers, axis, keepdims=1))
