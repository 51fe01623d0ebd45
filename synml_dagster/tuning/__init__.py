"""Optuna studies over a learner's parameters, kept on disk so that a sweep that was killed goes on."""

from synml_dagster.tuning.result import SweepResult, TrialRecord
from synml_dagster.tuning.spec import SweepSpec
from synml_dagster.tuning.sweep import TrialOutcome, run_sweep

__all__ = [
    "SweepResult",
    "SweepSpec",
    "TrialOutcome",
    "TrialRecord",
    "run_sweep",
]
