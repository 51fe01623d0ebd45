"""Networks as ONNX nodes: bounds, the additive first layer, then Relu, MatMul and Add."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from synml_dagster.learners.onnx.additive import add_additive
from synml_dagster.onnx.graph import Graph

if TYPE_CHECKING:
    from synml_dagster.learners.network import NetworkForm


def add_network(graph: Graph, form: NetworkForm, features: str) -> str:
    """Add the model over the float32 `features` `[N, F]`; return the float64 raw score `[N, k]`."""
    gone = graph.node("Or", graph.node("IsNaN", features), graph.node("IsInf", features))
    zero = graph.constant(np.zeros((1, 1), np.float32), "float32")
    nan = graph.constant(np.full((1, 1), np.nan, np.float32), "float32")
    # What Min and Max make of NaN is not said, so they never see one.
    known = graph.node("Where", gone, zero, features)
    bounded = graph.node("Max", known, graph.constant(form.low.reshape(1, -1), "float32"))
    bounded = graph.node("Min", bounded, graph.constant(form.high.reshape(1, -1), "float32"))
    sums = add_additive(graph, form.first, graph.node("Where", gone, nan, bounded))
    for weight, bias in zip(form.weights, form.biases, strict=True):
        sums = graph.node("MatMul", graph.node("Relu", sums), graph.constant(weight, "float64"))
        sums = graph.node("Add", sums, graph.constant(bias.reshape(1, -1), "float64"))
    return sums
