"""The parts of a table that are read and scored one by one: by day, by the values of a column, as they turn up, or by two of these."""

from synml_dagster.partitions.definition import (
    added_keys,
    keys_by_axis,
    may_be_key,
    newest,
    newest_read,
    partitioned,
    partitions_definition,
    run_for,
)
from synml_dagster.partitions.rows import rows_of, rows_outside
from synml_dagster.partitions.spec import DimensionSpec, PartitionsSpec

__all__ = [
    "DimensionSpec",
    "PartitionsSpec",
    "added_keys",
    "keys_by_axis",
    "may_be_key",
    "newest",
    "newest_read",
    "partitioned",
    "partitions_definition",
    "rows_of",
    "rows_outside",
    "run_for",
]
