"""The table of the rows that an asset has set aside, beside the asset's own."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import dagster as dg

from synml_dagster.errors import SourceError
from synml_dagster.spark.quoting import quoted
from synml_dagster.tables import Table, open_table, publish_table

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SUFFIX = "_rejected"
"""What the folder is called, behind the asset's own name."""

_MOST_REASONS = 20


def clear_aside(spark: SparkSession, root: str, keep: int) -> Table | None:
    """Let the table say that nothing was set aside, where an earlier run left rows in it; None where there is none."""
    try:
        former = open_table(root)
    except SourceError:
        return None
    if former.rows == 0:
        return former
    return publish_table(former.dataframe(spark).limit(0), root, keep=keep)


def described_aside(spark: SparkSession, asides: dict[str | None, Table | None]) -> dict[str, Any]:
    """Return the metadata: how many rows were set aside, where they are, and how often each reason was given.

    The reason is the last column of each table.
    """
    tables = [table for table in asides.values() if table is not None]
    rows = sum(table.rows for table in tables)
    told: dict[str, Any] = {"rows set aside": rows}
    if tables:
        place = tables[0].path if len(asides) == 1 else tables[0].root.rsplit("/", 1)[0]
        told["rows set aside/path"] = dg.MetadataValue.path(place)
    if rows:
        told["rows set aside/reasons"] = _reasons(spark, [t for t in tables if t.rows])
    return told


def _reasons(spark: SparkSession, tables: list[Table]) -> dg.MarkdownMetadataValue:
    counts: Counter[str] = Counter()
    for table in tables:
        for reason, n in table.dataframe(spark).groupBy(quoted(table.columns[-1])).count().collect():
            counts[str(reason)] += n
    lines = [f"- {count}: {text}" for text, count in counts.most_common(_MOST_REASONS)]
    if len(counts) > _MOST_REASONS:
        lines.append(f"- and {len(counts) - _MOST_REASONS} reasons more")
    return dg.MetadataValue.md("\n".join(lines))
