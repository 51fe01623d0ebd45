"""A pipeline's graph cut in three: what makes the features, the trees, and what the scores become."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from synml_dagster.onnx.forest.nodes import Nodes, read_nodes

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class Cut:
    """Where a graph's trees begin and end.

    Attributes
    ----------
    features, scores
        The tensors between the parts: float32 `[N, F]`, and `[N, targets]`.
    nodes
        The trees.
    after
        The graph's nodes that make something of the scores, and the constants that they need.
    """

    features: str
    nodes: Nodes
    scores: str
    after: tuple[onnx.NodeProto, ...]

    def parts_of_features(self, graph: onnx.GraphProto) -> list[tuple[str, frozenset[str]]]:
        """Return the tensors that stand side by side in the features, each with the inputs of the graph that it is made of."""
        maker = {name: node for node in graph.node for name in node.output}
        sources = {value.name: frozenset([value.name]) for value in graph.input}
        for node in graph.node:
            made_of = [sources[name] for name in node.input if name in sources]
            sources |= dict.fromkeys(node.output, frozenset[str]().union(*made_of))
        found: list[str] = []
        waiting = [self.features]
        while waiting:
            name = waiting.pop()
            node = maker.get(name)
            if node is not None and _joins_side_by_side(node):
                waiting += reversed(node.input)
            else:
                found.append(name)
        return [(name, sources.get(name, frozenset())) for name in found]


def cut_at_trees(model: onnx.ModelProto) -> Cut | None:
    """Return where the trees of a graph that this package exported are.

    None where they are not one node over float32 features, or the answers need more than its scores.
    """
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
    after = _behind(graph, scores, {tensor.name for tensor in graph.initializer})
    if nodes is None or after is None:
        return None
    return Cut(features, nodes, scores, tuple(after))


def _joins_side_by_side(node: onnx.NodeProto) -> bool:
    return node.op_type == "Concat" and any(a.name == "axis" and a.i in (1, -1) for a in node.attribute)


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


def nodes_for(nodes: Iterable[onnx.NodeProto], wanted: set[str]) -> list[onnx.NodeProto]:
    """Return those of some nodes that the tensors `wanted` need: ONNX Runtime works on all nodes that it is given."""
    needed, found = set(wanted), []
    for node in reversed(list(nodes)):
        if needed & set(node.output):
            needed.update(node.input)
            found.append(node)
    return found[::-1]


def ahead_of_trees(model: onnx.ModelProto, wanted: Sequence[str]) -> onnx.ModelProto:
    """Return a pipeline's graph down to some tensors of before its trees, which whoever opens it makes its outputs."""
    import onnx

    found = onnx.ModelProto()
    found.CopyFrom(model)
    del found.graph.node[:], found.graph.output[:], found.graph.initializer[:]
    nodes = nodes_for(model.graph.node, set(wanted))
    read = {name for node in nodes for name in node.input}
    found.graph.node.extend(nodes)
    found.graph.initializer.extend(t for t in model.graph.initializer if t.name in read)
    return found
