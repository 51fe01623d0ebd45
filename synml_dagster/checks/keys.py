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

    for name in columns:
        if name not in table.columns:
            raise DataError(
                f"checks.duplicates: the table has no column {name!r}.{did_you_mean(name, table.columns)}"
            )
    twice = _repeated(table, columns)
    row = twice.agg(sf.count(sf.lit(1)).alias("keys"), sf.sum("n").alias("rows")).first()
    if row is None or not row["keys"]:
        return 0, 0, []
    return int(row["keys"]), int(row["rows"]), _worst(twice)


def repeated_keys(table: DataFrame, columns: Sequence[str]) -> list[str]:
    """Return the worst of the keys that stand on several rows, with their rows; empty where each key tells a row."""
    return _worst(_repeated(table, columns))


def _repeated(table: DataFrame, columns: Sequence[str]) -> DataFrame:
    """The keys that stand on several rows, as k0, k1, ..., and `n`, how many."""
    from pyspark.sql import functions as sf

    from synml_dagster.spark.quoting import quoted

    keys = [sf.col(quoted(c)).alias(f"k{i}") for i, c in enumerate(columns)]
    return table.groupBy(*keys).agg(sf.count(sf.lit(1)).alias("n")).where("n > 1")


def _worst(twice: DataFrame) -> list[str]:
    from pyspark.sql import functions as sf

    ordered = twice.orderBy(sf.desc("n"), *twice.columns[:-1]).limit(_EXAMPLES)
    return [f"{', '.join(str(v) for v in row[:-1])} ({row[-1]} rows)" for row in ordered.collect()]


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
