"""What float32, which learners compute in, would lose of a column or of a label far from zero, and the shift that keeps it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from synml_dagster.features.kinds.numeric import Affine, NumericColumn

if TYPE_CHECKING:
    from synml_dagster.features.kinds.base import FittedColumn
    from synml_dagster.features.plan import FeaturePlan

_LOST = 0.98
_COARSE = 1e-4
_RANGE = (1e-30, 1e37)
"""What float32 takes with all its digits is between 1e-38 and 3e38."""


def shift_for(values: np.ndarray) -> Affine | None:
    """Return the shift, or where values are beyond float32's range the scale, that keeps apart what float32 would put together.

    None where float32 keeps the values apart.

    Parameters
    ----------
    values
        Sampled finite values, float64.
    """
    distinct = np.unique(values)
    if len(distinct) < 2:
        return None
    middle = float(distinct[len(distinct) // 2])
    with np.errstate(over="ignore"):
        before = len(np.unique(distinct.astype(np.float32)))
        if before >= _LOST * len(distinct):
            return None
        after = len(np.unique((distinct - middle).astype(np.float32)))
        largest = float(np.abs(distinct).max())
        if largest > _RANGE[1] or largest < _RANGE[0]:
            # A power of two changes no digit.
            spread = 2.0 ** math.floor(math.log2(largest))
            scaled = len(np.unique((distinct / spread).astype(np.float32)))
            if scaled > max(before, after):
                return Affine(kind="shift", center=0.0, spread=spread)
    return Affine(kind="shift", center=middle, spread=1.0) if after > before else None


def lost_values(values: np.ndarray, scale: Affine | None) -> str:
    """Say how many of sampled finite values float32 leaves apart in spite of `scale`, or nothing where it keeps nearly all."""
    distinct = np.unique(values)
    with np.errstate(over="ignore"):
        kept = distinct if scale is None else (distinct - scale.center) / scale.spread
        left = len(np.unique(kept.astype(np.float32)))
    return "" if left >= _LOST * len(distinct) else f"{left:,} of {len(distinct):,}"


def origin_for(values: np.ndarray) -> float:
    """Return the whole number that sampled finite values are counted from so that float32 keeps them apart, 0 where it does."""
    if len(values) < 2 or not _is_coarse(float(values.min()), float(values.max())):
        return 0.0
    return float(math.floor(values.min()))


def label_offset(plan: FeaturePlan) -> float:
    """Return what to take off a regression's label so that float32 keeps its differences, 0 where it keeps them as they are."""
    low, high, mean = plan.label.minimum, plan.label.maximum, plan.label.mean
    if plan.task != "regression" or low is None or high is None or mean is None or not high > low:
        return 0.0
    if not _is_coarse(low, high) or abs(mean) <= high - low:
        return 0.0
    # A multiple of a power of two as large as the differences: few digits, and what is left is about as small as they are.
    unit = 2.0 ** math.floor(math.log2(high - low))
    return round(min(max(mean, low), high) / unit) * unit


def notes_of(columns: Sequence[FittedColumn]) -> list[str]:
    """Say which columns are shifted and by how much."""
    return [
        f"column {c.name!r}: {_changed(c.scale)}, in Spark and in the graph alike, because float32 would take different ones for equal"
        for c in columns
        if isinstance(c, NumericColumn) and isinstance(c.scale, Affine) and c.scale.kind == "shift"
    ]


def _changed(scale: Affine) -> str:
    if scale.spread == 1:
        return f"{scale.center:.15g} is taken off its values"
    return f"its values are divided by {scale.spread:.6g}"


def note_of_label(plan: FeaturePlan) -> list[str]:
    """Say by how much the label is shifted in training."""
    offset = label_offset(plan)
    if not offset:
        return []
    return [
        f"label {plan.label.column!r}: {offset:.15g} is taken off in training and added to predictions, because float32 would take different values for equal"
    ]


def _is_coarse(low: float, high: float) -> bool:
    """Whether the steps of float32 near these numbers are large beside their range."""
    with np.errstate(over="ignore", invalid="ignore"):
        step = float(np.spacing(np.float32(max(abs(low), abs(high)))))
    return step > _COARSE * (high - low) > 0
