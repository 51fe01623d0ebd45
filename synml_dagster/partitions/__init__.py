"""The parts of a table that are read and scored one by one: by day, by the values of a column, or as they turn up."""

from synml_dagster.partitions.definition import (
    newest,
    newest_read,
    partitioned,
    partitions_definition,
    run_for,
)
from synml_dagster.partitions.rows import rows_of, rows_outside
from synml_dagster.partitions.spec import PartitionsSpec

__all__ = [
    "PartitionsSpec",
    "newest",
    "newest_read",
    "partitioned",
    "partitions_definition",
    "rows_of",
    "rows_outside",
    "run_for",
]
