"""One trained model as ONNX nodes: features in, raw score, prediction and label out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from synml_dagster.errors import ModelError
from synml_dagster.learners.form import MixtureForm
from synml_dagster.learners.network import NetworkForm
from synml_dagster.learners.onnx.additive import add_additive
from synml_dagster.learners.onnx.ensemble import add_ensemble
from synml_dagster.learners.onnx.links import add_link
from synml_dagster.learners.onnx.network import add_network
from synml_dagster.learners.trees import TreeEnsemble
from synml_dagster.onnx.graph import Graph

if TYPE_CHECKING:
    from synml_dagster.learners.form import Form

CLASS_TYPES = ("string", "int64", "boolean")
"""What a class label is in the user's table; booleans are the int64 0 and 1 in the graph, which has no better."""


@dataclass(frozen=True)
class Classes:
    """The classes of a model in the order of its scores.

    Attributes
    ----------
    values
        As text, whatever their type.
    type
        One of `CLASS_TYPES`, or a wider Spark type (`double`, `date`, ...) that is carried as text.
    """

    values: tuple[str, ...]
    type: str = "string"

    @property
    def in_graph(self) -> list[str] | list[int]:
        """The labels that the graph answers: int64 for whole numbers and booleans, else text."""
        if self.type == "boolean":
            return [int(value.lower() == "true") for value in self.values]
        if self.type in ("int64", "tinyint", "smallint", "int", "bigint"):
            return [int(value) for value in self.values]
        return list(self.values)


@dataclass(frozen=True)
class ModelOutputs:
    """The names of a model's result tensors: `label` and `probabilities` of a classifier, `prediction` of the others.

    With a table of costs also the `decision` that is expected to cost least, and its `expected_cost`.
    """

    raw_score: str
    label: str | None = None
    probabilities: str | None = None
    prediction: str | None = None
    decision: str | None = None
    expected_cost: str | None = None


def add_model(
    graph: Graph,
    form: Form,
    features: str,
    classes: Classes | None,
    *,
    whole_categories: bool = False,
    offset: float = 0.0,
    costs: Sequence[Sequence[float]] | None = None,
) -> ModelOutputs:
    """Add the model, its link and, for a classifier, the labels.

    `costs` are what each answer costs by the true class, `[classes][classes]`.

    With an `offset` the prediction is it and the link's result, in float64: a float32 far from zero has no fractions.

    Raises
    ------
    ModelError
        The number of classes does not fit the model.
    """
    raw, predicted = _add_answer(graph, form, features, whole_categories)
    if not form.classifies:
        if offset:
            predicted = graph.node("Add", predicted, graph.constant(offset, "float64"))
        wide = is_wide(form, offset)
        return ModelOutputs(raw_score=raw, prediction=predicted if wide else graph.cast(predicted, "float"))
    count = max(2, form.num_outputs)
    classes = classes or Classes(tuple(str(i) for i in range(count)), "int64")
    if len(classes.values) != count:
        raise ModelError(f"The model tells {count} classes apart, but {len(classes.values)} are named.")
    if form.num_outputs == 1:
        one = graph.constant(1.0, "float64")
        predicted = graph.concat([graph.node("Sub", one, predicted), predicted])
    best = graph.node("ArgMax", predicted, axis=1, keepdims=0)
    decision = expected = None
    if costs is not None:
        # In doubles: the graph, the evaluation and a reader with a calculator agree on near ties.
        each = graph.node("MatMul", predicted, graph.constant(costs, "float64"))
        cheapest = graph.node("ArgMin", each, axis=1, keepdims=0)
        decision = _labels(graph, cheapest, classes.in_graph)
        expected = graph.node("ReduceMin", each, graph.constant([1], "int64"), keepdims=0)
    return ModelOutputs(
        raw_score=raw,
        label=_labels(graph, best, classes.in_graph),
        probabilities=graph.cast(predicted, "float"),
        decision=decision,
        expected_cost=expected,
    )


def _add_answer(graph: Graph, form: Form, features: str, whole_categories: bool) -> tuple[str, str]:
    """Add a model and its link; return the float32 raw score and the float64 answer, both `[N, k]`."""
    if isinstance(form, MixtureForm):
        answer = _add_mixture(graph, form, features, whole_categories)
        return graph.cast(answer, "float"), add_link(graph, form.link, answer)
    if isinstance(form, TreeEnsemble):
        raw = add_ensemble(graph, form, features, whole_categories=whole_categories)
        score = graph.cast(raw, "double")
        if form.average_output:  # a random forest answers the mean of its trees; its raw score is their sum
            score = graph.node("Div", score, graph.constant(float(max(1, form.iterations)), "float64"))
        return raw, add_link(graph, form.link, score, form.objective)
    if isinstance(form, NetworkForm):
        score = add_network(graph, form, features)
    else:
        score = add_additive(graph, form, features)
    return graph.cast(score, "float"), add_link(graph, form.link, score)


def _add_mixture(graph: Graph, form: MixtureForm, features: str, whole_categories: bool) -> str:
    """Add the members; return the float64 weighted mean of their answers."""
    total = ""
    for member, weight, offset, places in zip(
        form.members, form.weights, form.offsets, form.places, strict=True
    ):
        own = features if places is None else graph.node("Gather", features, graph.constant(places), axis=1)
        _, answer = _add_answer(graph, member, own, whole_categories)
        if offset:
            answer = graph.node("Add", answer, graph.constant(float(offset), "float64"))
        part = graph.node("Mul", answer, graph.constant(float(weight), "float64"))
        total = graph.node("Add", total, part) if total else part
    return total


def is_wide(form: Form, offset: float) -> bool:
    """Return whether the prediction is a double: with an offset, and of models that are computed in doubles throughout."""
    return bool(offset) or not isinstance(form, TreeEnsemble)


def _labels(graph: Graph, best: str, labels: Sequence[Any]) -> str:
    numbers = all(isinstance(label, int) for label in labels)
    return graph.node("Gather", graph.constant(labels, "int64" if numbers else None), best, axis=0)
