"""Spark sessions, tables, shares of a table's files, and the gang: n barrier ranks that meet and work."""

from synml_dagster.spark.session import (
    SparkSettings,
    is_connect,
    is_local,
    open_session,
    ship_code,
    task_slots,
)

__all__ = ["SparkSettings", "is_connect", "is_local", "open_session", "ship_code", "task_slots"]
