"""The rows of each partition that a run is for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg

from synml_dagster.partitions import PartitionsSpec, added_keys, rows_of, rows_outside

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

RESULT = "result"
"""Dagster's name of an asset's only output, which a step that has checks as well must name."""


def parts_of(context: dg.AssetExecutionContext, frame: DataFrame, spec: PartitionsSpec) -> dict[str, Any]:
    """Return the rows of each of the run's partitions, and say how many rows no partition will ever read."""
    outside = rows_outside(frame, spec, added_keys(spec, context))
    if outside:
        columns = [repr(axis.column) for axis in spec.axes.values()]
        context.log.warning(
            f"{outside} rows of the source belong to no partition by their column{'s' if columns[1:] else ''} {' and '.join(columns)} and are not read"
        )
    context.add_output_metadata({"rows of no partition": outside}, output_name=RESULT)
    return {key: rows_of(frame, spec, key) for key in context.partition_keys}
