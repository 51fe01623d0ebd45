"""What a table format has to hold: tables are replaced whole or not at all, and read back as they were written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from synml_dagster.errors import DataError
from synml_dagster.testing.tables import awkward_table

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession


class TableFormatContract:
    """Inherit from it and define `publish`, `read` and, unless a folder will do, `place`; pytest has a fixture `spark`."""

    def publish(self, frame: DataFrame, place: str) -> Any:
        """Write a DataFrame as the table at `place`, and return something that has its `rows`."""
        raise NotImplementedError

    def read(self, spark: SparkSession, place: str) -> DataFrame:
        """Return the table at `place` as a DataFrame."""
        raise NotImplementedError

    @pytest.fixture
    def place(self, tmp_path: Path) -> str:
        """Where a table may be."""
        return str(tmp_path / "table")

    def test_what_is_written_is_read(self, spark: SparkSession, place: str) -> None:
        """Every row, with its types, its missing values and names that hold a dot; rows are counted."""
        frame = spark.createDataFrame(awkward_table("multiclass"))
        assert self.publish(frame, place).rows == 600
        found = self.read(spark, place)
        assert found.dtypes == frame.dtypes
        assert _sorted(found) == _sorted(frame)

    def test_a_table_is_replaced_whole(self, spark: SparkSession, place: str) -> None:
        """Fewer rows, other columns: nothing of the former table is left in the new one."""
        self.publish(spark.range(500), place)
        assert self.publish(spark.sql("SELECT id, 'x' AS word FROM range(3)"), place).rows == 3
        found = self.read(spark, place)
        assert found.columns == ["id", "word"]
        assert found.count() == 3

    def test_an_empty_table_is_a_table(self, spark: SparkSession, place: str) -> None:
        """It has its columns and no row, also where there were some before."""
        self.publish(spark.range(5), place)
        assert self.publish(spark.range(5).where("id < 0"), place).rows == 0
        found = self.read(spark, place)
        assert (found.columns, found.count()) == (["id"], 0)

    def test_a_write_that_fails_leaves_the_former_table(self, spark: SparkSession, place: str) -> None:
        """Readers see what they saw, and the next write works."""
        self.publish(spark.range(5), place)
        fails = "SELECT IF(id < 90, id, CAST(raise_error('boom') AS bigint)) AS id FROM range(100)"
        with pytest.raises(Exception, match="boom"):
            self.publish(spark.sql(fails), place)
        assert self.read(spark, place).count() == 5
        assert self.publish(spark.range(7), place).rows == 7
        assert self.read(spark, place).count() == 7

    def test_a_table_can_be_made_of_its_own_rows(self, spark: SparkSession, place: str) -> None:
        """What is read while it is replaced is the former table."""
        self.publish(spark.range(8), place)
        assert self.publish(self.read(spark, place).where("id > 4"), place).rows == 3
        assert self.read(spark, place).count() == 3

    def test_a_column_of_no_type_is_refused_by_name(self, spark: SparkSession, place: str) -> None:
        """Before anything is written."""
        with pytest.raises(DataError, match="'nothing'"):
            self.publish(spark.sql("SELECT 1 AS id, NULL AS nothing"), place)


def _sorted(frame: DataFrame) -> list[str]:
    def plain(value: Any) -> Any:
        return "nan" if isinstance(value, float) and np.isnan(value) else value

    return sorted(repr([plain(value) for value in row]) for row in frame.collect())
