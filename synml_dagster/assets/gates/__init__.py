"""What has to hold: the checks that a description asks for, as Dagster runs them, and the rule of promotion on real rows."""

from synml_dagster.assets.gates.answers import build_answers_check
from synml_dagster.assets.gates.challenger import Challenger
from synml_dagster.assets.gates.table import build_table_checks

__all__ = ["Challenger", "build_answers_check", "build_table_checks"]
