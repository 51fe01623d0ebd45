"""How large a forest may grow: an estimate before it is trained, and the leaves that a tree may have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from synml_dagster.errors import ConfigError


@dataclass(frozen=True)
class ForestSize:
    """What a forest of so many rows may have.

    Attributes
    ----------
    leaves
        Of a tree, at most.
    nodes
        Of all trees of all outputs, at most.
    unbounded
        What `nodes` would be without the bound `max_nodes`.
    """

    leaves: int
    nodes: int
    unbounded: int


def forest_size(rows: int, outputs: int, params: Mapping[str, Any]) -> ForestSize:
    """Return how large a forest may grow on so many rows.

    A tree of n leaves has 2n - 1 nodes. Leaves have `min_samples_leaf` rows at least, a tree of depth d has 2^d at most, and
    `max_nodes` is shared out evenly over trees and outputs.

    Raises
    ------
    ConfigError
        `max_nodes` leaves a tree fewer than two leaves, or fewer than `max_leaf_nodes` asks for.
    """
    trees, most = int(params["n_estimators"]), int(params["max_nodes"])
    free = max(2, rows // int(params["min_samples_leaf"]))
    free = min(free, 1 << min(62, int(params["max_depth"])))
    asked = params.get("max_leaf_nodes")
    if asked is not None:
        free = min(free, int(asked))
    bound = (most // (trees * outputs) + 1) // 2
    what = f"{trees:,} trees" + (f" for each of {outputs} classes" if outputs > 1 else "")
    if bound < 2:
        raise ConfigError(
            f"train.params: {what} have more than max_nodes {most:,} nodes even with two leaves each. Raise max_nodes, or take fewer n_estimators."
        )
    if asked is not None and free > bound:
        raise ConfigError(
            f"train.params: {what} of up to {free:,} leaves have {_nodes(free, trees, outputs):,} nodes, and max_nodes is {most:,}. Raise max_nodes, or lower max_leaf_nodes to {bound:,} or n_estimators."
        )
    leaves = min(free, bound)
    return ForestSize(leaves, _nodes(leaves, trees, outputs), _nodes(free, trees, outputs))


def _nodes(leaves: int, trees: int, outputs: int) -> int:
    return (2 * leaves - 1) * trees * outputs


def size_note(size: ForestSize, largest: int, max_nodes: int) -> list[str]:
    """Return the warning that trees were kept smaller than they would have grown; nothing where none met the bound."""
    if size.nodes == size.unbounded or largest < size.leaves:
        return []
    times = math.ceil(size.unbounded / max(1, size.nodes))
    return [
        f"trees were kept to {size.leaves:,} leaves so that the forest has at most {max_nodes:,} nodes (params.max_nodes); without that it could have had up to {times:,} times as many"
    ]
