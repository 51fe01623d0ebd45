"""One function over the rows of a table: by tasks that read its files where they reach them, else by Spark's rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from synml_dagster.files.file_splits import (
    arrow_types,
    bounded_file_splits,
    conform,
    file_split_frame,
    read_file_splits,
    rows_a_batch,
)
from synml_dagster.files.parquet_files import ParquetFiles, files_reachable
from synml_dagster.spark.quoting import quoted

if TYPE_CHECKING:
    import pyarrow
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

    from synml_dagster.files.file_splits import FileSplit

Make = Callable[["pyarrow.RecordBatch"], "pyarrow.RecordBatch"]
"""From a batch of the columns that were asked for to one of the columns of the result, both by place; runs on executors."""

_VALUES_A_TASK = 100_000_000


def map_files(
    spark: SparkSession,
    data: DataFrame | ParquetFiles,
    columns: Sequence[str],
    make: Make,
    schema: StructType,
    *,
    rows_at_once: int | None = None,
) -> DataFrame:
    """Return what `make` makes of the rows of `data`, a DataFrame of `schema`; both ways give the same rows.

    Parameters
    ----------
    data
        Files are read by the tasks themselves where they reach them, past Spark's rows, which costs half as much for a
        narrow table and a twelfth for one of thousands of columns.
    columns
        What `make` gets, in this order.
    make
        Must return as many columns as `schema` has, in its order.
    rows_at_once
        Rows of a batch at most; as many as suit the number of columns by default.
    """
    if not isinstance(data, ParquetFiles):
        return _map_rows(data, columns, make, schema)
    frame = data.dataframe(spark)
    if not files_reachable(spark, data):
        return _map_rows(frame, columns, make, schema)
    splits = bounded_file_splits(spark, data, _VALUES_A_TASK // max(1, len(columns)))
    return map_splits(
        spark, splits, columns, make, schema, absent=arrow_types(frame, columns), rows_at_once=rows_at_once
    )


def map_splits(
    spark: SparkSession,
    splits: Sequence[FileSplit],
    columns: Sequence[str],
    make: Make,
    schema: StructType,
    *,
    absent: Mapping[str, pyarrow.DataType],
    rows_at_once: int | None = None,
    words: Sequence[str] = (),
) -> DataFrame:
    """Return what `make` makes of the rows of file splits.

    Parameters
    ----------
    absent
        The types of columns that some files may lack.
    words
        Columns of text that come as dictionaries.
    """
    from pyspark.sql.pandas.types import to_arrow_schema

    if not splits:
        return spark.createDataFrame([], schema)
    # Connect takes no zone of a session for its own, and answers in UTC.
    expected = to_arrow_schema(schema, timezone=spark.conf.get("spark.sql.session.timeZone", "UTC"))
    task = _SplitTask(
        make,
        tuple(columns),
        dict(absent),
        rows_at_once or rows_a_batch(len(columns)),
        expected.serialize().to_pybytes(),
        tuple(words),
    )
    return file_split_frame(spark, splits).mapInArrow(task, schema)


def _map_rows(frame: DataFrame, columns: Sequence[str], make: Make, schema: StructType) -> DataFrame:
    from pyspark.sql import functions as sf

    # mapInArrow asks for each column by its bare name, which a dot or a backtick breaks.
    chosen = frame.select(*(sf.col(quoted(name)).alias(f"c{i}") for i, name in enumerate(columns)))
    return chosen.mapInArrow(_RowTask(make, tuple(schema.names)), schema)


@dataclass(frozen=True)
class _SplitTask:
    """Reads the file splits that rows (`index`, `share`) name."""

    make: Make
    columns: tuple[str, ...]
    absent: dict[str, pyarrow.DataType]
    rows: int
    schema: bytes
    """The Arrow schema that Spark expects, serialized: files may hold finer timestamps or dictionaries."""
    words: tuple[str, ...]

    def __call__(self, batches: Iterator[pyarrow.RecordBatch]) -> Iterator[pyarrow.RecordBatch]:
        """Yield what is made, in the types that Spark expects."""
        import pyarrow as pa

        schema = pa.ipc.read_schema(pa.py_buffer(self.schema))
        read = list(dict.fromkeys(self.columns))  # a column may be asked for twice, and is read once
        places = [read.index(name) for name in self.columns] if len(read) < len(self.columns) else None
        for batch in read_file_splits(batches, read, self.rows, absent=self.absent, words=self.words):
            rows = batch if places is None else batch.select(places)
            yield conform(self.make(rows).rename_columns(schema.names), schema)


@dataclass(frozen=True)
class _RowTask:
    """Takes Spark's rows."""

    make: Make
    names: tuple[str, ...]

    def __call__(self, batches: Iterator[pyarrow.RecordBatch]) -> Iterator[pyarrow.RecordBatch]:
        """Yield what is made."""
        for batch in batches:
            if batch.num_rows:
                yield self.make(batch).rename_columns(list(self.names))
