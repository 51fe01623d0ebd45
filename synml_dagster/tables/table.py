"""Published tables: Parquet in versions, read back with the types they were written with."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from synml_dagster.errors import ConfigError, SourceError
from synml_dagster.files import ParquetFiles, files_reachable
from synml_dagster.files.filesystems import filesystem_of, is_remote
from synml_dagster.files.parquet_files import NULL_PARTITION, spark_path
from synml_dagster.spark.quoting import quoted
from synml_dagster.tables.plain_folder import RUN
from synml_dagster.tables.versions import VersionedDirectory

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


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
    cut
        How whoever published it had cut time into partitions, where it is one of these.
    """

    root: str
    version: str
    rows: int
    schema_json: str
    partition_by: tuple[str, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    created: str = ""
    cut: str = ""

    @property
    def path(self) -> str:
        """The folder that holds this version's files."""
        return VersionedDirectory(self.root).path(self.version)

    def other_cut(self, now: str) -> str | None:
        """Return how time was cut when the rows were published, where that is known and not as `now`; None of rows without such a cut."""
        return self.cut if self.cut and now and self.cut != now else None

    @property
    def whole_root(self) -> str:
        """Where the table lies to which a run has appended these rows; `root` of any other table."""
        above = self.root.rpartition("/")[0]
        appended = self.partition_by[:1] == (RUN,) and above.endswith("/runs")
        return above.removesuffix("/runs") if appended else self.root

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
        return files if not self.partition_by and files_reachable(spark, files) else self.dataframe(spark)

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


def table_of(root: str, manifest: dict[str, Any]) -> Table:
    """Return the version under `root` that `manifest` describes."""
    return Table(
        root=root,
        version=manifest["version"],
        rows=manifest["rows"],
        schema_json=json.dumps(manifest["schema"], ensure_ascii=False),
        partition_by=tuple(manifest["partition_by"]),
        counts=manifest["counts"],
        created=manifest["created"],
        cut=manifest.get("cut", ""),
    )


def exists(path: str) -> bool:
    """Return whether there is such a folder or file."""
    if not is_remote(path):
        return os.path.isdir(path)
    filesystem, inside = filesystem_of(path)
    filesystem.invalidate_cache()
    return bool(filesystem.exists(inside))


def _list_files(path: str, partition_by: Sequence[str]) -> list[tuple[str, dict[str, str | None]]]:
    """Return each data file with its partition values, sorted by path."""
    if not exists(path):
        raise SourceError(
            f"the files of {path!r} are gone: newer versions have been published since. Open the table again."
        )
    return found_files(path, partition_by)


def found_files(path: str, partition_by: Sequence[str]) -> list[tuple[str, dict[str, str | None]]]:
    """Return each data file with its partition values, sorted by path; none where there is no such folder."""
    found: list[str] = []
    base = path.rstrip("/")
    if is_remote(path):
        filesystem, inside = filesystem_of(path)
        filesystem.invalidate_cache()
        # In the words of `path`: fsspec would call `s3a://` `s3://`, by which Spark finds nothing.
        found = [base + file.removeprefix(inside.rstrip("/")) for file in filesystem.find(inside)]
    else:
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
            values[unquote(key)] = None if value == NULL_PARTITION else unquote(value)
        if set(values) == set(partition_by):
            rows.append((file, values))
    return rows
