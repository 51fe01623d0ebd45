"""One function over a table's rows, whichever way they come."""

from __future__ import annotations

import pyarrow as pa
import pytest

from synml_dagster.errors import DataError
from synml_dagster.files.mapping import map_files
from synml_dagster.spark.task_errors import typed_errors
from synml_dagster.tables import publish_table
from synml_dagster.testing import MappingContract

COLUMNS = ["age", "constant.ish", "city", "member", "age"]


def same(batch):
    """As it comes, and the first and the last column are one."""
    assert batch.column(0).equals(batch.column(batch.num_columns - 1))
    return batch


class TestMapFiles(MappingContract):
    def mapped(self, spark, data):
        from pyspark.sql.types import BooleanType, DoubleType, LongType, StringType, StructType

        kinds = [LongType(), DoubleType(), StringType(), BooleanType(), LongType()]
        schema = StructType()
        for i, kind in enumerate(kinds):
            schema = schema.add(f"out.{i}", kind)
        return map_files(spark, data, COLUMNS, same, schema)


def test_files_that_lack_a_column_have_it_missing(spark, tmp_path):
    import pyarrow.parquet as pq

    from synml_dagster.files import ParquetFiles

    pq.write_table(pa.table({"a": [1, 2]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"a": [3], "b": [4.5]}), tmp_path / "2.parquet")
    frame = spark.createDataFrame([], "a long, b double")
    files = ParquetFiles((str(tmp_path / "1.parquet"), str(tmp_path / "2.parquet")), 3, frame.schema.json())
    found = map_files(spark, files, ["b", "a"], lambda batch: batch, frame.select("b", "a").schema)
    assert sorted(map(tuple, found.collect()), key=str) == [(4.5, 3), (None, 1), (None, 2)]


def test_an_error_of_this_package_comes_as_itself(spark, tmp_path):
    def refuse(batch):
        raise DataError("this row cannot be")

    table = publish_table(spark.range(5), str(tmp_path / "t"))
    found = map_files(spark, table.files(), ["id"], refuse, table.dataframe(spark).schema)
    with pytest.raises(DataError, match="this row cannot be"), typed_errors():
        found.collect()
