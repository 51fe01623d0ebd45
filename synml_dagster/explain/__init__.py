"""Why a model answers as it does: exact SHAP values on Spark, and Kernel SHAP and LIME for any model.

Pictures live in `synml_dagster.plots.explanations` (matplotlib), the page in `synml_dagster.report.page` and the
explainer itself in `synml_dagster.explain.tree_shap.explainer` (Numba), which is imported when `TreeExplainer` is first asked for.
"""

from typing import TYPE_CHECKING

from synml_dagster.explain.columns import explain_columns
from synml_dagster.explain.explanations import Explanations
from synml_dagster.explain.sample import explain
from synml_dagster.lazy import lazy

if TYPE_CHECKING:
    from synml_dagster.explain.agnostic.attributions import Attributions
    from synml_dagster.explain.agnostic.background import Background
    from synml_dagster.explain.agnostic.on_spark import explain_with
    from synml_dagster.explain.agnostic.result import AttributedRows
    from synml_dagster.explain.agnostic.rows import explain_rows
    from synml_dagster.explain.base import Explainer, explainer_for, is_explained_exactly
    from synml_dagster.explain.chosen import check_chosen, explain_chosen
    from synml_dagster.explain.contributions import Contributions, contributions_of, explain_predictions
    from synml_dagster.explain.kernel import KernelExplainer
    from synml_dagster.explain.stability import StableImportance, importance_stability
    from synml_dagster.explain.tree_shap.explainer import TreeExplainer

_MODULES = {
    "agnostic.attributions": "Attributions",
    "agnostic.background": "Background",
    "agnostic.on_spark": "explain_with",
    "agnostic.result": "AttributedRows",
    "agnostic.rows": "explain_rows",
    "chosen": "check_chosen explain_chosen",
    "stability": "StableImportance importance_stability",
    "base": "Explainer explainer_for is_explained_exactly",
    "contributions": "Contributions contributions_of explain_predictions",
    "kernel": "KernelExplainer",
    "tree_shap.explainer": "TreeExplainer",
}

__all__ = [
    "AttributedRows",
    "Attributions",
    "Background",
    "Contributions",
    "Explainer",
    "Explanations",
    "KernelExplainer",
    "StableImportance",
    "TreeExplainer",
    "check_chosen",
    "contributions_of",
    "explain",
    "explain_chosen",
    "explain_columns",
    "explain_predictions",
    "explain_rows",
    "explain_with",
    "explainer_for",
    "importance_stability",
    "is_explained_exactly",
]

__getattr__ = lazy(__name__, _MODULES)
