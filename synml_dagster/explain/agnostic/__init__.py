"""Explanations of any model: Kernel SHAP and LIME over players, which are columns, places of a vector, or tokens of a text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synml_dagster.lazy import lazy

if TYPE_CHECKING:
    from synml_dagster.explain.agnostic.attributions import Attributions
    from synml_dagster.explain.agnostic.background import Background
    from synml_dagster.explain.agnostic.games import Game
    from synml_dagster.explain.agnostic.kernel_shap import shapley_values
    from synml_dagster.explain.agnostic.lime import lime_weights
    from synml_dagster.explain.agnostic.on_spark import explain_with
    from synml_dagster.explain.agnostic.rows import explain_rows

_MODULES = {
    "attributions": "Attributions",
    "background": "Background",
    "games": "Game",
    "kernel_shap": "shapley_values",
    "lime": "lime_weights",
    "on_spark": "explain_with",
    "rows": "explain_rows",
}

__all__ = [
    "Attributions",
    "Background",
    "Game",
    "explain_rows",
    "explain_with",
    "lime_weights",
    "shapley_values",
]

__getattr__ = lazy(__name__, _MODULES)
