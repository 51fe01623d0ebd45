"""The Parquet files of a source that are its table as it is, so that a snapshot of it is a copy of its files."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from synml_dagster.errors import SourceError
from synml_dagster.files import ParquetFiles, files_reachable
from synml_dagster.files.filesystems import normal_path
from synml_dagster.files.parquet_files import in_old_calendar, open_parquet
from synml_dagster.sources.source import Source

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

_MOST_FILES = 2000


def source_files(spark: SparkSession, source: Source, frame: DataFrame) -> ParquetFiles | None:
    """Return the files that `frame`, opened from `source`, is read from, where they are all there is to it; else None.

    They are where the source is plain Parquet without options, its files all have the very columns and types that
    Spark has read of them, none is kept in folder names, and tasks can open them by themselves. What Spark reads
    another way than it is written (nanoseconds, unsigned numbers, dictionaries of pandas, dates of the old calendar)
    is left to Spark.
    """
    from pyspark.errors import PySparkTypeError

    if source.resolved_format() != "parquet" or source.options:
        return None
    paths = sorted({_path(uri) for uri in frame.inputFiles()})
    if not 0 < len(paths) <= _MOST_FILES or _keeps_columns_in_names(str(source.path), paths):
        return None
    found = ParquetFiles(tuple(paths), schema_json=frame.schema.json())
    try:
        expected = _expected(frame)
        with ThreadPoolExecutor(max_workers=8) as pool:
            files = list(pool.map(open_parquet, paths))
    except (PySparkTypeError, SourceError):  # a type that Arrow has no word for
        return None
    if any(in_old_calendar(file.metadata) or not _alike(file.schema_arrow, expected) for file in files):
        return None
    if not files_reachable(spark, found):
        return None
    return ParquetFiles(found.paths, sum(file.metadata.num_rows for file in files), found.schema_json)


def _path(uri: str) -> str:
    """Spark names a file by a URI, in which a blank is `%20`."""
    parts = urlparse(uri)
    return unquote(parts.path) if parts.scheme in ("", "file") else unquote(uri)


def _keeps_columns_in_names(root: str, paths: list[str]) -> bool:
    """Whether a folder below the source is called `name=value`: Spark takes its value before that of the file."""
    root = normal_path(root)
    return any("=" in path.removeprefix(root).rpartition("/")[0] for path in paths)


def _expected(frame: DataFrame) -> pa.Schema:
    from pyspark.sql.pandas.types import to_arrow_schema

    return to_arrow_schema(frame.schema, timezone="UTC")


def _alike(schema: pa.Schema, expected: pa.Schema) -> bool:
    """Whether a file holds the columns in this order and in these types; what may be null is not looked at."""
    return schema.names == expected.names and all(
        _same(here, wanted) for here, wanted in zip(schema.types, expected.types, strict=True)
    )


def _same(here: pa.DataType, wanted: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_timestamp(here) and pa.types.is_timestamp(wanted):
        return here.unit == wanted.unit and (here.tz is not None) == (wanted.tz is not None)
    return here.equals(wanted) or (pa.types.is_large_string(here) and pa.types.is_string(wanted))
