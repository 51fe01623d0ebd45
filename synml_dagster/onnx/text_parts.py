"""Splits a pipeline's graph, so that what hangs on one text or date column alone runs once per distinct value.

A vocabulary lookup costs a hash of the word, and ONNX Runtime takes each string of a tensor as an object of its own.
A column of a million rows has a few dozen distinct words: encoding the Arrow column as a dictionary is cheap, the
part of the graph behind it runs on the words, and the results are spread over the rows by number. The file stays one
graph; the split is made when it is opened. Only graphs of this package are split: each of their columns is worked on
row by row, which a foreign graph does not promise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class Part:
    """The nodes behind one input alone: a graph of its own from `input` to `outputs`."""

    input: str
    outputs: tuple[str, ...]
    model: onnx.ModelProto


def split_columns(model: onnx.ModelProto, columns: set[str]) -> tuple[list[Part], onnx.ModelProto]:
    """Cut off what depends on one of `columns` alone.

    Returns
    -------
    parts, rest
        The parts, and the graph of what remains, which takes the parts' outputs in place of their inputs. A column
        that other nodes read too stays in the rest.
    """
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    source: dict[str, str | None] = {
        value.name: value.name for value in graph.input if value.name not in constants
    }
    owner: dict[int, str] = {}
    fixed: set[int] = set()
    for index, node in enumerate(graph.node):
        reads = {source[name] for name in node.input if name and name not in constants}
        body = any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute)
        if not reads and not body:
            fixed.add(index)
            constants.update(node.output)
            continue
        found = next(iter(reads)) if len(reads) == 1 and not body else None
        if found is not None and found not in columns:
            found = None
        for name in node.output:
            source[name] = found
        if found is not None:
            owner[index] = found
    published = {value.name for value in graph.output}
    taken: dict[str, list[str]] = {column: [] for column in columns}
    for index, node in enumerate(graph.node):
        mine = owner.get(index)
        for name in node.input:
            column = source.get(name)
            if column is not None and column != mine and name not in taken.setdefault(column, []):
                taken[column].append(name)
    for name in published:
        column = source.get(name)
        if column is not None and name not in taken.setdefault(column, []):
            taken[column].append(name)
    usable = {
        c for c in columns if c in owner.values() and c not in taken[c] and not published & set(taken[c])
    }
    parts = [_part(model, column, tuple(taken[column]), owner, fixed) for column in sorted(usable)]
    return parts, _rest(model, usable, parts, owner)


def _part(
    model: onnx.ModelProto, column: str, outputs: tuple[str, ...], owner: dict[int, str], fixed: set[int]
) -> Part:
    from onnx import helper

    graph = model.graph
    nodes = [node for i, node in enumerate(graph.node) if i in fixed or owner.get(i) == column]
    entry = next(value for value in graph.input if value.name == column)
    built = subgraph(model, nodes, [entry], [helper.make_empty_tensor_value_info(name) for name in outputs])
    return Part(column, outputs, built)


def _rest(
    model: onnx.ModelProto, usable: set[str], parts: list[Part], owner: dict[int, str]
) -> onnx.ModelProto:
    from onnx import helper

    graph = model.graph
    nodes = [node for i, node in enumerate(graph.node) if owner.get(i) not in usable]
    inputs = [value for value in graph.input if value.name not in usable]
    for part in parts:
        kinds = _output_types(part.model)
        inputs += [helper.make_tensor_value_info(name, kinds[name], None) for name in part.outputs]
    return subgraph(model, nodes, inputs, list(graph.output))


def _output_types(model: onnx.ModelProto) -> dict[str, int]:
    from onnx import TensorProto

    from synml_dagster.onnx.runtime import open_session

    session = open_session(model.SerializeToString(), threads=1, providers=["CPUExecutionProvider"])
    kinds = {"float": TensorProto.FLOAT, "double": TensorProto.DOUBLE, "int64": TensorProto.INT64}
    kinds |= {"bool": TensorProto.BOOL, "string": TensorProto.STRING, "int32": TensorProto.INT32}
    return {out.name: kinds[out.type.removeprefix("tensor(").rstrip(")")] for out in session.get_outputs()}


def subgraph(
    model: onnx.ModelProto, nodes: list[Any], inputs: list[Any], outputs: list[Any]
) -> onnx.ModelProto:
    """Return some `nodes` of `model` as a graph of their own, with the constants that they read."""
    from onnx import helper

    read = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in read]
    return helper.make_model(
        helper.make_graph(nodes, model.graph.name, inputs, outputs, kept),
        opset_imports=list(model.opset_import),
        ir_version=model.ir_version,
    )
