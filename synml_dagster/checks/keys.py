"""Rows that share a key, and how old the newest row is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from synml_dagster.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_EXAMPLES = 5


def duplicates(table: DataFrame, columns: Sequence[str]) -> tuple[int, int, list[str]]:
    """Return how many keys stand on several rows, how many rows those are, and the worst keys with their rows.

    Reads the key's columns alone. A key that is missing is one value like any other.

    Raises
    ------
    DataError
        The table lacks a column.
    """
    from pyspark.sql import functions as sf

    from synml_dagster.spark.quoting import quoted

    for name in columns:
        if name not in table.columns:
            raise DataError(
                f"checks.duplicates: the table has no column {name!r}.{did_you_mean(name, table.columns)}"
            )
    keys = [sf.col(quoted(c)).alias(f"k{i}") for i, c in enumerate(columns)]
    twice = table.groupBy(*keys).agg(sf.count(sf.lit(1)).alias("n")).where("n > 1")
    row = twice.agg(sf.count(sf.lit(1)).alias("keys"), sf.sum("n").alias("rows")).first()
    if row is None or not row["keys"]:
        return 0, 0, []
    worst = twice.orderBy(sf.desc("n"), *(sf.col(f"k{i}") for i in range(len(columns)))).limit(_EXAMPLES)
    examples = [f"{', '.join(str(v) for v in one[:-1])} ({one[-1]} rows)" for one in worst.collect()]
    return int(row["keys"]), int(row["rows"]), examples


def hours_old(newest: date | datetime, now: datetime) -> float:
    """Return the hours from a value to `now`; a date counts as its end, a time without a zone as UTC.

    Examples
    --------
    >>> hours_old(date(2026, 1, 1), datetime(2026, 1, 2, 6, tzinfo=UTC))
    6.0
    """
    if not isinstance(newest, datetime):
        newest = datetime.combine(newest, time(), UTC) + timedelta(days=1)
    elif newest.tzinfo is None:
        newest = newest.replace(tzinfo=UTC)
    return (now - newest).total_seconds() / 3600
