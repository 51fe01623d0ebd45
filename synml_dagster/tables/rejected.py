"""A result in which some rows have a reason not to be part of the table that it is for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from synml_dagster.errors import ConfigError, did_you_mean
from synml_dagster.spark.quoting import quoted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from synml_dagster.tables.database import Database
    from synml_dagster.tables.task_writes import MadeRows


@dataclass(frozen=True)
class MarkedRows:
    """Rows, of which those with a `reason` are to be set aside.

    Attributes
    ----------
    frame
        The rows of both kinds; those that tasks write by themselves all stay.
    reason
        The column that says why a row is set aside, null where it stays; None where all rows stay.
    columns
        The columns of the rows that stay.
    aside
        The columns of the rows that are set aside, beside the reason.
    into
        The database's table that the rows that stay go to; where the asset's tables go where absent.
    """

    frame: DataFrame | MadeRows
    reason: str | None
    columns: tuple[str, ...]
    aside: tuple[str, ...] = ()
    into: Database | None = None

    def __post_init__(self) -> None:
        there = self.frame.columns  # a frame of thousands of columns takes its time to list them
        known = set(there)
        for name in (*self.columns, *self.aside):
            if name not in known:
                raise ConfigError(f"the marked rows have no column {name!r}.{did_you_mean(name, there)}")

    def good(self, rows: DataFrame) -> DataFrame:
        """Return those of `rows`, which are the frame's, that stay."""
        if self.reason is not None:
            rows = rows.where(f"{quoted(self.reason)} IS NULL")
        return rows.select(*(quoted(name) for name in self.columns))

    def bad(self, rows: DataFrame) -> DataFrame:
        """Return those of `rows`, which are the frame's, that are set aside, the reason last."""
        if self.reason is None:
            return rows.limit(0)
        names = [name for name in self.aside if name != self.reason]
        return rows.where(f"{quoted(self.reason)} IS NOT NULL").select(
            *(quoted(name) for name in names), quoted(self.reason)
        )
