"""Rows by files equal rows by Spark: what work over a table's files has to hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from synml_dagster.files import ParquetFiles
from synml_dagster.tables import publish_table
from synml_dagster.testing.tables import awkward_table

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession


class MappingContract:
    """Inherit from it and define `mapped`; pytest has a fixture `spark`, a session of any kind."""

    def mapped(self, spark: SparkSession, data: DataFrame | ParquetFiles) -> DataFrame:
        """Return the work's result over `data`, a DataFrame or `ParquetFiles` of `awkward_table`, as a DataFrame."""
        raise NotImplementedError

    @pytest.fixture
    def files(self, spark: SparkSession, tmp_path: Path) -> ParquetFiles:
        """A table in several files of several row groups."""
        frame = spark.createDataFrame(awkward_table("regression", rows=2_000)).repartition(3)
        return publish_table(frame, str(tmp_path / "table")).files()

    def test_both_ways_give_the_same_rows(self, spark: SparkSession, files: ParquetFiles) -> None:
        """Whatever the order, the same values of the same types."""
        by_files, by_rows = (self.mapped(spark, data) for data in (files, files.dataframe(spark)))
        assert by_files.schema == by_rows.schema
        ours, theirs = (_sorted(frame) for frame in (by_files, by_rows))
        assert ours == theirs
        assert ours

    def test_no_files_are_no_rows(self, spark: SparkSession, files: ParquetFiles) -> None:
        """An empty table has the columns of a full one."""
        nothing = ParquetFiles((), 0, files.dataframe(spark).schema.json())
        found = self.mapped(spark, nothing)
        assert found.schema.names == self.mapped(spark, files).schema.names
        assert found.count() == 0


def _sorted(frame: DataFrame) -> list[str]:
    return sorted(repr([_plain(value) for value in row]) for row in frame.collect())


def _plain(value: Any) -> Any:
    return "nan" if isinstance(value, float) and np.isnan(value) else value
