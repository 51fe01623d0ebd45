"""A forest as text: JSON whose arrays are packed, because a forest has hundreds of thousands of nodes."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ModelError
from synml_dagster.learners.link import Link
from synml_dagster.learners.one_process.packed import DAMAGE, packed, unpacked
from synml_dagster.learners.tree_models.building import NodeTable, tree_of
from synml_dagster.learners.trees import TreeEnsemble

_KINDS = {
    "left": "<i4",
    "right": "<i4",
    "feature": "<i4",
    "threshold": "<f4",
    "missing_left": "|u1",
    "cover": "<f8",
    "gain": "<f8",
    "value": "<f8",
}
"""Thresholds are float32, rounded down from scikit-learn's float64: they decide the same of every float32."""


def write_forest(
    trees: Sequence[dict[str, NDArray]], *, objective: str, features: int, classifies: bool
) -> str:
    """Return the text of a forest.

    Parameters
    ----------
    trees
        By tree, the arrays of its nodes under the names of `NodeTable`; `value` is `[nodes, outputs]`.
    classifies
        Values are probabilities of classes.
    """
    arrays = {
        name: packed(np.concatenate([np.ravel(tree[name]) for tree in trees]), kind)
        for name, kind in _KINDS.items()
    }
    about = {
        "format": 1,
        "objective": objective,
        "features": features,
        "outputs": int(trees[0]["value"].shape[1]),
        "classifies": classifies,
        "nodes": [len(tree["left"]) for tree in trees],
    }
    return json.dumps({**about, "arrays": arrays})


def read_forest(text: str) -> TreeEnsemble:
    """Read what `write_forest` wrote; the ensemble is the mean of the trees.

    Raises
    ------
    ModelError
        The text is damaged.
    """
    try:
        raw = json.loads(text)
        if raw["format"] != 1:
            raise ModelError(f"the forest's text has format {raw['format']!r}; update synml_dagster.")
        sizes, outputs = [int(n) for n in raw["nodes"]], int(raw["outputs"])
        arrays = {name: unpacked(raw["arrays"][name], kind) for name, kind in _KINDS.items()}
        whole = sum(sizes)
        if any(len(found) != whole * (outputs if name == "value" else 1) for name, found in arrays.items()):
            raise ValueError("an array is cut short")
        inner = arrays["left"] >= 0
        if (
            inner.any()
            and not 0 <= arrays["feature"][inner].min() <= arrays["feature"][inner].max() < raw["features"]
        ):
            raise ValueError("a split is on a feature that is not there")
        values = arrays.pop("value").reshape(whole, outputs) / len(sizes)
        trees, start = [], 0
        for number, size in enumerate(sizes):
            part = {name: found[start : start + size] for name, found in arrays.items()}
            part["missing_left"] = part["missing_left"] != 0
            for output in range(outputs):
                table = NodeTable(**part, value=values[start : start + size, output], categories={})
                trees.append(tree_of(table, f"tree {number}"))
            start += size
        return TreeEnsemble(
            objective=str(raw["objective"]),
            objective_params={},
            num_class=outputs,
            trees_per_iteration=outputs,
            feature_names=tuple(f"f{i}" for i in range(int(raw["features"]))),
            feature_infos=(),
            average_output=False,  # values are divided by the number of trees already
            trees=tuple(trees),
            link=Link("probability") if raw["classifies"] else Link(),
            classifies=bool(raw["classifies"]),
        )
    except ModelError:
        raise
    except DAMAGE as problem:
        raise ModelError(f"the text of the forest is damaged: {problem!r}") from problem
