"""Tables that Spark writes: Parquet, replaced whole or not at all, read back with the types they were written with."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from synml_dagster.errors import ConfigError, DataError, SetupError, SourceError, did_you_mean
from synml_dagster.spark.parquet_files import ParquetFiles, shares_reachable, spark_path
from synml_dagster.spark.quoting import quoted
from synml_dagster.spark.task_writes import MadeRows, copy_files, write_rows
from synml_dagster.spark.versions import VersionedDirectory, filesystem_of, is_remote

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
_ROWS = "__rows"
_UNSEEN = (
    "Spark wrote {path!r}, and this process sees nothing there: they do not share this file system. "
    "Set the data directory to an object store or to a folder that both see."
)


@dataclass(frozen=True)
class Table:
    """One published version of a table.

    Attributes
    ----------
    root
        Where the table's versions are.
    version
        The version's id.
    rows
        How many rows were written.
    schema_json
        Spark's own JSON schema, partition columns included.
    partition_by
        The columns that are kept in the folders' names.
    counts
        The aggregates that `publish_table` was asked to observe, by name.
    created
        When the version was published: UTC, ISO 8601.
    """

    root: str
    version: str
    rows: int
    schema_json: str
    partition_by: tuple[str, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    created: str = ""

    @property
    def path(self) -> str:
        """The folder that holds this version's files."""
        return VersionedDirectory(self.root).path(self.version)

    @property
    def columns(self) -> list[str]:
        """The columns' names in the order they were written."""
        return [f["name"] for f in json.loads(self.schema_json)["fields"]]

    def dataframe(self, spark: SparkSession) -> DataFrame:
        """Open this version as a DataFrame with the types and the order of columns that were written."""
        from pyspark.sql.types import StructType

        schema = StructType.fromJson(json.loads(self.schema_json))
        frame = spark.read.schema(schema).parquet(spark_path(self.path))
        # Spark puts partition columns last, wherever they were.
        return frame.select(*(quoted(name) for name in schema.names))

    def nearest(self, spark: SparkSession) -> ParquetFiles | DataFrame:
        """Return the table's files where Spark's tasks can read all of it from them, which is faster; else its rows."""
        files = self.files()
        return files if not self.partition_by and shares_reachable(spark, files) else self.dataframe(spark)

    def files(self, **partition: str | None) -> ParquetFiles:
        """Return the Parquet files of this version, or of the partitions that the arguments name.

        Raises
        ------
        ConfigError
            The table is not partitioned by that column.
        SourceError
            The version is no longer there.

        Examples
        --------
        >>> table.files(__split="train")  # doctest: +SKIP
        """
        for column in partition:
            if column not in self.partition_by:
                raise ConfigError(
                    f"the table {self.root!r} is not partitioned by {column!r}, only by {list(self.partition_by)}"
                )
        fields = [f for f in json.loads(self.schema_json)["fields"] if f["name"] not in self.partition_by]
        paths = tuple(
            p
            for p, values in _list_files(self.path, self.partition_by)
            if partition.items() <= values.items()
        )
        return ParquetFiles(
            paths,
            rows=None if partition else self.rows,
            schema_json=json.dumps({"type": "struct", "fields": fields}),
        )


def publish_table(
    df: DataFrame,
    root: str | os.PathLike[str],
    *,
    partition_by: Sequence[str] = (),
    observe: Mapping[str, Column] | None = None,
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
    keep
        How many finished versions stay, the new one among them.

    Raises
    ------
    DataError
        A column has a type that Parquet cannot hold, or two columns have one name.
    SetupError
        Spark wrote the table where this process cannot see it.
    """
    directory = VersionedDirectory(root)
    version = directory.new_version()
    try:
        manifest = _write_version(df, directory, version, partition_by, observe or {})
        return _table(directory.root, directory.publish(version, manifest, keep))
    except BaseException:  # an interrupt too
        directory.discard(version)
        raise


def publish_files(
    spark: SparkSession,
    rows: ParquetFiles | MadeRows,
    root: str | os.PathLike[str],
    *,
    partition_by: Sequence[str] = (),
    keep: int = 3,
) -> Table:
    """Publish Parquet files as they are, or rows that tasks make of files, as `publish_table` publishes a frame.

    Tasks copy or write the files by themselves, past Spark's rows. Files are copied for a table without partition
    columns, and `rows.schema_json` must say what Spark reads of them.

    Raises
    ------
    SourceError
        A file that is to be copied is gone.
    SetupError
        Tasks wrote the table where this process cannot see it.
    """
    directory = VersionedDirectory(root)
    version = directory.new_version()
    path = directory.path(version)
    assert rows.schema_json is not None
    try:
        if not directory.remote:
            os.makedirs(path, exist_ok=True)
        if isinstance(rows, ParquetFiles):
            count = copy_files(spark, rows, path)
        else:
            count = write_rows(spark, rows, path, partition_by)
        # Tasks on several hosts may each have written to a folder of their own.
        if ParquetFiles(tuple(file for file, _ in _found_files(path, partition_by))).count() != count:
            raise SetupError(_UNSEEN.format(path=path))
        filesystem, inside = filesystem_of(path)
        filesystem.touch(f"{inside}/_SUCCESS")  # as Spark does: a table without rows is a folder, too
        manifest = _manifest(count, json.loads(rows.schema_json), partition_by, {})
        return _table(directory.root, directory.publish(version, manifest, keep))
    except BaseException:  # an interrupt too
        directory.discard(version)
        raise


@contextmanager
def written_table(
    df: DataFrame, root: str | os.PathLike[str], *, observe: Mapping[str, Column] | None = None
) -> Iterator[Table]:
    """Lend the rows of `df` as they are written, once, under `root`, where no reader sees them; then remove them.

    For results that are too dear to compute once per reader. What a killed process leaves is collected by a later
    publication under the same root.

    Raises
    ------
    DataError, SetupError
        As for `publish_table`.
    """
    directory = VersionedDirectory(root)
    version = directory.new_version()
    try:
        manifest = _write_version(df, directory, version, (), observe or {})
        yield _table(directory.root, manifest | {"version": version, "created": ""})
    finally:
        directory.discard(version)


def open_table(root: str | os.PathLike[str], version: str | None = None) -> Table:
    """Return the current version of the table under `root`, or the one that `version` names.

    Raises
    ------
    SourceError
        Nothing was published there, that version is not there, or something else than a table was published.
    """
    directory = VersionedDirectory(root)
    manifest = directory.manifest(version)
    if "schema" not in manifest:
        raise SourceError(f"what is published under {directory.root!r} is not a table")
    return _table(directory.root, manifest)


def _table(root: str, manifest: dict[str, Any]) -> Table:
    return Table(
        root=root,
        version=manifest["version"],
        rows=manifest["rows"],
        schema_json=json.dumps(manifest["schema"], ensure_ascii=False),
        partition_by=tuple(manifest["partition_by"]),
        counts=manifest["counts"],
        created=manifest["created"],
    )


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
    if not _exists(path):
        raise SetupError(_UNSEEN.format(path=path))
    return _manifest(rows, json.loads(df.schema.json()), partition_by, counts)


def _manifest(
    rows: int, schema: Any, partition_by: Sequence[str], counts: Mapping[str, int]
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
    """Refuse a frame that cannot be a table.

    Raises
    ------
    DataError
        A column has a type that Parquet cannot hold, or two columns have one name.
    ConfigError
        `partition_by` names what is no column.
    """
    from pyspark.sql.types import CalendarIntervalType, NullType

    schema = df.schema
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


def _exists(path: str) -> bool:
    if not is_remote(path):
        return os.path.isdir(path)
    filesystem, inside = filesystem_of(path)
    filesystem.invalidate_cache()
    return bool(filesystem.exists(inside))


def _list_files(path: str, partition_by: Sequence[str]) -> list[tuple[str, dict[str, str | None]]]:
    """Return each data file with its partition values, sorted by path."""
    if not _exists(path):
        raise SourceError(
            f"the files of {path!r} are gone: newer versions have been published since. Open the table again."
        )
    return _found_files(path, partition_by)


def _found_files(path: str, partition_by: Sequence[str]) -> list[tuple[str, dict[str, str | None]]]:
    """Return each data file with its partition values, sorted by path; none where there is no such folder."""
    found: list[str] = []
    if is_remote(path):
        filesystem, inside = filesystem_of(path)
        filesystem.invalidate_cache()
        found = [filesystem.unstrip_protocol(file) for file in filesystem.find(inside)]
        base = filesystem.unstrip_protocol(inside).rstrip("/")
    else:
        base = path
        for folder, _, files in os.walk(path):
            found += [os.path.join(folder, file) for file in files]
    rows = []
    for file in sorted(found):
        *folders, name = file.removeprefix(base).strip("/").split("/")
        if name.startswith(("_", ".")) or not name.endswith(".parquet"):
            continue
        values: dict[str, str | None] = {}
        for folder in folders:
            key, _, value = folder.partition("=")
            values[unquote(key)] = None if value == _NULL_PARTITION else unquote(value)
        if set(values) == set(partition_by):
            rows.append((file, values))
    return rows
