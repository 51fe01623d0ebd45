"""A pipeline's trees walked without branches: large batches go through tables of leaf masks in place of ONNX Runtime's nodes."""

from synml_dagster.onnx.forest.bins import Bins, ordered
from synml_dagster.onnx.forest.cut import Cut, ahead_of_trees, cut_at_trees
from synml_dagster.onnx.forest.masks import (
    MaskedTree,
    TooManyLeavesError,
    all_leaves,
    edges_of,
    in_pieces,
    mask_table,
    masked_tree,
)
from synml_dagster.onnx.forest.session import ForestSession, open_after, open_forest

__all__ = [
    "Bins",
    "Cut",
    "ForestSession",
    "MaskedTree",
    "TooManyLeavesError",
    "ahead_of_trees",
    "all_leaves",
    "cut_at_trees",
    "edges_of",
    "in_pieces",
    "mask_table",
    "masked_tree",
    "open_after",
    "open_forest",
    "ordered",
]
