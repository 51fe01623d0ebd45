"""What each feature does to a model's answers in general: ICE, partial dependence, accumulated local effects, permutation importance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synml_dagster.lazy import lazy

if TYPE_CHECKING:
    from synml_dagster.explain.effects.ale import AccumulatedEffect, accumulated_local_effects
    from synml_dagster.explain.effects.dependence import Dependence, partial_dependence
    from synml_dagster.explain.effects.permutation import PermutationImportance, permutation_importance
    from synml_dagster.explain.effects.result import Effects

_MODULES = {
    "ale": "AccumulatedEffect accumulated_local_effects",
    "dependence": "Dependence partial_dependence",
    "permutation": "PermutationImportance permutation_importance",
    "result": "Effects",
}

__all__ = [
    "AccumulatedEffect",
    "Dependence",
    "Effects",
    "PermutationImportance",
    "accumulated_local_effects",
    "partial_dependence",
    "permutation_importance",
]

__getattr__ = lazy(__name__, _MODULES)
