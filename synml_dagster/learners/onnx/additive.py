"""Additive models as ONNX nodes: a MatMul each for numbers, for missing values and for categories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from synml_dagster.onnx.graph import Graph

if TYPE_CHECKING:
    from synml_dagster.learners.additive import AdditiveForm


def add_additive(graph: Graph, form: AdditiveForm, features: str) -> str:
    """Add the model over the float32 `features` `[N, F]`; return the float64 raw score `[N, k]`."""
    gone = graph.node("Or", graph.node("IsNaN", features), graph.node("IsInf", features))
    zero = graph.constant(np.zeros((1, 1), np.float32), "float32")
    numbers = graph.cast(graph.node("Where", gone, zero, features), "double")
    score = graph.node("MatMul", numbers, graph.constant(form.slope, "float64"))
    missing = graph.node("MatMul", graph.cast(gone, "double"), graph.constant(form.missing, "float64"))
    score = graph.node("Add", score, missing)
    if len(form.category_code):
        codes = graph.node("Gather", features, graph.constant(form.category_feature, "int64"), axis=1)
        same = graph.node("Equal", codes, graph.constant(form.category_code.reshape(1, -1), "float32"))
        terms = graph.node(
            "MatMul", graph.cast(same, "double"), graph.constant(form.category_term, "float64")
        )
        score = graph.node("Add", score, terms)
    return graph.node("Add", score, graph.constant(form.intercept.reshape(1, -1), "float64"))
