"""A service as data, and the small parts that it is made of."""

from synml_dagster.services.description.policy import Policy
from synml_dagster.services.description.service import (
    Answer,
    Documents,
    Fails,
    LocalModel,
    Part,
    Poll,
    Repair,
    Service,
    Usage,
    described,
)
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
    "Seconds",
    "Service",
    "Usage",
    "described",
]
