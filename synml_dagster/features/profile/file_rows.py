"""Rows of Parquet files as a plan's summaries are told of them: tasks read the files themselves, past Spark's rows.

What `SparkRows` asks of Spark is said once more in Arrow and numpy, equal in every value: moving a column through
Spark's rows costs many times what reading it costs, and grows without measure where there are thousands of columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from synml_dagster.columns import RawInput
from synml_dagster.columns.arrow_values import ARROW_TYPES
from synml_dagster.features.profile.aggregate import S, summarise
from synml_dagster.features.profile.request import Asked, RowFacts
from synml_dagster.features.profile.row_reader import FileColumn, FileValue, RowReader
from synml_dagster.features.spec import Kind
from synml_dagster.features.splitting.split_limits import SplitLimits

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from synml_dagster.files import ParquetFiles
    from synml_dagster.files.file_splits import FileSplit


# A task that fails is run again from its first row.
_MOST_ROWS = 4_000_000


@dataclass(frozen=True)
class FileRows:
    """The rows of files that tasks can open."""

    spark: SparkSession
    files: ParquetFiles
    facts: RowFacts

    def summary(self, asked: Asked, make: Callable[[], S]) -> S:
        """Return the summary of the rows, in one Spark job."""
        from synml_dagster.files.file_splits import file_split_frame

        facts, trained = self.facts, None
        if asked.trained is not None:
            split, label = asked.trained
            trained = split.limits(label.classes)
        values = tuple(FileValue(v.name, _column(v.raw), v.is_word) for v in asked.values)
        reader = row_reader(facts, values, trained)
        return summarise(file_split_frame(self.spark, self._shares), make, reader) if self._shares else make()

    @cached_property
    def _shares(self) -> list[FileSplit]:
        """Footers are read once for both passes."""
        from synml_dagster.files.file_splits import bounded_file_splits

        return bounded_file_splits(self.spark, self.files, _MOST_ROWS)


def row_reader(
    facts: RowFacts, values: tuple[FileValue, ...] = (), trained: SplitLimits | None = None
) -> RowReader:
    """Return what tells rows of files by `facts`, with `values` beside, all of them or those that `trained` trains on."""
    return RowReader(
        hashed=_columns(facts.hashed),
        placed=_columns(facts.placed),
        by_time=facts.by == "time",
        seed=facts.seed,
        label=_column(facts.target),
        weight=_column(facts.weights) if facts.weights else None,
        values=values,
        trained=trained,
        label_missing=facts.target.missing,
        label_marks=facts.target.number_marks,
    )


def can_be_read(files: ParquetFiles, inputs: list[RawInput], declared: dict[str, Kind]) -> bool:
    """Return whether `inputs` are of types that are read here; fractions as words are Spark's to write."""
    return bool(files.paths) and all(
        raw.spark_type in ARROW_TYPES
        and len(raw.path) == 1
        and not (raw.storage == "number" and declared.get(raw.name) == "categorical")
        for raw in inputs
    )


def _columns(inputs: list[RawInput]) -> tuple[FileColumn, ...]:
    return tuple(_column(raw) for raw in inputs)


def _column(raw: RawInput) -> FileColumn:
    return FileColumn(raw.name, raw.spark_type)
