"""Which rows of a table belong to which partition."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING

from synml_dagster.errors import DataError, did_you_mean
from synml_dagster.partitions.definition import time_windows
from synml_dagster.partitions.spec import PartitionsSpec

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def rows_of(frame: DataFrame, spec: PartitionsSpec, key: str) -> DataFrame:
    """Return the rows of one partition; none of them is no error.

    Raises
    ------
    DataError
        The table has no such column, or it holds no times where partitions are of time.
    """
    if spec.every is not None:
        window = time_windows(spec).time_window_for_partition_key(key)
        return frame.where(_within(frame, spec, window.start, window.end))
    return frame.where(_column(frame, spec).cast("string") == key)


def rows_outside(frame: DataFrame, spec: PartitionsSpec, keys: Sequence[str]) -> int:
    """Return how many rows no partition will ever read: they have no key, a time before the first, or an unknown key.

    `keys` are all of a static or dynamic definition. Reads that one column.
    """
    from pyspark.sql import functions as sf

    if spec.first is not None:
        end = datetime(9999, 1, 1, tzinfo=spec.first.tzinfo)
        if spec.end:
            # Whole partitions alone are read: of weeks and months the days after the last whole one are outside.
            windows, after = (
                time_windows(spec),
                datetime.combine(spec.end, time(), spec.first.tzinfo) + timedelta(days=2),
            )
            end = windows.time_window_for_partition_key(
                windows.get_partition_keys(current_time=after)[-1]
            ).end
        known = _within(frame, spec, spec.first, end)
    else:
        known = _column(frame, spec).cast("string").isin(list(keys))
    row = frame.agg(sf.count_if(~sf.coalesce(known, sf.lit(False)))).first()
    return int(row[0]) if row else 0


def _within(frame: DataFrame, spec: PartitionsSpec, begin: datetime, end: datetime) -> Column:
    """Compare the bare column with constants, so that the reader skips what it can; `end` is the first moment that is out."""
    from pyspark.sql import functions as sf

    column = _column(frame, spec)
    kind = frame.schema[spec.column].dataType.simpleString()
    if kind in ("date", "string") and not spec.hourly:
        days = column if kind == "date" else column.try_cast("date")
        return days.between(sf.lit(begin.date()), sf.lit(end.date() - timedelta(days=1)))
    if kind == "timestamp_ntz":
        # Times without a zone are those of the partitions' clock, which shows an hour of autumn twice.
        first, after = begin.replace(tzinfo=None, fold=0), end.replace(tzinfo=None, fold=0)
        if spec.hourly and begin.fold:
            return sf.lit(False)  # the rows of both are in the first of the two
        if after <= first:
            after = first + timedelta(hours=1)
        low, high = (sf.lit(t.isoformat()).cast("timestamp_ntz") for t in (first, after))
    elif kind == "timestamp":
        # Moments of the partitions' own zone, whatever the session's.
        low, high = (sf.timestamp_micros(sf.lit(int(t.timestamp()) * 1_000_000)) for t in (begin, end))
    else:
        raise DataError(
            f"partitions.column: {spec.column!r} is of type {kind}, and {spec.every} partitions need {'a time' if spec.hourly else 'a date or a time'}. Convert it in the source."
        )
    return (column >= low) & (column < high)


def _column(frame: DataFrame, spec: PartitionsSpec) -> Column:
    from pyspark.sql import functions as sf

    from synml_dagster.spark.quoting import quoted

    if spec.column not in frame.columns:
        raise DataError(
            f"partitions.column: the table has no column {spec.column!r}.{did_you_mean(spec.column, frame.columns)}"
        )
    return sf.col(quoted(spec.column))
