"""What float32, which learners compute in, would lose of a column or of a label far from zero, and the shift that keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from synml_dagster.features.kinds.numeric import Affine

if TYPE_CHECKING:
    from synml_dagster.features.plan import FeaturePlan

_LOST = 0.98
_COARSE = 1e-4


def shift_for(values: np.ndarray) -> Affine | None:
    """Return the shift that keeps apart what float32 would put together, None where float32 keeps the values apart.

    Parameters
    ----------
    values
        Sampled finite values, float64.
    """
    distinct = np.unique(values)
    if len(distinct) < 2:
        return None
    before = len(np.unique(distinct.astype(np.float32)))
    if before >= _LOST * len(distinct):
        return None
    middle = float(distinct[len(distinct) // 2])
    after = len(np.unique((distinct - middle).astype(np.float32)))
    return Affine(kind="shift", center=middle, spread=1.0) if after > before else None


def label_offset(plan: FeaturePlan) -> float:
    """Return what to take off a regression's label so that float32 keeps its differences, 0 where it keeps them as they are."""
    low, high, mean = plan.label.minimum, plan.label.maximum, plan.label.mean
    if plan.task != "regression" or low is None or high is None or mean is None or not high > low:
        return 0.0
    step = float(np.spacing(np.float32(max(abs(low), abs(high)))))
    return float(round(mean)) if step > _COARSE * (high - low) and abs(mean) > high - low else 0.0
