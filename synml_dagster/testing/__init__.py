"""Contracts: what a part of one's own has to hold, as test classes to inherit from. Needs pytest.

Examples
--------
>>> from synml_dagster.testing import LearnerContract
>>> class TestMyFamily(LearnerContract):
...     learner = "lightgbm"
"""

from synml_dagster.testing.explainer import ExplainerContract
from synml_dagster.testing.learner import LearnerContract
from synml_dagster.testing.mapping import MappingContract
from synml_dagster.testing.table_format import AppendedTableContract, TableFormatContract

__all__ = [
    "AppendedTableContract",
    "ExplainerContract",
    "LearnerContract",
    "MappingContract",
    "TableFormatContract",
]
