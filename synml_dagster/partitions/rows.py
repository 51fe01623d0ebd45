"""Which rows of a table belong to which partition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING

from synml_dagster.errors import ConfigError, DataError, did_you_mean
from synml_dagster.partitions.definition import keys_by_axis, time_windows
from synml_dagster.partitions.spec import PartitionsSpec

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_WHOLE = frozenset({"tinyint", "smallint", "int", "bigint"})
_LARGEST = 2**63


def rows_of(frame: DataFrame, spec: PartitionsSpec, key: str) -> DataFrame:
    """Return the rows of one partition, of two dimensions those of both keys; none of them is no error.

    Raises
    ------
    DataError
        The table has no such column, or it holds no times where partitions are of time.
    """
    keys = keys_by_axis(spec, key)
    return frame.where(reduce(and_, (_of_key(frame, spec, name, keys[name]) for name in spec.axes)))


def rows_outside(
    frame: DataFrame, spec: PartitionsSpec, added: Mapping[str, Sequence[str]] | None = None
) -> int:
    """Return how many rows no partition will ever read: they have no key, a time before the first, or an unknown key.

    `added` are the keys of each of the dynamic partitions, by their name. Reads the columns of the partitions alone.
    """
    from pyspark.sql import functions as sf

    known = reduce(
        and_,
        (sf.coalesce(_of_any(frame, spec, name, added or {}), sf.lit(False)) for name in spec.axes),
    )
    row = frame.agg(sf.count_if(~known)).first()
    return int(row[0]) if row else 0


def _of_key(frame: DataFrame, spec: PartitionsSpec, name: str, key: str) -> Column:
    """Whether rows belong to the key of one of the axes."""
    from pyspark.sql import functions as sf

    axis = spec.axes[name]
    if axis.every is not None:
        window = time_windows(axis).time_window_for_partition_key(key)
        return _within(frame, spec, name, window.start, window.end)
    column, kind = _column(frame, spec, name)
    # The reader skips what it can by a column of whole numbers, and nothing by such numbers made text.
    if kind in _WHOLE and _is_whole(key):
        return column == sf.lit(int(key))
    return column.cast("string") == key


def _of_any(frame: DataFrame, spec: PartitionsSpec, name: str, added: Mapping[str, Sequence[str]]) -> Column:
    """Whether rows belong to any key that one of the axes has, or will ever have."""
    axis = spec.axes[name]
    if axis.first is None:
        column, _ = _column(frame, spec, name)
        keys = axis.static if axis.static else added[str(axis.dynamic)]
        return column.cast("string").isin(list(keys))
    end = datetime(9999, 1, 1, tzinfo=axis.first.tzinfo)
    if axis.end:
        # Whole partitions alone are read: of weeks and months the days after the last whole one are outside.
        windows, after = (
            time_windows(axis),
            datetime.combine(axis.end, time(), axis.first.tzinfo) + timedelta(days=2),
        )
        end = windows.time_window_for_partition_key(windows.get_partition_keys(current_time=after)[-1]).end
    return _within(frame, spec, name, axis.first, end)


def _within(frame: DataFrame, spec: PartitionsSpec, name: str, begin: datetime, end: datetime) -> Column:
    """Compare the bare column with constants, so that the reader skips what it can; `end` is the first moment that is out."""
    from pyspark.sql import functions as sf

    axis = spec.axes[name]
    column, kind = _column(frame, spec, name)
    if kind in ("date", "string") and not axis.hourly:
        days = column if kind == "date" else column.try_cast("date")
        return days.between(sf.lit(begin.date()), sf.lit(end.date() - timedelta(days=1)))
    if kind == "timestamp_ntz":
        # Times without a zone are those of the partitions' clock, which shows an hour of autumn twice.
        first, after = begin.replace(tzinfo=None, fold=0), end.replace(tzinfo=None, fold=0)
        if axis.hourly and begin.fold:
            return sf.lit(False)  # the rows of both are in the first of the two
        if after <= first:
            after = first + timedelta(hours=1)
        low, high = (sf.lit(t.isoformat()).cast("timestamp_ntz") for t in (first, after))
    elif kind == "timestamp":
        # Moments of the partitions' own zone, whatever the session's.
        low, high = (sf.timestamp_micros(sf.lit(int(t.timestamp()) * 1_000_000)) for t in (begin, end))
    else:
        raise DataError(
            f"{_said(name)}: {axis.column!r} is of type {kind}, and {axis.every} partitions need {'a time' if axis.hourly else 'a date or a time'}. Convert it in the source."
        )
    return (column >= low) & (column < high)


def _column(frame: DataFrame, spec: PartitionsSpec, name: str) -> tuple[Column, str]:
    """Return the column of one of the axes, and its type."""
    from pyspark.sql import functions as sf

    from synml_dagster.spark.quoting import quoted

    column = spec.axes[name].column
    if column is None:
        raise ConfigError(f"{_said(name)} is needed: rows of several partitions lie in one place")
    if column not in frame.columns:
        raise DataError(
            f"{_said(name)}: the table has no column {column!r}.{did_you_mean(column, frame.columns)}"
        )
    return sf.col(quoted(column)), frame.schema[column].dataType.simpleString()


def _said(name: str) -> str:
    return f"partitions.dimensions.{name}.column" if name else "partitions.column"


def _is_whole(key: str) -> bool:
    """Whether a whole number is written so, and not only read so: `007` is no text of a number."""
    digits = key.removeprefix("-")
    return digits.isdecimal() and digits.isascii() and str(int(key)) == key and abs(int(key)) < _LARGEST
