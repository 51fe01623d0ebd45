"""What a table format has to hold: tables are replaced whole or not at all, and read back as they were written."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from synml_dagster.errors import ConfigError, DataError
from synml_dagster.spark.quoting import quoted
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

    grows = False
    """Whether rows may have a further column, which is then missing in those of earlier runs; else they are refused."""

    def append(self, frame: DataFrame, place: str, run: str, partition: str | None = None) -> Any:
        """Make a DataFrame the rows of one run, in one partition of the table at `place` where it has any, and return something that has its `rows`."""
        raise NotImplementedError

    def read(self, spark: SparkSession, place: str) -> DataFrame:
        """Return the rows of all runs, with the column `run_id`, and `partition` where there are any."""
        raise NotImplementedError

    @pytest.fixture
    def place(self, tmp_path: Path) -> str:
        """Where a table may be."""
        return str(tmp_path / "table")

    def counts(self, spark: SparkSession, place: str, *more: str) -> dict[Any, int]:
        """Return how many rows each run has, or each run and its values of `more`."""
        found = self.read(spark, place).groupBy("run_id", *more).count().collect()
        return {tuple(row[:-1]) if more else row[0]: row[-1] for row in found}

    def glimpse(self, spark: SparkSession, place: str) -> dict[str, int]:
        """Return how many rows each run has for one who reads while others write, from a thread of its own."""
        return self.counts(spark, place)

    def test_rows_of_runs_stand_beside_each_other(self, spark: SparkSession, place: str) -> None:
        """With their types, and the run that each row is of; a run without rows leaves none and loses none."""
        frame = spark.createDataFrame(awkward_table("multiclass"))
        assert self.append(frame, place, "a").rows == 600
        assert self.append(frame.limit(7), place, "b").rows == 7
        assert self.append(frame.limit(0), place, "c").rows == 0
        found = self.read(spark, place)
        assert self.counts(spark, place) == {"a": 600, "b": 7}
        assert sorted(found.drop("run_id").dtypes) == sorted(frame.dtypes)
        own = found.where("run_id = 'a'").select(*(quoted(name) for name in frame.columns))
        assert _sorted(own) == _sorted(frame)

    def test_a_run_that_comes_again_replaces_its_own_rows(self, spark: SparkSession, place: str) -> None:
        """They are not doubled, and those of others stay, also where it has none now; a write that fails leaves both as they were."""
        names = ("a", "it's / b")
        for run, rows in zip(names, (5, 9), strict=True):
            self.append(spark.range(rows), place, run)
        self.append(spark.range(4), place, "a")
        assert self.counts(spark, place) == {names[0]: 4, names[1]: 9}
        fails = "SELECT IF(id < 90, id, CAST(raise_error('boom') AS bigint)) AS id FROM range(100)"
        for run in ("a", "c"):
            with pytest.raises(Exception, match=r"boom|TASK_WRITE_FAILED"):
                self.append(spark.sql(fails), place, run)
        assert self.counts(spark, place) == {names[0]: 4, names[1]: 9}
        assert self.append(spark.range(0), place, "a").rows == 0
        assert self.counts(spark, place) == {names[1]: 9}

    def test_runs_of_partitions_replace_their_rows_of_these_alone(
        self, spark: SparkSession, place: str
    ) -> None:
        """Rows are of a run and a partition: a run that comes again for one day leaves its other days and all other runs."""
        for run, day, rows in (("a", "mon", 3), ("a", "tue", 4), ("b", "mon", 5), ("a", "mon", 2)):
            assert self.append(spark.range(rows), place, run, day).rows == rows
        expected = {("a", "mon"): 2, ("a", "tue"): 4, ("b", "mon"): 5}
        assert self.counts(spark, place, "partition") == expected

    def test_what_cannot_stand_beside_earlier_rows_is_refused_by_name(
        self, spark: SparkSession, place: str
    ) -> None:
        """Before anything is written: a column of another type or of a name that differs by its case, and one that is called as that of the run."""
        self.append(spark.range(5), place, "a")
        with pytest.raises(DataError, match="'id' is string"):
            self.append(spark.sql("SELECT 'x' AS id"), place, "b")
        with pytest.raises(DataError, match="'id' is double"):
            self.append(spark.sql("SELECT 1.5D AS id"), place, "b")
        with pytest.raises(DataError, match="'Run_ID'"):
            self.append(spark.sql("SELECT 1L AS id, 'x' AS Run_ID"), place, "b")
        with pytest.raises((DataError, ConfigError), match=r"'ID'.*'id'"):
            self.append(spark.sql("SELECT 1L AS ID"), place, "b")
        more = spark.sql("SELECT 1L AS id, 'x' AS more")
        if self.grows:
            self.append(more, place, "b")
            assert sorted(self.read(spark, place).columns) == ["id", "more", "run_id"]
        else:
            with pytest.raises(ConfigError, match="has no column 'more'"):
                self.append(more, place, "b")
            assert self.counts(spark, place) == {"a": 5}

    def test_a_column_that_is_left_out_is_missing_in_the_rows_of_that_run(
        self, spark: SparkSession, place: str
    ) -> None:
        """In no others, and whichever order the columns come in."""
        self.append(spark.sql("SELECT id, 'x' AS word FROM range(2)"), place, "a")
        self.append(spark.range(3), place, "b")
        self.append(spark.sql("SELECT 'y' AS word, 7L AS id"), place, "c")
        found = self.read(spark, place).groupBy("run_id", "word").agg({"id": "sum"}).collect()
        assert {tuple(row) for row in found} == {("a", "x", 1), ("b", None, 3), ("c", "y", 7)}

    def test_runs_that_begin_and_end_at_once_lose_no_rows(self, spark: SparkSession, place: str) -> None:
        """Those that find no table, and those that find one."""
        for runs in (("a", "b", "c"), ("d", "e", "f")):
            with ThreadPoolExecutor(3) as pool:
                list(pool.map(lambda run: self.append(spark.range(ord(run)), place, run), runs))
        assert self.counts(spark, place) == {run: ord(run) for run in "abcdef"}

    def test_who_reads_meanwhile_sees_whole_runs(self, spark: SparkSession, place: str) -> None:
        """Of a run that is new and of one that comes again: its former rows or its new ones."""
        self.append(spark.range(40), place, "a")
        states, seen, wrong, over = [{"a": 40}], list[dict[str, int]](), list[BaseException](), Event()

        def look() -> None:
            while not over.is_set():
                try:
                    seen.append(self.glimpse(spark, place))
                except BaseException as problem:
                    wrong.append(problem)
                    return

        reader = Thread(target=look)
        reader.start()
        try:
            for run, count in (("b", 90), ("a", 70), ("b", 30)):
                self.append(spark.range(0, count, 1, 4), place, run)
                states.append(states[-1] | {run: count})
        finally:
            over.set()
            reader.join(60)
        assert not wrong, wrong[0]
        assert seen
        assert [state for state in seen if state not in states] == []
        assert self.counts(spark, place) == states[-1]


def _sorted(frame: DataFrame) -> list[str]:
    def plain(value: Any) -> Any:
        return "nan" if isinstance(value, float) and np.isnan(value) else value

    return sorted(repr([plain(value) for value in row]) for row in frame.collect())
