"""LightGBM's model text, read as trees.

The format is LightGBM's own (`Booster.model_to_string`, version v2 to v4): a header of `key=value` lines, one block per
tree, `end of trees`, then importances and parameters, which are not needed here.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ModelError
from synml_dagster.learners.link import Link
from synml_dagster.learners.trees import Tree, TreeEnsemble

CLASSIFIERS = frozenset({"binary", "multiclass", "multiclassova"})
"""Objectives whose trees score classes; the others predict a number."""

_SQRT_ABLE = frozenset({"regression", "regression_l1", "huber", "fair", "quantile", "mape"})
_LINKS = {
    **dict.fromkeys(("", "custom", "none", "lambdarank", "rank_xendcg", *_SQRT_ABLE), Link()),
    **dict.fromkeys(("poisson", "gamma", "tweedie"), Link("exp")),
    **dict.fromkeys(("cross_entropy", "xentropy"), Link("logistic")),
    **dict.fromkeys(("cross_entropy_lambda", "xentlambda"), Link("log1pexp")),
    "multiclass": Link("softmax"),
}


def parse_trees(text: str) -> TreeEnsemble:
    """Read LightGBM's model text.

    Raises
    ------
    ModelError
        When the text is not a LightGBM model, is cut short, or a tree contradicts itself.
    """
    if not text.lstrip().startswith("tree"):
        raise ModelError(
            "This is not LightGBM model text: it does not begin with 'tree'. Give what Booster.model_to_string() returns."
        )
    body, end, _ = text.partition("\nend of trees")
    if not end:
        raise ModelError("The LightGBM model text is cut short: the line 'end of trees' is missing.")
    head, *blocks = body.split("\nTree=")
    header = _key_values(head)
    names = tuple(_required(header, "feature_names", "header").split())
    per_iteration = int(_required(header, "num_tree_per_iteration", "header"))
    if int(_required(header, "max_feature_idx", "header")) + 1 != len(names):
        raise ModelError(f"The LightGBM model text names {len(names)} features but counts another number.")
    trees = tuple(_parse_tree(number, block, len(names)) for number, block in enumerate(blocks))
    if len(trees) % per_iteration:
        raise ModelError(
            f"The LightGBM model text has {len(trees)} trees, not a multiple of {per_iteration} per iteration."
        )
    name, _, rest = header.get("objective", "").partition(" ")
    about = dict(_param(word) for word in rest.split())
    return TreeEnsemble(
        objective=name,
        objective_params=about,
        num_class=int(header.get("num_class", "1")),
        trees_per_iteration=per_iteration,
        feature_names=names,
        feature_infos=tuple(header.get("feature_infos", "").split()),
        average_output="average_output" in header,
        trees=trees,
        link=link_of(name, about),
        classifies=name in CLASSIFIERS,
    )


def link_of(objective: str, about: Mapping[str, str]) -> Link | None:
    """Return the link of an objective and its words in the text, None where it is not one of LightGBM's.

    The formulas are those of `ConvertOutput` in LightGBM's src/objective.
    """
    if objective in _SQRT_ABLE and "sqrt" in about:
        return Link("square")
    if objective in ("binary", "multiclassova"):
        return Link("logistic", float(about.get("sigmoid", "1")))
    return _LINKS.get(objective)


def _parse_tree(number: int, block: str, num_features: int) -> Tree:
    where = f"tree {number}"
    fields = _key_values(block)
    leaves = int(_required(fields, "num_leaves", where))
    nodes = leaves - 1
    num_cat = int(fields.get("num_cat", "0"))

    def floats(key: str, size: int) -> NDArray[np.float64]:
        return _array(fields, key, size, np.float64, where)

    def ints(key: str, size: int) -> NDArray[np.int32]:
        return _array(fields, key, size, np.int32, where)

    tree = Tree(
        num_leaves=leaves,
        split_feature=ints("split_feature", nodes),
        threshold=floats("threshold", nodes),
        decision_type=_array(fields, "decision_type", nodes, np.uint8, where),
        left_child=ints("left_child", nodes),
        right_child=ints("right_child", nodes),
        split_gain=floats("split_gain", nodes),
        internal_count=_array(fields, "internal_count", nodes, np.int64, where),
        leaf_value=floats("leaf_value", leaves),
        leaf_count=_array(fields, "leaf_count", leaves, np.int64, where),
        cat_boundaries=ints("cat_boundaries", num_cat + 1) if num_cat else np.zeros(1, dtype=np.int32),
        cat_threshold=_array(fields, "cat_threshold", None if num_cat else 0, np.uint32, where),
        shrinkage=float(fields.get("shrinkage", "1")),
        is_linear=fields.get("is_linear", "0") == "1",
    )
    if nodes and (tree.split_feature.min() < 0 or tree.split_feature.max() >= num_features):
        raise ModelError(
            f"The LightGBM model text is damaged: {where} splits on a feature that the header does not name."
        )
    children = np.concatenate([tree.left_child, tree.right_child])
    # LightGBM numbers a node after its parent, so a child with a smaller number would be a cycle.
    parents = np.tile(np.arange(nodes), 2)
    every_one_once = np.array_equal(np.sort(children), np.setdiff1d(np.arange(-leaves, nodes), [0]))
    if nodes and not (every_one_once and np.all((children < 0) | (children > parents))):
        raise ModelError(f"The LightGBM model text is damaged: the children of {where} do not form a tree.")
    return tree


def _key_values(block: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in block.splitlines() if line)
    return {key.strip(): value for key, _, value in pairs}


def _required(fields: Mapping[str, str], key: str, where: str) -> str:
    if key not in fields:
        raise ModelError(f"The LightGBM model text is damaged: {where} has no {key!r}.")
    return fields[key]


def _array(fields: Mapping[str, str], key: str, size: int | None, dtype: type, where: str) -> NDArray:
    """Read `key`; `size` None takes any length, 0 makes the key optional."""
    words = (_required(fields, key, where) if size != 0 else fields.get(key, "")).split()
    if size is not None and len(words) != size:
        raise ModelError(
            f"The LightGBM model text is damaged: {where} has {len(words)} values of {key!r}, not {size}."
        )
    convert = float if dtype is np.float64 else int
    try:
        return np.array([convert(word) for word in words], dtype=dtype)
    except (ValueError, OverflowError) as error:
        raise ModelError(f"The LightGBM model text is damaged: {where}, {key!r}: {error}") from error


def _param(word: str) -> tuple[str, str]:
    key, _, value = word.partition(":")
    return key, value
