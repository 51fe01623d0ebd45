"""XGBoost's JSON, read as neutral trees.

The schema is XGBoost's own (doc/model.schema in its repository), as versions 1.6 to 3.x write it:

- A split sends `x < t` left, in float32; the neutral form's `x <= t'` with `t'` the float32 below `t` is the same.
- A split by category sends the listed codes **right**, all others left, and a missing value the default way.
- `base_score` is one number up to 3.0 and a list from 3.1 on, in the space of the answer: of `binary:logistic` a probability,
  of `count:poisson` a mean.
- Trees of `dart` are weighted by `weight_drop`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ModelError
from synml_dagster.learners.link import Link
from synml_dagster.learners.tree_models.building import NodeTable, leaf, tree_of
from synml_dagster.learners.trees import Tree, TreeEnsemble

_LINKS = {
    **dict.fromkeys(("binary:logistic", "reg:logistic"), Link("logistic")),
    **dict.fromkeys(("multi:softprob", "multi:softmax"), Link("softmax")),
    **dict.fromkeys(("count:poisson", "reg:gamma", "reg:tweedie"), Link("exp")),
}
CLASSIFIERS = frozenset({"binary:logistic", "multi:softprob", "multi:softmax"})


def parse_model(text: str) -> TreeEnsemble:
    """Read XGBoost's JSON.

    Raises
    ------
    ModelError
        The text is no XGBoost model, is damaged, or holds what has no neutral form: a linear booster, leaves of vectors.
    """
    try:
        learner = json.loads(text)["learner"]
        booster, about = learner["gradient_booster"], learner["learner_model_param"]
        name = booster["name"]
        if name not in ("gbtree", "dart"):
            raise ModelError(
                f"XGBoost's booster {name!r} has no trees. Train with booster 'gbtree' or 'dart'."
            )
        model = (booster["gbtree"] if name == "dart" else booster)["model"]
        weights = booster["weight_drop"] if name == "dart" else [1.0] * len(model["trees"])
        objective = str(learner["objective"]["name"])
        features = int(about["num_feature"])
        classes = max(1, int(about["num_class"]))
        by_output: list[list[Tree]] = [[leaf(base)] for base in _bases(about, objective, classes)]
        for number, (raw, output, weight) in enumerate(
            zip(model["trees"], model["tree_info"], weights, strict=True)
        ):
            by_output[output].append(tree_of(_nodes(raw, features, weight, number), f"tree {number}"))
    except ModelError:
        raise
    except (KeyError, ValueError, TypeError, IndexError) as problem:
        raise ModelError(f"the text of the XGBoost model is damaged: {problem!r}") from problem
    most = max(map(len, by_output))
    for trees in by_output:  # outputs take turns in the neutral form, so each has as many trees as the others
        trees += [leaf(0.0)] * (most - len(trees))
    return TreeEnsemble(
        objective=objective,
        objective_params={},
        num_class=classes,
        trees_per_iteration=len(by_output),
        feature_names=tuple(f"f{i}" for i in range(features)),
        feature_infos=(),
        average_output=False,
        trees=tuple(tree for together in zip(*by_output, strict=True) for tree in together),
        link=_LINKS.get(objective, Link()),
        classifies=objective in CLASSIFIERS,
    )


def _bases(about: Mapping[str, Any], objective: str, classes: int) -> list[float]:
    """Return each output's base score as a margin: what `base_score` says, through the inverse of the link."""
    said = json.loads(about["base_score"])
    bases = [float(one) for one in said] if isinstance(said, list) else [float(said)]
    if len(bases) == 1:
        bases *= classes
    if len(bases) != classes:
        raise ValueError(f"base_score has {len(bases)} numbers for {classes} outputs")
    link = _LINKS.get(objective, Link()).name
    return [_margin(base, link) for base in bases]


def _margin(base: float, link: str) -> float:
    if link == "logistic":
        return -math.log(1 / base - 1)
    return math.log(base) if link == "exp" else base


def _nodes(raw: Mapping[str, Any], features: int, weight: float, number: int) -> NodeTable:
    if int(raw["tree_param"].get("size_leaf_vector", "1")) > 1:
        raise ModelError(
            "leaves of vectors (multi_strategy 'multi_output_tree') are not read; train without it."
        )
    left, right = (np.array(raw[key], np.int64) for key in ("left_children", "right_children"))
    feature = np.array(raw["split_indices"], np.int64)
    conditions = np.array(raw["split_conditions"], np.float64).astype(np.float32)
    cover = np.array(raw["sum_hessian"], np.float64)
    is_leaf = left < 0
    if feature[~is_leaf].size and not 0 <= feature[~is_leaf].min() <= feature[~is_leaf].max() < features:
        raise ModelError(
            f"the text of the XGBoost model is damaged: tree {number} splits on a feature that is not there."
        )
    missing_left = np.array(raw["default_left"], np.int64) != 0
    categories = _categories(raw)
    for node in categories:  # the neutral form has them on the left
        left[node], right[node] = right[node], left[node]
        missing_left[node] = not missing_left[node]
    return NodeTable(
        left=left,
        right=right,
        feature=feature,
        threshold=_at_most(conditions),
        missing_left=missing_left,
        value=conditions.astype(np.float64) * weight,
        cover=_adding_up(left, right, cover),
        gain=np.array(raw["loss_changes"], np.float64),
        categories=categories,
    )


def _at_most(below: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return thresholds for which `x <= threshold` is `x < below`, of every float32 `x`."""
    infinite = np.float32(np.inf)
    return np.where(below == infinite, infinite, np.nextafter(below, -infinite)).astype(np.float64)


def _categories(raw: Mapping[str, Any]) -> dict[int, list[int]]:
    found, codes = {}, raw.get("categories", [])
    for node, start, size in zip(
        raw.get("categories_nodes", []),
        raw.get("categories_segments", []),
        raw.get("categories_sizes", []),
        strict=True,
    ):
        found[int(node)] = [int(code) for code in codes[start : start + size]]
    return found


def _adding_up(
    left: NDArray[np.int64], right: NDArray[np.int64], cover: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the leaves' hessians as they are and those of nodes as sums of them: explanations ask that they add up."""
    found = cover.copy()
    for node in range(len(left) - 1, -1, -1):
        if left[node] >= 0:
            found[node] = found[left[node]] + found[right[node]]
    return found
