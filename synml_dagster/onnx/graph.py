"""A small builder of ONNX nodes: names each value once and keeps each constant once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

OPSETS = {"": 20, "ai.onnx.ml": 3}
"""StringSplit and RegexFullMatch came with opset 20; ai.onnx.ml 3 is the one with LightGBM's tree ensembles."""


@dataclass
class OnnxFragment:
    """The nodes that turn a plan's raw inputs into its feature matrix, to be placed before a model's nodes.

    Attributes
    ----------
    nodes, initializers
        `onnx.NodeProto` and `onnx.TensorProto`; every name inside starts with the prefix given to the compiler.
    inputs
        `onnx.ValueInfoProto`, one `[None, width]` tensor per raw column that the graph reads.
    output
        The name of the float32 `[rows, features]` tensor.
    features
        The names of its columns, in order.
    opsets
        The operator sets that the nodes need at least.
    outside
        Columns whose features ONNX operators cannot make, with the reason; their features are inputs of the
        graph, one `[None, n]` float32 tensor per column, named as the column.
    """

    nodes: list[Any]
    initializers: list[Any]
    inputs: list[Any]
    output: str
    features: list[str]
    opsets: dict[str, int] = field(default_factory=lambda: dict(OPSETS))
    outside: dict[str, str] = field(default_factory=dict)


class Graph:
    """Collects nodes and constants under one prefix."""

    def __init__(self, prefix: str = "plan") -> None:
        self.prefix = prefix
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.opsets = dict(OPSETS)
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._count = 0

    def name(self, what: str) -> str:
        """Return a name that is used nowhere else in this graph."""
        self._count += 1
        return f"{self.prefix}/{what}_{self._count}"

    def constant(self, value: Any, dtype: Any = None) -> str:
        """Return the name of a constant tensor; text is a string tensor."""
        from onnx import TensorProto, helper, numpy_helper

        array = np.asarray(value, dtype=dtype)
        text = array.dtype.kind in "UO"
        content = "\0".join(array.ravel()).encode() if text else array.tobytes()
        key = ("string" if text else array.dtype.str, array.shape, content)
        if key not in self._constants:
            name = self.name("constant")
            if text:
                flat = [v.encode() for v in array.ravel()]
                tensor = helper.make_tensor(name, TensorProto.STRING, array.shape, flat)
            else:
                tensor = numpy_helper.from_array(array, name)
            self.initializers.append(tensor)
            self._constants[key] = name
        return self._constants[key]

    def whole(self, value: int) -> str:
        """Return the name of a constant int64."""
        return self.constant(value, np.int64)

    def node(self, op: str, *inputs: str, domain: str = "", outputs: int = 1, **attributes: Any) -> str:
        """Add a node and return the name of its first output."""
        return self.node_outputs(op, *inputs, domain=domain, outputs=outputs, **attributes)[0]

    def node_outputs(
        self, op: str, *inputs: str, domain: str = "", outputs: int = 1, **attributes: Any
    ) -> list[str]:
        """Add a node and return the names of all its outputs."""
        from onnx import helper

        names = [self.name(op) for _ in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, domain=domain, **attributes))
        return names

    def cast(self, value: str, to: str) -> str:
        """Cast to "float", "double", "int64" or "bool"."""
        from onnx import TensorProto

        kinds = {
            "float": TensorProto.FLOAT,
            "double": TensorProto.DOUBLE,
            "int64": TensorProto.INT64,
            "bool": TensorProto.BOOL,
        }
        return self.node("Cast", value, to=kinds[to])

    def where(self, condition: str, then: str, otherwise: str) -> str:
        """Choose between two values, row by row."""
        return self.node("Where", condition, then, otherwise)

    def concat(self, values: Sequence[str], axis: int = 1) -> str:
        """Join tensors side by side."""
        return values[0] if len(values) == 1 else self.node("Concat", *values, axis=axis)
