"""Grows a forest by scikit-learn in this process, and keeps its trees as arrays."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import DataError, TrainingError
from synml_dagster.features.fitting.precision import label_offset
from synml_dagster.learners.forests.model import ForestModel
from synml_dagster.learners.forests.size import forest_size, size_note
from synml_dagster.learners.forests.text import write_forest
from synml_dagster.learners.one_process.losses import METRIC, loss
from synml_dagster.learners.one_process.rows import Rows, sample_note
from synml_dagster.learners.onnx.tree_nodes import floor32
from synml_dagster.learners.progress import Progress

if TYPE_CHECKING:
    from synml_dagster.features import FeaturePlan

_OURS = ("max_rows", "max_nodes", "max_features", "max_samples", "n_estimators", "max_leaf_nodes", "n_jobs")
_STEP = 10
"""Trees between two signs of life."""
_LARGEST = float(np.finfo(np.float32).max)


def train(
    plan: FeaturePlan,
    params: Mapping[str, Any],
    rows: Rows,
    held: Rows,
    *,
    model: type[ForestModel],
    classifier: str,
    regressor: str,
    threads: int,
    seed: int,
    on_progress: Callable[[Any], None] | None = None,
) -> ForestModel:
    """Grow a forest on `rows` and measure it on `held`.

    Parameters
    ----------
    model
        The family's class of models.
    classifier, regressor
        Classes of `sklearn.ensemble`.

    Raises
    ------
    ConfigError
        The forest would be larger than `max_nodes`.
    DataError
        A classifier's training rows have one class alone.
    TrainingError
        scikit-learn refuses the rows.
    """
    from sklearn import ensemble

    began, task, features = time.monotonic(), plan.task, plan.feature_names
    count = len(plan.label.classes or []) if task != "regression" else 1
    outputs = count if count > 2 else 1
    X, y, weight = rows.X, rows.y, rows.weight
    if not (kept := weight > 0).all():
        X, y, weight = X[kept], y[kept], weight[kept]
    if np.isinf(X).any():
        X = np.clip(X, -_LARGEST, _LARGEST)
    offset = label_offset(plan)
    if task == "regression":
        y = y - offset
    elif len(np.unique(y)) < 2:
        raise DataError(
            "all training rows with a weight have one class; there is nothing to tell apart. Choose another split, or bring more rows."
        )
    size = forest_size(len(y), outputs, params)
    features_a_split = params["max_features"]
    if features_a_split == "auto":
        features_a_split = 1.0 if task == "regression" else "sqrt"
    more = {} if not params.get("bootstrap") else {"max_samples": params.get("max_samples") or 1.0}
    forest = getattr(ensemble, regressor if task == "regression" else classifier)(
        **{name: value for name, value in params.items() if name not in _OURS},
        **more,
        n_estimators=0,
        max_features=features_a_split,
        max_leaf_nodes=max(2, size.leaves),
        n_jobs=int(params.get("n_jobs") or threads),
        random_state=seed,
        warm_start=True,
    )
    _grow(forest, int(params["n_estimators"]), X, y, weight, on_progress)
    trees = [_nodes(one.tree_, forest, count) for one in forest.estimators_]
    text = write_forest(
        trees,
        objective=str(params.get("criterion") or forest.criterion),
        features=len(features),
        classifies=task != "regression",
    )
    largest = max(int((tree["left"] < 0).sum()) for tree in trees)
    found = model(
        text=text,
        features=list(features),
        categorical=list(plan.categorical_features),
        objective=str(forest.criterion),
        params={k: v for k, v in params.items() if v is not None},
        facts={
            "rows": len(y),
            "rows of the table": rows.of,
            "trees": len(trees),
            "nodes": sum(len(tree["left"]) for tree in trees) * outputs,
            "nodes at most": size.nodes,
            "notes": [
                *sample_note(rows, "a forest"),
                *size_note(size, largest, int(params["max_nodes"])),
            ],
        },
        label_offset=offset,
    )
    found.history = {"validation": {METRIC[task]: [loss(found.predict(held.X), held, task)]}}
    found.facts["seconds"] = round(time.monotonic() - began, 3)
    return found


def _grow(
    forest: Any,
    trees: int,
    X: NDArray[np.float32],
    y: NDArray[np.float64],
    weight: NDArray[np.float64],
    on_progress: Callable[[Any], None] | None,
) -> None:
    """Grow tree after tree: a few at a time make the same forest as all at once, and say how far they are."""
    began = time.monotonic()
    for so_far in (*range(_STEP, trees, _STEP), trees) if on_progress else (trees,):
        forest.set_params(n_estimators=so_far)
        try:
            forest.fit(X, y, sample_weight=weight)
        except ValueError as problem:
            raise TrainingError(f"scikit-learn did not grow the forest: {problem}") from problem
        if on_progress:
            passed = time.monotonic() - began
            on_progress(Progress(so_far, trees, {}, passed, passed / so_far * (trees - so_far)))


def _nodes(tree: Any, forest: Any, count: int) -> dict[str, NDArray]:
    """Return the nodes of scikit-learn's tree; values are class probabilities, of the second class alone where there are two."""
    weight, impurity = tree.weighted_n_node_samples, tree.impurity
    left, right = tree.children_left, tree.children_right
    inner = left >= 0
    gain = np.zeros(len(left))
    both = [weight[side[inner]] * impurity[side[inner]] for side in (left, right)]
    gain[inner] = weight[inner] * impurity[inner] - both[0] - both[1]
    value = tree.value[:, 0, :]
    if hasattr(forest, "classes_"):
        shares = value / value.sum(1, keepdims=True)
        value = np.zeros((len(left), count))
        value[:, forest.classes_.astype(int)] = shares
        if count == 2:
            value = value[:, 1:]
    return {
        "left": left,
        "right": right,
        "feature": np.maximum(tree.feature, 0),
        "threshold": np.where(inner, floor32(tree.threshold), np.float32(0)),
        "missing_left": tree.missing_go_to_left,
        "cover": weight,
        "gain": np.maximum(gain, 0),
        "value": value,
    }
