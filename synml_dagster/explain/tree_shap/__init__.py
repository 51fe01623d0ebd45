"""Exact SHAP values of trees."""
