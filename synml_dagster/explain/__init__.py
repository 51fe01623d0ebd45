"""Why a model answers as it does: exact tree SHAP on Spark, its pictures, and the report.

Pictures live in `synml_dagster.explain.figures` (matplotlib), the page in `synml_dagster.explain.report` and the
explainer itself in `synml_dagster.explain.shap` (Numba).
"""

from synml_dagster.explain.columns import explain_columns
from synml_dagster.explain.explanations import Explanations
from synml_dagster.explain.sample import explain

__all__ = ["Explanations", "explain", "explain_columns"]
