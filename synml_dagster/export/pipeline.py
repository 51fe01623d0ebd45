"""Exports: a trained model alone, or the whole pipeline from raw columns to predictions, as one ONNX graph."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from synml_dagster.errors import ModelError
from synml_dagster.learners import TrainedModel
from synml_dagster.learners.onnx import Classes, ModelOutputs, add_model, is_wide
from synml_dagster.onnx.graph import OPSETS, Graph

if TYPE_CHECKING:
    import onnx

    from synml_dagster.features import FeaturePlan
    from synml_dagster.learners import Form

IR_VERSION = 9
"""The oldest file version that holds opset 20; ONNX Runtime opens it from 1.17 on."""
FEATURES_INPUT = "features"


def model_to_onnx(
    model: TrainedModel | Form,
    *,
    classes: Sequence[str] | None = None,
    class_type: str = "int64",
    whole_categories: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> onnx.ModelProto:
    """Return a graph from the feature matrix to the prediction.

    Parameters
    ----------
    model
        A trained model, or its neutral form (`parse_trees` makes one of LightGBM's model text).
    classes
        Labels of a classifier in the order of its scores; 0, 1, ... when None.
    class_type
        What the labels are in the user's table: `string`, `int64` or `boolean`.
    whole_categories
        Say that categorical features hold whole numbers or NaN alone; such a graph is faster. LightGBM cuts fractions
        off, and without this so does the graph.
    metadata
        Further pairs to write into the file.

    Returns
    -------
    onnx.ModelProto
        Input `features` float32 `[N, F]`, NaN for missing. Classifiers answer `label` `[N]` and `probabilities`
        float32 `[N, k]`, the others `prediction` float32 `[N, 1]`; all answer `raw_score` float32 `[N, k]`.

    Raises
    ------
    ModelError
        The model has a part that ONNX cannot hold (linear leaves).
    """
    from onnx import TensorProto, helper

    trained = model if isinstance(model, TrainedModel) else None
    form: Form = model.form if isinstance(model, TrainedModel) else model
    offset = trained.label_offset if trained else 0.0
    graph = Graph("model")
    named = Classes(tuple(classes), class_type) if classes else None
    outputs = add_model(graph, form, FEATURES_INPUT, named, whole_categories=whole_categories, offset=offset)
    entry = helper.make_tensor_value_info(FEATURES_INPUT, TensorProto.FLOAT, [None, form.num_features])
    objective = trained.objective if trained else getattr(form, "objective", "")
    about = {"objective": objective, "raw_scores": str(form.num_outputs), **(metadata or {})}
    if named:
        about |= {"classes": json.dumps(list(named.values), ensure_ascii=False), "class_type": named.type}
    if trained:
        about["features"] = json.dumps(list(trained.features), ensure_ascii=False)
    return _finish(
        graph, [entry], outputs, named, about, dict(OPSETS), name="model", wide=is_wide(form, offset)
    )


def export_pipeline(
    plan: FeaturePlan, model: TrainedModel, *, costs: Sequence[Sequence[float]] | None = None
) -> onnx.ModelProto:
    """Return the whole pipeline as one graph: a tensor per raw column in, the prediction out.

    Inputs are `[N, width]` tensors named as the table's columns (strings with "" for missing; dates as days and
    timestamps as microseconds since 1970 in float64, NaN for missing). Outputs are those of `model_to_onnx`; where a
    column has an output's name the output's name ends in `_out`, and the file's metadata says which is which.

    With `costs`, of each answer by the true class in the order of the label's classes, it also answers `decision`, the class
    whose expected cost is lowest, and that `expected_cost`.

    Raises
    ------
    ModelError
        The model was not trained on the plan's features.
    """
    from synml_dagster.features import onnx_fragment

    fragment = onnx_fragment(plan)
    if list(fragment.features) != list(model.features):
        differing = sorted(set(fragment.features) ^ set(model.features))[:5]
        raise ModelError(
            f"The model was trained on other features than the plan of {plan.name!r} makes (they differ in "
            f"{', '.join(map(repr, differing)) or 'their order'}). Train on this plan, or export with the plan it was trained on."
        )
    classes = None
    if plan.label.classes:
        classes = Classes(tuple(plan.label.classes), _class_type(plan))
    taken = [value.name for value in fragment.inputs]
    graph, form = Graph(_free("model", taken)), model.form
    # A plan's categories are codes, whole by construction.
    outputs = add_model(
        graph,
        form,
        fragment.output,
        classes,
        whole_categories=True,
        offset=model.label_offset,
        costs=costs,
    )
    graph.nodes = [*fragment.nodes, *graph.nodes]
    graph.initializers = [*fragment.initializers, *graph.initializers]
    about = {
        "pipeline": plan.name,
        "task": plan.task,
        "plan_fingerprint": plan.fingerprint,
        "plan_version": str(plan.version),
        "label": plan.label.column,
        "learner": model.learner,
        "objective": model.objective,
        "raw_scores": str(form.num_outputs),
        "features": json.dumps(list(model.features), ensure_ascii=False),
        "raw_inputs": json.dumps(
            [raw.model_dump(mode="json") for raw in plan.raw_inputs], ensure_ascii=False
        ),
        "outside": json.dumps(dict(fragment.outside), ensure_ascii=False),
    }
    if classes:
        about |= {"classes": json.dumps(list(classes.values), ensure_ascii=False), "class_type": classes.type}
    if costs is not None:
        about["costs"] = json.dumps([list(row) for row in costs])
    # Tokens of texts need a domain beside those of models.
    opsets = {d: max(OPSETS.get(d, 1), fragment.opsets.get(d, 1)) for d in [*OPSETS, *fragment.opsets]}
    return _finish(
        graph,
        fragment.inputs,
        outputs,
        classes,
        about,
        opsets,
        name=plan.name,
        wide=is_wide(form, model.label_offset),
    )


def _class_type(plan: FeaturePlan) -> str:
    kind = getattr(plan.label, "spark_type", None) or "string"
    return "int64" if kind in ("tinyint", "smallint", "int", "bigint") else kind


def _free(wanted: str, taken: Sequence[str]) -> str:
    while any(name == wanted or name.startswith(f"{wanted}/") for name in taken):
        wanted += "_out"
    return wanted


def _finish(
    graph: Graph,
    inputs: Sequence[Any],
    outputs: ModelOutputs,
    classes: Classes | None,
    metadata: Mapping[str, str],
    opsets: Mapping[str, int],
    name: str,
    wide: bool,
) -> onnx.ModelProto:
    import onnx
    from onnx import TensorProto, helper

    taken = [value.name for value in inputs]
    label_type = TensorProto.STRING if classes and isinstance(classes.in_graph[0], str) else TensorProto.INT64
    kinds: dict[str, tuple[int, list[Any]]] = {
        "label": (label_type, [None]),
        "probabilities": (TensorProto.FLOAT, [None, None]),
        "prediction": (TensorProto.DOUBLE if wide else TensorProto.FLOAT, [None, 1]),
        "raw_score": (TensorProto.FLOAT, [None, None]),
        "decision": (label_type, [None]),
        "expected_cost": (TensorProto.DOUBLE, [None]),
    }
    published, places = [], {}
    for role, (kind, shape) in kinds.items():
        inside = getattr(outputs, role)
        if inside is None:
            continue
        places[role] = _free(role, taken)
        graph.nodes.append(helper.make_node("Identity", [inside], [places[role]]))
        published.append(helper.make_tensor_value_info(places[role], kind, shape))
    built = helper.make_graph(graph.nodes, name, list(inputs), published, graph.initializers)
    model = helper.make_model(
        built,
        opset_imports=[helper.make_opsetid(domain, number) for domain, number in opsets.items()],
        producer_name="synml_dagster",
        ir_version=IR_VERSION,
    )
    versions = {library: version(library) for library in ("onnx", "onnxruntime")}
    helper.set_model_props(
        model,
        {
            **metadata,
            "outputs": json.dumps(places),
            "versions": json.dumps(versions),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "synml_dagster": "1",
        },
    )
    onnx.checker.check_model(model)
    return model
