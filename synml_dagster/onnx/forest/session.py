"""A pipeline's graph run in three steps: what makes the features, the trees by tables, and what the scores become."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synml_dagster.onnx.forest.cut import Cut, cut_at_trees, nodes_for
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
    from onnx import helper

    cut = cut_at_trees(model)
    tables = None if cut is None else tree_tables(cut.nodes)
    if cut is None or tables is None:
        return None
    graph, features, scores = model.graph, cut.features, cut.scores
    made = {name for node in cut.after for name in node.output}
    early = tuple(name for name in wanted if name not in made and name != scores)
    late = tuple(name for name in wanted if name in made)

    before = None
    if early or features not in {value.name for value in graph.input}:
        answers = [helper.make_empty_tensor_value_info(name) for name in (features, *early)]
        ahead = nodes_for(graph.node, {features, *early})
        before = _opened(subgraph(model, ahead, list(graph.input), answers), threads)
        if before.get_outputs()[0].type != "tensor(float)":
            return None
    return ForestSession(
        before=before,
        tables=tables,
        after=_opened(_after(model, cut, late), threads) if late else None,
        features=features,
        scores=scores,
        early=early,
        late=late,
        threads=threads,
    )


def open_after(model: onnx.ModelProto, cut: Cut, wanted: str) -> Callable[[NDArray[np.float32]], Any] | None:
    """Return what makes the output `wanted` of the trees' scores, float32 `[N, targets]`; None where it is not made of them.

    For links of many scores: NumPy works on a column of them twenty times as fast as ONNX Runtime, which broadcasts a constant
    over `[N, 1]` value by value.
    """
    if wanted == cut.scores:
        return lambda scores: scores
    if wanted not in {name for node in cut.after for name in node.output}:
        return None
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(_after(model, cut, [wanted]))

    def answer(scores: NDArray[np.float32]) -> Any:
        with np.errstate(all="ignore"):  # a graph's infinities are no fault here
            return evaluator.run([wanted], {cut.scores: scores})[0]

    return answer


def _after(model: onnx.ModelProto, cut: Cut, wanted: Sequence[str]) -> onnx.ModelProto:
    """Return the graph from the trees' scores to some outputs."""
    from onnx import TensorProto, helper

    raw = helper.make_tensor_value_info(cut.scores, TensorProto.FLOAT, [None, None])
    answers = [helper.make_empty_tensor_value_info(name) for name in wanted]
    return subgraph(model, nodes_for(cut.after, set(wanted)), [raw], answers)


def _opened(part: onnx.ModelProto, threads: int) -> Any:
    return open_session(part.SerializeToString(), threads=threads, providers=["CPUExecutionProvider"])
