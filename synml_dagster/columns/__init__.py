"""Raw columns without a plan: what is missing in them, and how people write it."""

from synml_dagster.columns.missing import LABEL_MARKS, MISSING_MARKS, is_missing

__all__ = ["LABEL_MARKS", "MISSING_MARKS", "is_missing"]
