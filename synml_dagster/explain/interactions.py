"""Which other feature changes what a feature does: told from the SHAP values alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synml_dagster.explain.explanations import Explanations
from synml_dagster.explain.value_names import FeatureReading

_WORTH_SHOWING = 0.10
_GROUPS = 12
_FEWEST_ROWS = 8


def strongest_partner(found: Explanations, feature: int, output: int = 0) -> int | None:
    """Return the feature that explains most of the effect's spread among rows of nearly equal value, None if none does.

    Rows are put in groups of nearly equal value of `feature`. Inside a group the effect of `feature` varies only by
    what else the row holds; the share of that variance that each other feature explains (by its own value's groups)
    is compared over all groups.
    """
    phi = found.phi[:, feature, output].astype(np.float64)
    group = _groups(found, feature, _GROUPS)
    centred = phi.copy()
    for g in np.unique(group):
        inside = group == g
        if inside.sum() < _FEWEST_ROWS:
            centred[inside] = 0.0
        else:
            centred[inside] -= centred[inside].mean()
    total = float((centred**2).sum())
    if total <= 1e-12 * max(float((phi**2).sum()), 1e-300):
        return None
    best, share = None, _WORTH_SHOWING
    for other in range(len(found.features)):
        if other == feature or not np.any(found.phi[:, other]):
            continue
        cell = group * 8 + _groups(found, other, 4)
        _, code = np.unique(cell, return_inverse=True)
        count, sums = np.bincount(code), np.bincount(code, centred)
        # A cell of few rows explains by chance: its share is lowered by what a random split would explain.
        explained = float((sums**2 / count).sum()) / total - (len(count) - len(np.unique(group))) / max(
            len(phi), 1
        )
        if explained > share:
            best, share = other, explained
    return best


def _groups(found: Explanations, feature: int, count: int) -> NDArray[np.int64]:
    """Return the number of each row's group: the commonest categories, or quantiles; missing is one of its own."""
    value = found.values[:, feature].astype(np.float64)
    missing = np.isnan(value)
    number = np.zeros(len(value), dtype=np.int64)
    reading = found.readings.get(found.features[feature], FeatureReading())
    if reading.kind == "category":
        codes = np.where(missing, -1, value).astype(np.int64)
        seen, counts = np.unique(codes, return_counts=True)
        for place, code in enumerate(seen[np.argsort(-counts, kind="stable")][: count - 1]):
            number[codes == code] = place + 1
        return number
    known = value[~missing]
    if len(known):
        edges = np.unique(np.quantile(known, np.linspace(0, 1, count + 1)[1:-1]))
        number[~missing] = 1 + np.searchsorted(edges, known, side="left")
    return number
