"""Compiles a plan to ONNX nodes: raw columns in, the float32 feature matrix out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synml_dagster.features.plan import FeaturePlan
from synml_dagster.onnx.graph import Graph, OnnxFragment

if TYPE_CHECKING:
    from onnx import ModelProto


def onnx_fragment(plan: FeaturePlan, *, prefix: str = "plan") -> OnnxFragment:
    """Return the nodes that make the plan's features from raw columns, to be placed before a model's nodes.

    Parameters
    ----------
    plan
        From `fit_plan`.
    prefix
        What every name inside the fragment starts with; the inputs are named as the raw columns.

    Returns
    -------
    OnnxFragment
        See there. A column in `outside` is an input `[None, n]` of ready features (float32, n of them) under the
        raw column's name.
    """
    from onnx import TensorProto, helper

    types = {"float": TensorProto.FLOAT, "double": TensorProto.DOUBLE, "string": TensorProto.STRING}
    graph = Graph(prefix)
    inputs, made = [], []
    known: set[str] = set()
    for column in plan.columns:
        raw = column.input
        again = raw.name in known  # several columns of a plan with alternatives are made of one raw column
        known.add(raw.name)
        if column.outside_onnx is not None:
            inputs.append(
                helper.make_tensor_value_info(raw.name, TensorProto.FLOAT, [None, len(column.features)])
            )
            made.append(graph.node("Identity", raw.name))
            continue
        if not again:
            inputs.append(helper.make_tensor_value_info(raw.name, types[raw.onnx_type], [None, raw.width]))
        made.append(column.to_onnx(graph, raw.name))
    output = graph.concat(made)
    used = {name for node in graph.nodes for name in node.input}
    return OnnxFragment(
        nodes=graph.nodes,
        initializers=[i for i in graph.initializers if i.name in used],
        inputs=inputs,
        output=output,
        features=plan.feature_names,
        opsets=graph.opsets,
        outside=plan.outside_onnx,
    )


def onnx_model(plan: FeaturePlan) -> ModelProto:
    """Return the plan alone as an `onnx.ModelProto` with one output, float32 `[rows, features]`.

    It is called `features`, or `features_out` ... where a raw column has that name.
    """
    from onnx import TensorProto, helper

    fragment = onnx_fragment(plan)
    name, taken = "features", {value.name for value in fragment.inputs}
    while name in taken:
        name += "_out"
    out = helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, len(fragment.features)])
    nodes = [*fragment.nodes, helper.make_node("Identity", [fragment.output], [name])]
    graph = helper.make_graph(nodes, "feature_plan", fragment.inputs, [out], fragment.initializers)
    opsets = [helper.make_opsetid(domain, version) for domain, version in fragment.opsets.items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)
