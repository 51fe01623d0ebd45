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


class AppendedTableContract:
    """What tables to which runs append have to hold. Inherit from it and define `append`, `read` and, unless a folder will do, `place`."""

    def append(self, frame: DataFrame, place: str, run: str) -> Any:
        """Make a DataFrame the rows of one run in the table at `place`, and return something that has its `rows`."""
        raise NotImplementedError

    def read(self, spark: SparkSession, place: str) -> DataFrame:
        """Return the rows of all runs, with the column `run_id`."""
        raise NotImplementedError

    @pytest.fixture
    def place(self, tmp_path: Path) -> str:
        """Where a table may be."""
        return str(tmp_path / "table")

    def counts(self, spark: SparkSession, place: str) -> dict[str, int]:
        """Return how many rows each run has."""
        return {row[0]: row[1] for row in self.read(spark, place).groupBy("run_id").count().collect()}

    def test_rows_of_runs_stand_beside_each_other(self, spark: SparkSession, place: str) -> None:
        """With their types, and the run that each row is of; a run without rows leaves none and loses none."""
        frame = spark.createDataFrame(awkward_table("multiclass"))
        assert self.append(frame, place, "a").rows == 600
        assert self.append(frame.limit(7), place, "b").rows == 7
        assert self.append(frame.limit(0), place, "c").rows == 0
        found = self.read(spark, place)
        assert self.counts(spark, place) == {"a": 600, "b": 7}
        assert found.drop("run_id").dtypes == frame.dtypes
        assert _sorted(found.where("run_id = 'a'").drop("run_id")) == _sorted(frame)

    def test_a_run_that_comes_again_replaces_its_own_rows(self, spark: SparkSession, place: str) -> None:
        """They are not doubled, and those of others stay; a write that fails leaves both as they were."""
        self.append(spark.range(5), place, "a")
        self.append(spark.range(9), place, "b")
        self.append(spark.range(4), place, "a")
        assert self.counts(spark, place) == {"a": 4, "b": 9}
        fails = "SELECT IF(id < 90, id, CAST(raise_error('boom') AS bigint)) AS id FROM range(100)"
        for run in ("a", "c"):
            with pytest.raises(Exception, match="boom"):
                self.append(spark.sql(fails), place, run)
        assert self.counts(spark, place) == {"a": 4, "b": 9}

    def test_what_cannot_stand_beside_earlier_rows_is_refused_by_name(
        self, spark: SparkSession, place: str
    ) -> None:
        """Before anything is written: a column of another type, and one that is called as that of the run."""
        self.append(spark.range(5), place, "a")
        with pytest.raises(DataError, match="'id' is string"):
            self.append(spark.sql("SELECT 'x' AS id"), place, "b")
        with pytest.raises(DataError, match="'Run_ID'"):
            self.append(spark.sql("SELECT 1L AS id, 'x' AS Run_ID"), place, "b")
        self.append(spark.sql("SELECT 1L AS id, 'x' AS more"), place, "b")
        assert sorted(self.read(spark, place).columns) == ["id", "more", "run_id"]


def _sorted(frame: DataFrame) -> list[str]:
    def plain(value: Any) -> Any:
        return "nan" if isinstance(value, float) and np.isnan(value) else value

    return sorted(repr([plain(value) for value in row]) for row in frame.collect())
