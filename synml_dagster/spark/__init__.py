"""Spark sessions, and barrier groups: n tasks that meet and work together."""

from synml_dagster.spark.class_archive import make_class_archive
from synml_dagster.spark.session import (
    SparkSettings,
    is_connect,
    is_local,
    open_session,
    ship_code,
    task_slots,
)

__all__ = [
    "SparkSettings",
    "is_connect",
    "is_local",
    "make_class_archive",
    "open_session",
    "ship_code",
    "task_slots",
]
