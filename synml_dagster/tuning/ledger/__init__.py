"""What a sweep has asked and been answered, on disk: an Optuna study for each family, shared with sweeps that ask the same."""

from synml_dagster.tuning.ledger.database import check_database, shown, typed
from synml_dagster.tuning.ledger.ledger import BUDGET, Ledger, name_of
from synml_dagster.tuning.ledger.outcome import TrialOutcome
from synml_dagster.tuning.ledger.patience import PATIENCE

__all__ = ["BUDGET", "PATIENCE", "Ledger", "TrialOutcome", "check_database", "name_of", "shown", "typed"]
