"""A table as bare Parquet files, and how processes open them by themselves, past Spark."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synml_dagster.errors import ConfigError, SourceError

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet as pq
    from pyspark.sql import DataFrame, SparkSession

NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
"""What a folder's name says where the column that it keeps is null."""


@dataclass(frozen=True)
class ParquetFiles:
    """A table as bare Parquet files, in an order that counts: shares are cut along it.

    Parameters
    ----------
    paths
        Local paths, or URIs that pyarrow or fsspec can open.
    rows
        How many rows they hold together, where that is known.
    schema_json
        Spark's own JSON schema of the files, where that is known.

    Notes
    -----
    Columns that a hive-partitioned table keeps in its folder names are not in the files.
    """

    paths: tuple[str, ...]
    rows: int | None = None
    schema_json: str | None = None

    def schema(self) -> pyarrow.Schema:
        """Return the Arrow schema of the first file, or of the table where there is no file.

        Raises
        ------
        SourceError
            There is no file and no schema, or the first file cannot be read.
        """
        if self.paths:
            return open_parquet(self.paths[0]).schema_arrow
        if self.schema_json is None:
            raise SourceError("there are no Parquet files, so there is no schema to read")
        from pyspark.sql.pandas.types import to_arrow_schema
        from pyspark.sql.types import StructType

        return to_arrow_schema(StructType.fromJson(json.loads(self.schema_json)))

    def count(self) -> int:
        """Return the number of rows, from the files' footers where it is not known yet."""
        if self.rows is not None:
            return self.rows
        return sum(sum(groups) for groups in self.row_groups())

    def row_groups(self) -> list[list[int]]:
        """Return the rows of each row group of each file, as the footers say."""

        def rows(path: str) -> list[int]:
            footer = open_parquet(path).metadata
            return [footer.row_group(i).num_rows for i in range(footer.num_row_groups)]

        with ThreadPoolExecutor(max_workers=8) as pool:
            return list(pool.map(rows, self.paths))

    def greatest(self, column: str) -> Any:
        """Return the greatest value of a top-level column as the footers tell it, None where they do not.

        It is Python's date or datetime for dates and times. Null, where all values are, is None too.
        """

        def of_file(path: str) -> tuple[bool, Any]:
            footer = open_parquet(path).metadata
            found = None
            for i in range(footer.num_row_groups):
                group = footer.row_group(i)
                at = next(
                    (j for j in range(group.num_columns) if group.column(j).path_in_schema == column), None
                )
                told = group.column(at).statistics if at is not None else None
                if told is not None and told.has_null_count and told.null_count == group.num_rows:
                    continue
                if told is None or not told.has_min_max:
                    return False, None
                found = told.max if found is None else max(found, told.max)
            return True, found

        with ThreadPoolExecutor(max_workers=8) as pool:
            each = list(pool.map(of_file, self.paths))
        if not all(known for known, _ in each):
            return None
        return max((value for _, value in each if value is not None), default=None)

    def dataframe(self, spark: SparkSession) -> DataFrame:
        """Open the files as a DataFrame."""
        reader = spark.read
        if self.schema_json is not None:
            from pyspark.sql.types import StructType

            schema = StructType.fromJson(json.loads(self.schema_json))
            if not self.paths:
                return spark.createDataFrame([], schema)
            reader = reader.schema(schema)
        elif not self.paths:
            raise SourceError("there are no Parquet files to read")
        return reader.parquet(*(spark_path(p) for p in self.paths))


def in_old_calendar(footer: Any) -> bool:
    """Return whether Spark wrote the file of this footer with the Julian calendar's dates before 1582.

    Spark reads such dates and times as the days they meant; pyarrow takes their numbers as they are.
    """
    told = footer.metadata or {}
    if b"org.apache.spark.legacyDateTime" in told or b"org.apache.spark.legacyINT96" in told:
        return True
    major, _, _ = told.get(b"org.apache.spark.version", b"3").partition(b".")
    return major.isdigit() and int(major) < 3


def files_reachable(spark: SparkSession, files: ParquetFiles) -> bool:
    """Return whether tasks can open the files by themselves and find what this process finds.

    On classic local Spark the tasks share this host's files. Elsewhere a small job looks at the first and the last
    file and compares their sizes.
    """
    from synml_dagster.spark import is_connect, is_local, task_slots

    ends = list(dict.fromkeys([*files.paths[:1], *files.paths[-1:]]))
    try:
        sizes = {path: _size(path) for path in ends}
    except (OSError, SourceError, ConfigError):
        return False
    if not ends or (is_local(spark) and not is_connect(spark)):
        return True

    def look(batches: Iterator[pyarrow.RecordBatch]) -> Iterator[pyarrow.RecordBatch]:
        import pyarrow as pa

        for batch in batches:
            try:
                same = all(_size(path) == size for path, size in sizes.items())
            except Exception:
                same = False
            yield pa.RecordBatch.from_pydict({"same": [same] * batch.num_rows})

    n = max(2, task_slots(spark) or 8)
    rows = spark.range(0, n, 1, n).mapInArrow(look, "same boolean").collect()
    return all(row["same"] for row in rows)


def spark_path(path: str) -> str:
    r"""Return `path` as Spark's readers mean it: they take `[a]`, `{a}`, `*`, `?` and `\` for a pattern."""
    return "".join(f"\\{c}" if c in "[]{}*?\\" else c for c in path)


def open_parquet(path: str, words: Sequence[str] = ()) -> pq.ParquetFile:
    """Return the opened Parquet file at `path`, a pyarrow `ParquetFile`; the columns of text among `words` are read as dictionaries."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Nanoseconds, which pyarrow makes of Spark's old timestamps unasked, end in the year 2262 and begin anew in 1677.
    options: dict[str, Any] = {"coerce_int96_timestamp_unit": "us"}
    try:
        if "://" in path:
            options["filesystem"], place = file_system_of(path)
            options["pre_buffer"] = True
        else:
            options["memory_map"], place = True, path
        file = pq.ParquetFile(place, **options)
        kinds = dict(zip(file.schema_arrow.names, file.schema_arrow.types, strict=True)) if words else {}
        if texts := [word for word in words if word in kinds and pa.types.is_string(kinds[word])]:
            file = pq.ParquetFile(place, metadata=file.metadata, read_dictionary=texts, **options)
        return file
    except FileNotFoundError as problem:
        raise SourceError(f"there is no file {path!r}") from problem
    except (pa.ArrowInvalid, OSError) as problem:
        raise SourceError(f"{path!r} cannot be read as Parquet: {problem}") from problem


def _size(path: str) -> int:
    if "://" not in path:
        return Path(path).stat().st_size
    filesystem, inside = file_system_of(path)
    return int(filesystem.get_file_info(inside).size or -1)


def file_system_of(path: str) -> tuple[Any, str]:
    """Return the file system that opens `path`, and the path inside it: pyarrow's own, the fastest, or one of fsspec's."""
    from pyarrow import fs

    for hadoop in ("s3a://", "s3n://"):
        if path.startswith(hadoop):
            path = "s3://" + path.removeprefix(hadoop)
    scheme, _, place = path.partition("://")
    store, _, key = place.partition("/")
    try:
        if not scheme or scheme == "file":
            return fs.FileSystem.from_uri(path)
        # A whole URI would be read as an URL: `%20` in a key as a blank, and no more of it than up to a `#`.
        filesystem, root = fs.FileSystem.from_uri(f"{scheme}://{store}/")
        return filesystem, f"{root.rstrip('/')}/{key}"
    except Exception:
        from synml_dagster.files.filesystems import filesystem_of

        filesystem, inside = filesystem_of(path)
        return fs.PyFileSystem(fs.FSSpecHandler(filesystem)), inside
