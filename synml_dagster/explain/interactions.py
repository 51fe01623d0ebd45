"""Which other feature changes what a feature does: by the model's interaction values, or told from the SHAP values alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from synml_dagster.explain.additive import AdditiveExplainer
from synml_dagster.explain.explanations import Explanations
from synml_dagster.explain.value_names import FeatureReading

if TYPE_CHECKING:
    from synml_dagster.explain.base import Explainer

_MOST_ROWS, _FEWEST, _PAIRS = 300, 20, 200_000_000
"""How many rows interaction values are taken of, and how many pairs of features on paths to leaves that may cost."""
_MOST_FEATURES = 40
_WORTH_SHOWING = 0.10
_GROUPS = 12
_FEWEST_ROWS = 8


def interaction_partners(
    explainer: Explainer, features: Sequence[str], values: NDArray[np.float32], phi: NDArray[np.float32]
) -> dict[str, list[str | None]]:
    """Return the feature that each feature interacts with most, by output; None where that is a tenth of its SHAP value or less.

    Nothing where the explainer tells no interactions, or they cost too much. Of many features the 40 that matter most are
    looked at.

    Parameters
    ----------
    values, phi
        float32 [rows, features] and [rows, features, outputs]; some hundred rows are enough.
    """
    outputs = phi.shape[2]
    if isinstance(explainer, AdditiveExplainer):
        return {name: [None] * outputs for name in features}
    from synml_dagster.explain.tree_shap.explainer import TreeExplainer

    if not isinstance(explainer, TreeExplainer) or explainer.pairs * _FEWEST > _PAIRS:
        return {}
    rows = min(_MOST_ROWS, _PAIRS // max(1, explainer.pairs))
    size = np.abs(phi).mean(0, dtype=np.float64)
    chosen = np.argsort(-size.sum(1), kind="stable")[:_MOST_FEATURES]
    group = np.full(len(features), len(chosen))
    group[chosen] = np.arange(len(chosen))
    found = explainer.interaction_values(values[:rows], groups=group)
    found = found.reshape(*found.shape[:3], outputs)[:, : len(chosen), : len(chosen)]
    shared = 2 * np.abs(found).mean(0)
    partners: dict[str, list[str | None]] = {name: [None] * outputs for name in features}
    for place, feature in enumerate(chosen):
        shared[place, place] = -1.0
        for output in range(outputs):
            best = int(shared[place, :, output].argmax())
            if shared[place, best, output] > _WORTH_SHOWING * size[feature, output]:
                partners[features[feature]][output] = features[chosen[best]]
    return partners


def strongest_partner(found: Explanations, feature: int, output: int = 0) -> int | None:
    """Return the feature that changes most what a feature does, None if none does.

    It is told by interaction values where the explanations have them. Else it is the feature that explains most of the effect's
    spread among rows of nearly equal value.

    Rows are then put in groups of nearly equal value of `feature`. Inside a group the effect of `feature` varies only by
    what else the row holds; the share of that variance that each other feature explains (by its own value's groups)
    is compared over all groups.
    """
    if found.partners:
        partner = found.partners[found.features[feature]][output]
        return None if partner is None else found.features.index(partner)
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
