"""A pipeline's graph run in three steps: what makes the features, the trees by tables, and what the scores become."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from synml_dagster.onnx.forest.nodes import read_nodes
from synml_dagster.onnx.forest.tables import TreeTables, tree_tables
from synml_dagster.onnx.runtime import open_session
from synml_dagster.onnx.text_parts import subgraph

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class ForestSession:
    """Answers as a session of ONNX Runtime over the whole graph would."""

    before: Any
    """None where the graph takes the features as they are."""
    tables: TreeTables
    after: Any
    features: str
    scores: str
    early: tuple[str, ...]
    late: tuple[str, ...]
    threads: int

    def run(self, wanted: Sequence[str], feed: dict[str, np.ndarray]) -> list[Any]:
        """Return the tensors named in `wanted`, of those the session was opened for."""
        if self.before is None:
            features, answers = feed[self.features], {}
        else:
            features, *found = self.before.run([self.features, *self.early], feed)
            answers = dict(zip(self.early, found, strict=True))
        scores = self.tables.raw_scores(features, self.threads)
        answers[self.scores] = scores
        if self.late:
            answers |= zip(self.late, self.after.run(list(self.late), {self.scores: scores}), strict=True)
        return [answers[name] for name in wanted]


def open_forest(model: onnx.ModelProto, wanted: Sequence[str], threads: int) -> ForestSession | None:
    """Return a session for the outputs `wanted` of a graph that this package exported, on the CPU.

    None where its trees are not one node over float32 features, or walk faster as they are: deep trees, and trees that
    ask hundreds of features.
    """
    from onnx import TensorProto, helper

    graph = model.graph
    trees = [node for node in graph.node if node.op_type == "TreeEnsembleRegressor"]
    if len(trees) != 1 or any(a.HasField("g") or a.graphs for node in graph.node for a in node.attribute):
        return None
    found = _features(graph, trees[0])
    if found is None:
        return None
    features, added = found
    nodes = read_nodes(trees[0], added)
    scores = trees[0].output[0]
    constants = {tensor.name for tensor in graph.initializer}
    after = _behind(graph, scores, constants)
    if nodes is None or after is None:
        return None
    tables = tree_tables(nodes)
    if tables is None:
        return None
    made = {name for node in after for name in node.output}
    early = tuple(name for name in wanted if name not in made and name != scores)
    late = tuple(name for name in wanted if name in made)
    cpu = ["CPUExecutionProvider"]

    def opened(nodes: list[onnx.NodeProto], inputs: list[Any], outputs: Sequence[str]) -> Any:
        answers = [helper.make_empty_tensor_value_info(name) for name in outputs]
        part = subgraph(model, nodes, inputs, answers)
        return open_session(part.SerializeToString(), threads=threads, providers=cpu)

    before = None
    if early or features not in {value.name for value in graph.input}:
        before = opened(_ahead(graph, {features, *early}), list(graph.input), [features, *early])
        if before.get_outputs()[0].type != "tensor(float)":
            return None
    raw = helper.make_tensor_value_info(scores, TensorProto.FLOAT, [None, None])
    return ForestSession(
        before=before,
        tables=tables,
        after=opened(after, [raw], late) if late else None,
        features=features,
        scores=scores,
        early=early,
        late=late,
        threads=threads,
    )


def _features(graph: onnx.GraphProto, trees: onnx.NodeProto) -> tuple[str, dict[int, float]] | None:
    """Return the float32 tensor behind the trees' float64 input, and what is added to its columns on the way."""
    from onnx import TensorProto, helper, numpy_helper

    maker = {name: node for node in graph.node for name in node.output}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    added: dict[int, float] = {}
    node = maker.get(trees.input[0])
    if node is not None and node.op_type == "Add" and node.input[1] in constants:
        row = numpy_helper.to_array(constants[node.input[1]])
        if row.ndim != 2 or len(row) != 1:
            return None
        added = {i: float(value) for i, value in enumerate(row[0]) if value}
        node = maker.get(node.input[0])
    if node is None or node.op_type != "Cast":
        return None
    to = next(helper.get_attribute_value(a) for a in node.attribute if a.name == "to")
    return (node.input[0], added) if to == TensorProto.DOUBLE else None


def _behind(graph: onnx.GraphProto, scores: str, constants: set[str]) -> list[onnx.NodeProto] | None:
    """Return the nodes that need the scores; None where they need anything else that is not constant."""
    fixed, hang = set(constants), {scores}
    found = []
    for node in graph.node:
        reads = {name for name in node.input if name}
        if reads <= fixed:
            fixed.update(node.output)
        if reads & hang:
            hang.update(node.output)
            found.append(node)
    made = {name for node in found for name in node.output} | {scores}
    fixed_makers = [node for node in graph.node if set(node.output) & fixed]
    if any(name and name not in made and name not in fixed for node in found for name in node.input):
        return None
    return [*fixed_makers, *found]


def _ahead(graph: onnx.GraphProto, wanted: set[str]) -> list[onnx.NodeProto]:
    """Return the nodes that `wanted` need."""
    needed, found = set(wanted), []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed.update(node.input)
            found.append(node)
    return found[::-1]
