"""Gates between the stages: what must hold before a model goes on."""

from synml_dagster.checks.balance import (
    DATA_CHECKS,
    FAIRNESS_CHECKS,
    BalanceCheck,
    BalanceSpec,
    judge_data,
    judge_fairness,
)
from synml_dagster.checks.drift import (
    DRIFTED_IMPORTANCE,
    ColumnDrift,
    Drift,
    DriftSpec,
    check_columns,
    measure_drift,
)
from synml_dagster.checks.live import LiveSpec, decayed, labelled_since
from synml_dagster.checks.promotion import Decision, PromoteSpec, below_baseline, decide
from synml_dagster.checks.rivals import another_question
from synml_dagster.checks.shadow import ShadowLive, ShadowRun, ShadowSpec
from synml_dagster.checks.spec import ChecksSpec
from synml_dagster.checks.unlike_training import unlike_training_in

__all__ = [
    "DATA_CHECKS",
    "DRIFTED_IMPORTANCE",
    "FAIRNESS_CHECKS",
    "BalanceCheck",
    "BalanceSpec",
    "ChecksSpec",
    "ColumnDrift",
    "Decision",
    "Drift",
    "DriftSpec",
    "LiveSpec",
    "PromoteSpec",
    "ShadowLive",
    "ShadowRun",
    "ShadowSpec",
    "another_question",
    "below_baseline",
    "check_columns",
    "decayed",
    "decide",
    "judge_data",
    "judge_fairness",
    "labelled_since",
    "measure_drift",
    "unlike_training_in",
]
