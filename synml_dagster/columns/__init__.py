"""Raw columns without a plan: their types, how people write what is in them, and what is missing."""

from synml_dagster.columns.missing import LABEL_MARKS, MISSING_MARKS, is_missing
from synml_dagster.columns.names import UniqueNames, col
from synml_dagster.columns.raw import RawInput

__all__ = ["LABEL_MARKS", "MISSING_MARKS", "RawInput", "UniqueNames", "col", "is_missing"]
