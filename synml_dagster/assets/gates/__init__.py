"""The checks that a description asks for by `checks`, as Dagster runs them."""

from synml_dagster.assets.gates.answers import build_answers_check
from synml_dagster.assets.gates.table import build_table_checks

__all__ = ["build_answers_check", "build_table_checks"]
