"""Gates between the stages: what must hold before a model goes on."""

from synml_dagster.checks.balance import (
    DATA_CHECKS,
    FAIRNESS_CHECKS,
    BalanceCheck,
    BalanceSpec,
    judge_data,
    judge_fairness,
)
from synml_dagster.checks.drift import ColumnDrift, Drift, DriftSpec, check_columns, measure_drift
from synml_dagster.checks.promotion import Decision, PromoteSpec, below_baseline, decide
from synml_dagster.checks.rivals import another_question

__all__ = [
    "DATA_CHECKS",
    "FAIRNESS_CHECKS",
    "BalanceCheck",
    "BalanceSpec",
    "ColumnDrift",
    "Decision",
    "Drift",
    "DriftSpec",
    "PromoteSpec",
    "another_question",
    "below_baseline",
    "check_columns",
    "decide",
    "judge_data",
    "judge_fairness",
    "measure_drift",
]
