"""What has to hold: the checks that a description asks for, as Dagster runs them, and the rule of promotion on real rows."""

from synml_dagster.assets.gates.answers import build_answers_check
from synml_dagster.assets.gates.challenger import Challenger, Judgement
from synml_dagster.assets.gates.promotion import Promotion
from synml_dagster.assets.gates.table import build_table_checks

__all__ = ["Challenger", "Judgement", "Promotion", "build_answers_check", "build_table_checks"]
