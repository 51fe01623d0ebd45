"""From raw score to answer: each link as ONNX nodes.

They run in float64 on one value per row and class, which costs nothing beside the model and keeps the last digits.
"""

from __future__ import annotations

from synml_dagster.errors import ModelError
from synml_dagster.learners.link import Link
from synml_dagster.onnx.graph import Graph


def add_link(graph: Graph, link: Link | None, raw: str, objective: str = "") -> str:
    """Add the nodes behind the float64 `raw` tensor `[N, k]`; return the float64 answer `[N, k]`.

    Raises
    ------
    ModelError
        The link is not known.
    """
    if link is None:
        raise ModelError(
            f"The objective {objective!r} of this model is not known, so its link cannot be exported."
        )
    if link.name == "identity":
        return raw
    if link.name == "probability":
        return graph.node("Clip", raw, graph.constant(0.0, "float64"), graph.constant(1.0, "float64"))
    if link.name == "exp":
        return graph.node("Exp", raw)
    if link.name == "square":
        return graph.node("Mul", raw, graph.node("Abs", raw))
    if link.name == "logistic":
        return _logistic(graph, raw, link.slope)
    if link.name == "log1pexp":
        one = graph.constant(1.0, "float64")
        return graph.node("Log", graph.node("Add", graph.node("Exp", raw), one))
    return _softmax(graph, raw)


def _logistic(graph: Graph, raw: str, slope: float) -> str:
    """1 / (1 + exp(-slope * raw)), in float64."""
    scaled = graph.node("Exp", graph.node("Mul", raw, graph.constant(-slope, "float64")))
    one = graph.constant(1.0, "float64")
    return graph.node("Div", one, graph.node("Add", scaled, one))


def _softmax(graph: Graph, raw: str) -> str:
    """Softmax over the classes, in float64, less each row's largest score so that nothing overflows."""
    axis = graph.constant([1], "int64")
    largest = graph.node("ReduceMax", raw, axis, keepdims=1)
    powers = graph.node("Exp", graph.node("Sub", raw, largest))
    return graph.node("Div", powers, graph.node("ReduceSum", powers, axis, keepdims=1))
