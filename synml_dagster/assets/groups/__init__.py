"""What a pipeline says and does about groups of people: `data_balance`, `fairness`, and weights that balance the training rows."""

from synml_dagster.assets.groups.data_balance import build_data_balance
from synml_dagster.assets.groups.fairness import build_fairness
from synml_dagster.assets.groups.training_weights import (
    check_reweighing,
    reweighed_rows,
    reweighing_of,
    without_balance,
)

__all__ = [
    "build_data_balance",
    "build_fairness",
    "check_reweighing",
    "reweighed_rows",
    "reweighing_of",
    "without_balance",
]
