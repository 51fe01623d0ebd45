"""Sweeps over learner families and their parameters, kept on disk so that one that was killed goes on."""

from synml_dagster.tuning.families import Candidate, Family, Question
from synml_dagster.tuning.ledger import TrialOutcome
from synml_dagster.tuning.result import SweepResult, TrialRecord
from synml_dagster.tuning.spec import SweepSpec
from synml_dagster.tuning.sweep import run_sweep

__all__ = [
    "Candidate",
    "Family",
    "Question",
    "SweepResult",
    "SweepSpec",
    "TrialOutcome",
    "TrialRecord",
    "run_sweep",
]
