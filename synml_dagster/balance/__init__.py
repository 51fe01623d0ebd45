"""Data balance and fairness: how rows, classes and a model's answers are spread over groups of people.

One grouped count by Spark per question, whatever the number of sensitive columns; every figure follows from the counts
in closed form.
"""

from synml_dagster.balance.association import MEASURES as ASSOCIATION_MEASURES
from synml_dagster.balance.association import NOTES as ASSOCIATION_NOTES
from synml_dagster.balance.counts import CellCounts, check_sensitive, count_cells
from synml_dagster.balance.data import data_balance
from synml_dagster.balance.disparities import MEASURES as DISPARITIES
from synml_dagster.balance.distribution import (
    DISTRIBUTION_MEASURES,
    DISTRIBUTION_NOTES,
    distribution_distance,
)
from synml_dagster.balance.fairness import prediction_fairness
from synml_dagster.balance.intervals import wilson
from synml_dagster.balance.result import DataBalance, Fairness, Rate
from synml_dagster.balance.reweighing import Reweighing, learn_reweighing, reweighed, reweighing
from synml_dagster.balance.slices import ErrorSlices, Slice, worst_slices

__all__ = [
    "ASSOCIATION_MEASURES",
    "ASSOCIATION_NOTES",
    "DISPARITIES",
    "DISTRIBUTION_MEASURES",
    "DISTRIBUTION_NOTES",
    "CellCounts",
    "DataBalance",
    "ErrorSlices",
    "Fairness",
    "Rate",
    "Reweighing",
    "Slice",
    "check_sensitive",
    "count_cells",
    "data_balance",
    "distribution_distance",
    "learn_reweighing",
    "prediction_fairness",
    "reweighed",
    "reweighing",
    "wilson",
    "worst_slices",
]
