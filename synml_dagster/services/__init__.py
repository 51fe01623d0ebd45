"""Columns of answers from HTTP services: models, Azure's AI services, or any other by a description of your own.

A description (`Service`) is data. It is rendered into requests, a window of senders asks them under a policy, limits and a budget,
answers go into a journal as they come, and `call_service` returns the table with a column of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from synml_dagster.lazy import lazy

if TYPE_CHECKING:
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
    "call_service",
]

__getattr__ = lazy(
    __name__,
    {
        "columns": "Answers call_service",
        "description": "Answer Budget Documents Fails Key Limits Part Policy Poll Prices Repair Service Usage",
        "report": "Report",
    },
)
