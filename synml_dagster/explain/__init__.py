"""Why a model answers as it does: exact SHAP values on Spark.

Pictures live in `synml_dagster.plots.explanations` (matplotlib), the page in `synml_dagster.report.page` and the
explainer itself in `synml_dagster.explain.tree_shap.explainer` (Numba), which is imported when `TreeExplainer` is first asked for.
"""

from typing import TYPE_CHECKING

from synml_dagster.explain.columns import explain_columns
from synml_dagster.explain.explanations import Explanations
from synml_dagster.explain.sample import explain
from synml_dagster.lazy import lazy

if TYPE_CHECKING:
    from synml_dagster.explain.tree_shap.explainer import TreeExplainer

__all__ = ["Explanations", "TreeExplainer", "explain", "explain_columns"]

__getattr__ = lazy(__name__, {"tree_shap.explainer": "TreeExplainer"})
