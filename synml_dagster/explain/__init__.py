"""Why a model answers as it does: exact tree SHAP on Spark, its pictures, and the report."""
