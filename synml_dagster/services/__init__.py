"""Columns of answers from HTTP services: models, Azure's AI services, or any other by a description of your own.

A description (`Service`) is data. It is rendered into requests, a window of senders asks them under a policy, limits and a budget,
answers go into a journal as they come, and `call_service` returns the table with a column of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from synml_dagster.lazy import lazy

if TYPE_CHECKING:
    from synml_dagster.services import azure, batches, local, openai, vectors
    from synml_dagster.services.catalogue import service_of
    from synml_dagster.services.columns import Answers, call_service
    from synml_dagster.services.description import (
        Answer,
        Budget,
        Documents,
        Fails,
        Key,
        Limits,
        Part,
        Policy,
        Poll,
        Prices,
        Repair,
        Service,
        Usage,
    )
    from synml_dagster.services.report import Report

__all__ = [
    "Answer",
    "Answers",
    "Budget",
    "Documents",
    "Fails",
    "Key",
    "Limits",
    "Part",
    "Policy",
    "Poll",
    "Prices",
    "Repair",
    "Report",
    "Service",
    "Usage",
    "azure",
    "batches",
    "call_service",
    "local",
    "openai",
    "service_of",
    "vectors",
]

_find = lazy(
    __name__,
    {
        "catalogue": "service_of",
        "columns": "Answers call_service",
        "description": "Answer Budget Documents Fails Key Limits Part Policy Poll Prices Repair Service Usage",
        "report": "Report",
    },
)


def __getattr__(name: str) -> Any:
    return (
        import_module(f"{__name__}.{name}")
        if name in ("azure", "batches", "local", "openai", "vectors")
        else _find(name)
    )
