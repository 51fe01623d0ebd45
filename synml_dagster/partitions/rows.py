"""Which rows of a table belong to which partition."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from synml_dagster.errors import DataError, did_you_mean
from synml_dagster.partitions.spec import PartitionsSpec

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def rows_of(frame: DataFrame, spec: PartitionsSpec, key: str) -> DataFrame:
    """Return the rows of one partition; none of them is no error.

    Raises
    ------
    DataError
        The table has no such column, or it holds no days where days are the partitions.
    """
    if spec.daily:
        day = date.fromisoformat(key)
        return frame.where(_on_days(frame, spec, day, day))
    return frame.where(_column(frame, spec).cast("string") == key)


def rows_outside(frame: DataFrame, spec: PartitionsSpec, keys: Sequence[str]) -> int:
    """Return how many rows no partition will ever read: they have no key, a day before the first, or an unknown key.

    `keys` are all of a static or dynamic definition. Reads that one column.
    """
    from pyspark.sql import functions as sf

    if spec.daily:
        known = _on_days(frame, spec, spec.daily, spec.end or date(9998, 12, 31))
    else:
        known = _column(frame, spec).cast("string").isin(list(keys))
    row = frame.agg(sf.count_if(~sf.coalesce(known, sf.lit(False)))).first()
    return int(row[0]) if row else 0


def _on_days(frame: DataFrame, spec: PartitionsSpec, first: date, last: date) -> Column:
    """Compare the bare column with constants, so that the reader skips what it can."""
    from pyspark.sql import functions as sf

    column = _column(frame, spec)
    kind = frame.schema[spec.column].dataType.simpleString()
    if kind in ("date", "string"):
        days = column if kind == "date" else column.try_cast("date")
        return days.between(sf.lit(first), sf.lit(last))
    if kind == "timestamp_ntz":
        begin, end = (sf.lit(d.isoformat()).cast("timestamp_ntz") for d in (first, last + timedelta(days=1)))
    elif kind == "timestamp":
        # Midnights of the partitions' own zone, whatever the session's.
        zone = ZoneInfo(spec.timezone)
        begin, end = (
            sf.timestamp_micros(sf.lit(int(datetime.combine(d, time(), zone).timestamp()) * 1_000_000))
            for d in (first, last + timedelta(days=1))
        )
    else:
        raise DataError(
            f"partitions.column: {spec.column!r} is of type {kind}, and daily partitions need a date or a time. Convert it in the source."
        )
    return (column >= begin) & (column < end)


def _column(frame: DataFrame, spec: PartitionsSpec) -> Column:
    from pyspark.sql import functions as sf

    from synml_dagster.spark.quoting import quoted

    if spec.column not in frame.columns:
        raise DataError(
            f"partitions.column: the table has no column {spec.column!r}.{did_you_mean(spec.column, frame.columns)}"
        )
    return sf.col(quoted(spec.column))
