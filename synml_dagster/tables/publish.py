"""Tables published: written by Spark or by its tasks as a new version that readers see when it is whole, or never."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from synml_dagster.errors import ConfigError, DataError, SetupError, did_you_mean
from synml_dagster.files import ParquetFiles
from synml_dagster.files.filesystems import filesystem_of
from synml_dagster.spark.task_errors import typed_errors
from synml_dagster.tables.accompanied import write_texts
from synml_dagster.tables.table import Table, exists, found_files, table_of
from synml_dagster.tables.task_writes import UNSEEN, MadeRows, copy_files, write_rows
from synml_dagster.tables.versions import VersionedDirectory

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import StructType

_ROWS = "__rows"


def publish_table(
    df: DataFrame,
    root: str | os.PathLike[str],
    *,
    partition_by: Sequence[str] = (),
    observe: Mapping[str, Column] | None = None,
    texts: Mapping[str, str] | None = None,
    cut: str = "",
    keep: int = 3,
) -> Table:
    """Write `df` as a new version of the table under `root` and let readers see it once it is whole.

    Rows and the aggregates of `observe` are counted while the rows are written, with no second pass. A write that fails
    or is cancelled leaves the version that readers see as it was, and nothing of its own behind.

    Parameters
    ----------
    df
        The rows; classic or Connect.
    root
        A local path, or a URI that both Spark and fsspec open.
    partition_by
        Columns kept in the folders' names, so that each of their values is a set of files of its own. An empty
        string in them comes back as null, as in every table of this layout.
    observe
        Aggregates that give whole numbers, by name. A sum over no rows counts as 0.
    texts
        Small files that the version carries; see `Accompanied`.
    cut
        What `Table.cut` is to say.
    keep
        How many finished versions stay, the new one among them.

    Raises
    ------
    DataError
        A column has a type that Parquet cannot hold, or two columns have one name.
    SetupError
        Spark wrote the table where this process cannot see it.
    """
    return _published(
        root,
        keep,
        lambda place, version: _write_version(df, place, version, partition_by, observe or {}),
        texts,
        cut,
    )


def publish_files(
    spark: SparkSession,
    rows: ParquetFiles | MadeRows,
    root: str | os.PathLike[str],
    *,
    partition_by: Sequence[str] = (),
    texts: Mapping[str, str] | None = None,
    cut: str = "",
    keep: int = 3,
) -> Table:
    """Publish Parquet files as they are, or rows that tasks make of files, as `publish_table` publishes a frame.

    Tasks copy or write the files by themselves, past Spark's rows. Files are copied for a table without partition
    columns, and `rows.schema_json` must say what Spark reads of them.

    Raises
    ------
    ConfigError
        `partition_by` names what is no column, or numbers with fractions, or files are to be copied into another layout.
    SourceError
        A file that is to be copied is gone.
    SetupError
        Tasks wrote the table where this process cannot see it.
    SynmlError
        What making the rows raised of it.
    """
    _check_layout(rows, partition_by)
    return _published(
        root,
        keep,
        lambda place, version: _write_files(spark, rows, place, version, partition_by),
        texts,
        cut,
    )


def _published(
    root: str | os.PathLike[str],
    keep: int,
    write: Callable[[VersionedDirectory, str], dict[str, Any]],
    texts: Mapping[str, str] | None = None,
    cut: str = "",
) -> Table:
    """Let readers see the version that `write` writes, whose manifest it returns, or leave nothing of it behind."""
    directory = VersionedDirectory(root)
    version = directory.new_version()
    try:
        with typed_errors():
            manifest = write(directory, version) | ({"cut": cut} if cut else {})
        write_texts(directory.path(version), texts or {})
        return table_of(directory.root, directory.publish(version, manifest, keep))
    except BaseException:  # an interrupt too
        directory.discard(version)
        raise


@contextmanager
def written_table(
    df: DataFrame, root: str | os.PathLike[str], *, observe: Mapping[str, Column] | None = None
) -> Iterator[Table]:
    """Lend the rows of `df` as they are written, once, under `root`, where no reader sees them; then remove them.

    For results that are too dear to compute once per reader. What a killed process has left under the same root goes first.

    Raises
    ------
    DataError, SetupError
        As for `publish_table`.
    """
    directory = VersionedDirectory(root)
    directory.discard_left()
    version = directory.new_version()
    directory.claim(version)
    try:
        with typed_errors():
            manifest = _write_version(df, directory, version, (), observe or {})
        yield table_of(directory.root, manifest | {"version": version, "created": ""})
    finally:
        directory.discard(version)


def _write_version(
    df: DataFrame,
    directory: VersionedDirectory,
    version: str,
    partition_by: Sequence[str],
    observe: Mapping[str, Column],
) -> dict[str, Any]:
    """Write the files of a version that no reader sees yet, and return what its manifest says."""
    check_columns(df, partition_by)
    path = directory.path(version)
    if not directory.remote:
        os.makedirs(os.path.dirname(path), exist_ok=True)
    counts = _write(df, path, partition_by, observe)
    rows = counts.pop(_ROWS)
    # Executors of several hosts may each have written to a disk of their own.
    if not exists(path) or ParquetFiles(tuple(f for f, _ in found_files(path, partition_by))).count() != rows:
        raise SetupError(UNSEEN.format(path=path))
    return _manifest(rows, json.loads(df.schema.json()), partition_by, counts)


def _write_files(
    spark: SparkSession,
    rows: ParquetFiles | MadeRows,
    directory: VersionedDirectory,
    version: str,
    partition_by: Sequence[str],
) -> dict[str, Any]:
    """As `_write_version`, by tasks."""
    assert rows.schema_json is not None
    path = directory.path(version)
    if not directory.remote:
        os.makedirs(path, exist_ok=True)
    if isinstance(rows, ParquetFiles):
        count = copy_files(spark, rows, path)
    else:
        count = write_rows(spark, rows, path, partition_by)
    # Tasks on several hosts may each have written to a folder of their own.
    if ParquetFiles(tuple(file for file, _ in found_files(path, partition_by))).count() != count:
        raise SetupError(UNSEEN.format(path=path))
    filesystem, inside = filesystem_of(path)
    filesystem.touch(f"{inside}/_SUCCESS")  # as Spark does: a table without rows is a folder, too
    return _manifest(count, json.loads(rows.schema_json), partition_by, {})


def _check_layout(rows: ParquetFiles | MadeRows, partition_by: Sequence[str]) -> None:
    from pyspark.sql.types import DoubleType, FloatType, StructType

    assert rows.schema_json is not None
    schema = StructType.fromJson(json.loads(rows.schema_json))
    check_schema(schema, partition_by)
    if partition_by and isinstance(rows, ParquetFiles):
        raise ConfigError(
            f"partition_by {list(partition_by)}: files are copied as they are. Give their DataFrame for another layout."
        )
    for name in partition_by:
        # -0.0 and NaN have no one name of a folder.
        if isinstance(schema[name].dataType, FloatType | DoubleType):
            raise ConfigError(
                f"partition_by names {name!r}, a {schema[name].dataType.simpleString()}. Partition by words, dates or whole numbers."
            )


def _manifest(
    rows: int, schema: Mapping[str, Any], partition_by: Sequence[str], counts: Mapping[str, int]
) -> dict[str, Any]:
    return {
        "format": "parquet",
        "rows": rows,
        "schema": schema,
        "partition_by": list(partition_by),
        "counts": dict(counts),
    }


def _write(
    df: DataFrame, path: str, partition_by: Sequence[str], observe: Mapping[str, Column]
) -> dict[str, int]:
    from pyspark.sql import Observation
    from pyspark.sql import functions as sf

    names = {f"count{i}": name for i, name in enumerate(observe)}  # a user's name may hold any character
    observation = Observation(f"publish-{uuid.uuid4().hex}")
    watched = df.observe(
        observation,
        sf.count(sf.lit(1)).alias(_ROWS),
        *(observe[name].alias(alias) for alias, name in names.items()),
    )
    watched.write.mode("error").parquet(path, partitionBy=list(partition_by) or None)
    seen = observation.get
    return {_ROWS: int(seen[_ROWS])} | {name: _whole(name, seen[alias]) for alias, name in names.items()}


def _whole(name: str, value: Any) -> int:
    if value is None:
        return 0
    if value != int(value):
        raise ConfigError(f"the observed {name!r} must be a whole number but is {value!r}")
    return int(value)


def check_columns(df: DataFrame, partition_by: Sequence[str] = ()) -> None:
    """Refuse a frame that cannot be a table; see `check_schema`."""
    check_schema(df.schema, partition_by)


def check_schema(schema: StructType, partition_by: Sequence[str] = ()) -> None:
    """Refuse columns that cannot be a table.

    Raises
    ------
    DataError
        A column has a type that Parquet cannot hold, or two columns have one name.
    ConfigError
        `partition_by` names what is no column.
    """
    from pyspark.sql.types import CalendarIntervalType, NullType

    seen: dict[str, str] = {}
    for name in schema.names:
        if (before := seen.setdefault(name.casefold(), name)) is not name:
            raise DataError(
                f"the columns {before!r} and {name!r} have one name to Spark, which does not tell upper from lower case. Rename one."
            )
    for column in partition_by:
        if column not in schema.names:
            raise ConfigError(
                f"partition_by names {column!r}, which is not a column.{did_you_mean(column, schema.names)}"
            )
    if not set(schema.names) - set(partition_by):
        raise DataError("a table needs a column besides those that it is partitioned by")
    for item in schema.fields:
        if isinstance(item.dataType, NullType | CalendarIntervalType):
            raise DataError(
                f"the column {item.name!r} is of type {item.dataType.simpleString()}, which Parquet cannot hold. Cast it, for example to string, or leave it out."
            )
