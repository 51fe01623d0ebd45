"""A service as data, and the small parts that it is made of."""

from synml_dagster.services.description.answer import Answer, Fails, Poll, Repair, Usage
from synml_dagster.services.description.bodies import Documents, Part
from synml_dagster.services.description.local_model import LocalModel
from synml_dagster.services.description.policy import Policy
from synml_dagster.services.description.search_index import SearchIndex
from synml_dagster.services.description.service import Service, described
from synml_dagster.services.description.settings import Budget, Key, Limits, Prices, Seconds
from synml_dagster.services.description.template import InputError

__all__ = [
    "Answer",
    "Budget",
    "Documents",
    "Fails",
    "InputError",
    "Key",
    "Limits",
    "LocalModel",
    "Part",
    "Policy",
    "Poll",
    "Prices",
    "Repair",
    "SearchIndex",
    "Seconds",
    "Service",
    "Usage",
    "described",
]
