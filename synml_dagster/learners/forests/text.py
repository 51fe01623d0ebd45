"""A forest as text: JSON whose arrays are packed, because a forest has hundreds of thousands of nodes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ModelError
from synml_dagster.learners.link import Link, LinkName
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
"""Thresholds are float32, rounded down from the library's float64: they decide the same of every float32."""
_CATEGORIES = {"node": "<i4", "codes": "<i4", "code": "<i4"}
"""Splits by category: their nodes, counted over all trees, how many codes go left, and the codes one after another."""


def write_forest(
    trees: Sequence[dict[str, NDArray]],
    *,
    objective: str,
    features: int,
    classifies: bool,
    link: LinkName | None = None,
    categories: Sequence[Mapping[int, Sequence[int]]] | None = None,
) -> str:
    """Return the text of a forest.

    Parameters
    ----------
    trees
        By tree, the arrays of its nodes under the names of `NodeTable`; `value` is `[nodes, outputs]`.
    classifies
        Values are probabilities of classes.
    link
        From the sum of the trees to the answer. None where the forest is the mean of its trees.
    categories
        By tree, the codes that go left at its splits by category; none where None.
    """
    arrays = {
        name: packed(np.concatenate([np.ravel(tree[name]) for tree in trees]), kind)
        for name, kind in _KINDS.items()
    }
    sizes = [len(tree["left"]) for tree in trees]
    about = {
        "format": 1,
        "objective": objective,
        "features": features,
        "outputs": int(trees[0]["value"].shape[1]),
        "classifies": classifies,
        "nodes": sizes,
    }
    if link is not None:
        about["link"] = link
    if categories is not None:
        about["categories"] = _written(categories, sizes)
    return json.dumps({**about, "arrays": arrays})


def _written(categories: Sequence[Mapping[int, Sequence[int]]], sizes: Sequence[int]) -> dict[str, str]:
    found: dict[str, list[int]] = {name: [] for name in _CATEGORIES}
    start = 0
    for splits, size in zip(categories, sizes, strict=True):
        for node, codes in sorted(splits.items()):
            found["node"].append(start + node)
            found["codes"].append(len(codes))
            found["code"] += codes
        start += size
    return {name: packed(np.array(found[name], np.int64), kind) for name, kind in _CATEGORIES.items()}


def _read(raw: Mapping[str, str] | None, sizes: Sequence[int]) -> list[dict[int, list[int]]]:
    """Return, by tree, the codes that go left at its splits by category."""
    found: list[dict[int, list[int]]] = [{} for _ in sizes]
    if raw is None:
        return found
    node, codes, code = (unpacked(raw[name], kind) for name, kind in _CATEGORIES.items())
    if len(node) != len(codes) or codes.sum() != len(code):
        raise ValueError("a list of categories is cut short")
    ends, past = np.cumsum(codes), np.cumsum(sizes)
    for tree, at, end, many in zip(np.searchsorted(past, node, side="right"), node, ends, codes, strict=True):
        start = int(past[tree]) - sizes[tree]
        found[tree][int(at) - start] = code[end - many : end].tolist()
    return found


def read_forest(text: str) -> TreeEnsemble:
    """Read what `write_forest` wrote.

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
        link = Link(raw["link"]) if "link" in raw else None
        values = arrays.pop("value").reshape(whole, outputs)
        if link is None:  # the mean of the trees is the sum of their parts
            values = values / len(sizes)
        categories = _read(raw.get("categories"), sizes)
        trees, start = [], 0
        for number, size in enumerate(sizes):
            part = {name: found[start : start + size] for name, found in arrays.items()}
            part["missing_left"] = part["missing_left"] != 0
            for output in range(outputs):
                table = NodeTable(
                    **part, value=values[start : start + size, output], categories=categories[number]
                )
                trees.append(tree_of(table, f"tree {number}"))
            start += size
        return TreeEnsemble(
            objective=str(raw["objective"]),
            objective_params={},
            num_class=outputs,
            trees_per_iteration=outputs,
            feature_names=tuple(f"f{i}" for i in range(int(raw["features"]))),
            feature_infos=(),
            average_output=False,
            trees=tuple(trees),
            link=link or (Link("probability") if raw["classifies"] else Link()),
            classifies=bool(raw["classifies"]),
        )
    except ModelError:
        raise
    except DAMAGE as problem:
        raise ModelError(f"the text of the forest is damaged: {problem!r}") from problem
