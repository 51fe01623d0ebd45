"""Why a model answers as it does: exact tree SHAP on Spark, its pictures, and the report.

Pictures live in `synml_dagster.plots.explanations` (matplotlib), the page in `synml_dagster.report.page` and the
explainer itself in `synml_dagster.explain.tree_shap.explainer` (Numba), which is imported when `TreeExplainer` is first asked for.
"""

from typing import TYPE_CHECKING, Any

from synml_dagster.explain.columns import explain_columns
from synml_dagster.explain.explanations import Explanations
from synml_dagster.explain.sample import explain

if TYPE_CHECKING:
    from synml_dagster.explain.tree_shap.explainer import TreeExplainer

__all__ = ["Explanations", "TreeExplainer", "explain", "explain_columns"]


def __getattr__(name: str) -> Any:
    if name == "TreeExplainer":
        from synml_dagster.explain.tree_shap.explainer import TreeExplainer

        return TreeExplainer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
