"""Trees as arrays, whichever library grew them: what the ONNX export and exact SHAP read.

How a row goes down a tree (`decision_type` is a bit field, LightGBM's own):

- bit 0: the split is categorical; bit 1: missing values go left; bits 2 and 3: what counts as missing
  (`MISSING_NONE`, `MISSING_ZERO`, `MISSING_NAN`).
- A numeric split sends `x <= threshold` left. NaN is read as 0 unless NaN is what counts as missing. Under
  `MISSING_ZERO` everything within `ZERO_THRESHOLD` of 0 (so NaN too) goes the default way.
- A categorical split sends the whole part of `x` left when its bit is set; negatives and unknown go right, and so does NaN
  unless bit 1 is set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synml_dagster.learners.link import Link

MISSING_NONE, MISSING_ZERO, MISSING_NAN = 0, 1, 2
ZERO_THRESHOLD = float(np.float32(1e-35))
"""LightGBM's kZeroThreshold: magnitudes up to this count as zero."""

_CATEGORICAL_BIT, _DEFAULT_LEFT_BIT, _MISSING_SHIFT = 1, 2, 2


@dataclass(frozen=True, eq=False)
class Tree:
    """One tree of `num_leaves` leaves and `num_leaves - 1` inner nodes; node 0 is the root.

    A child that is not negative is an inner node; a negative child `c` is leaf `~c`. A tree of one leaf has no inner
    nodes and always answers `leaf_value[0]`. Shrinkage is already in `leaf_value`.
    """

    num_leaves: int
    split_feature: NDArray[np.int32]
    """[nodes] index of the feature that the node looks at."""
    threshold: NDArray[np.float64]
    """[nodes] numeric: `x <= threshold` goes left; categorical: index into `cat_boundaries`."""
    decision_type: NDArray[np.uint8]
    """[nodes] the bit field; see `is_categorical`, `default_left`, `missing_type`."""
    left_child: NDArray[np.int32]
    right_child: NDArray[np.int32]
    split_gain: NDArray[np.float64]
    internal_count: NDArray[np.int64] | NDArray[np.float64]
    """[nodes] training rows that reached the node, or their weight."""
    leaf_value: NDArray[np.float64]
    leaf_count: NDArray[np.int64] | NDArray[np.float64]
    """[leaves] training rows that ended in the leaf, or their weight."""
    cat_boundaries: NDArray[np.int32]
    """[categorical splits + 1] where each split's words begin in `cat_threshold`."""
    cat_threshold: NDArray[np.uint32]
    """Bit sets of categories that go left, 32 to a word."""
    shrinkage: float
    is_linear: bool
    """Leaves hold linear models that are not read here: callers that need exact outputs must refuse such a tree."""
    tiny_is_zero: bool = True
    """Magnitudes up to `ZERO_THRESHOLD` are read as 0, as LightGBM's predictions do; else each number is what it is."""

    @property
    def is_categorical(self) -> NDArray[np.bool_]:
        """[nodes] whether the split is by category."""
        return (self.decision_type & _CATEGORICAL_BIT) != 0

    @property
    def default_left(self) -> NDArray[np.bool_]:
        """[nodes] whether missing values go left."""
        return (self.decision_type & _DEFAULT_LEFT_BIT) != 0

    @property
    def missing_type(self) -> NDArray[np.uint8]:
        """[nodes] one of `MISSING_NONE`, `MISSING_ZERO`, `MISSING_NAN`."""
        return ((self.decision_type >> _MISSING_SHIFT) & 3).astype(np.uint8)

    def categories(self, node: int) -> NDArray[np.int64]:
        """Return the sorted categories that go left at a categorical `node`."""
        split = int(self.threshold[node])
        words = self.cat_threshold[self.cat_boundaries[split] : self.cat_boundaries[split + 1]]
        bits = np.unpackbits(np.ascontiguousarray(words, dtype="<u4").view(np.uint8), bitorder="little")
        return np.flatnonzero(bits).astype(np.int64)


@dataclass(frozen=True, eq=False)
class TreeEnsemble:
    """A whole model. Tree `i` belongs to output `i % trees_per_iteration`."""

    objective: str
    """The objective's name alone (`binary`, `multiclass`, `regression`, ...); empty when the model states none."""
    objective_params: Mapping[str, str]
    """What follows the name, e.g. `{"sigmoid": "1"}`; a bare word such as `sqrt` maps to an empty string."""
    num_class: int
    trees_per_iteration: int
    feature_names: tuple[str, ...]
    """Names as written in the text; LightGBM replaces some characters, so a model's real names are kept beside it."""
    feature_infos: tuple[str, ...]
    average_output: bool
    """Random forests: the output is the mean over iterations, not the sum."""
    trees: tuple[Tree, ...]
    link: Link | None = None
    """From raw score to answer; None where the objective is not known."""
    classifies: bool = False
    """The answers are probabilities of classes."""

    @property
    def num_outputs(self) -> int:
        """How many raw scores a row has."""
        return self.trees_per_iteration

    @property
    def num_features(self) -> int:
        """How many columns a row has."""
        return len(self.feature_names)

    @property
    def iterations(self) -> int:
        """Boosting rounds (or forests' trees) per output."""
        return len(self.trees) // self.trees_per_iteration
