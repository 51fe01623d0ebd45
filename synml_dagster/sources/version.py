"""When the data of a source has changed: a short text that is another one then."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from synml_dagster.errors import SourceError, SynmlError
from synml_dagster.files.filesystems import filesystem_of
from synml_dagster.redaction import redacted, without_secrets
from synml_dagster.sources.listing import data_files
from synml_dagster.sources.settled import unfinished_name
from synml_dagster.sources.source import Source, check_path, open_jdbc
from synml_dagster.spark.messages import database_reason, first_line
from synml_dagster.tables.catalog import described_table

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SOURCE_VERSION = "synml/source_version"
"""Metadata key under which a table asset remembers the version of the source that it read."""

# What of a JDBC source's options says which rows, and how they are cut into partitions.
_JDBC_ROWS = {"dbtable", "query", "partitionColumn", "lowerBound", "upperBound", "numPartitions"}


def source_version(source: Source, spark: SparkSession | None = None) -> str:
    """Return a short text that changes when the data of `source` changes.

    Files are told by name, size and time of change, a Delta table by the last entry of its log, an Iceberg table of a
    catalog by its snapshot; other sources by `version_query`, or, for a catalog table, by the files that it is made of.
    Only queries and catalog tables need `spark`.

    Raises
    ------
    SourceError
        The source is not there, or nothing can tell its version.
    """
    if source.asset:
        raise SourceError(
            f"source: of {source.describe()} Dagster's record of materializations says when it changes"
        )
    if source.version_query:
        if spark is None:
            raise SourceError(
                f"source: {source.describe()} asks Spark for its version and no session was given"
            )
        try:
            if source.jdbc:
                options = {k: v for k, v in source.options.items() if k not in _JDBC_ROWS}
                asked = open_jdbc(spark, source.jdbc, options | {"query": source.version_query})
            else:
                asked = spark.sql(source.version_query)
            row = asked.first()
        except Exception as problem:
            why = redacted(database_reason(problem) if source.jdbc else first_line(problem), source.secrets)
            raise SourceError(
                f"source.version_query {source.version_query!r} failed: {why}"
            ) from without_secrets(problem, source.secrets)
        return str(row[0]) if row is not None else "empty"
    if source.path:
        try:
            check_path(source)
            return _files_version(source)
        except SynmlError:
            raise
        except (
            Exception
        ) as problem:  # of a store: no credentials, no such host, a protocol that nobody has installed
            why = redacted(first_line(problem), source.secrets).rstrip(".")
            raise SourceError(
                f"source: {source.describe()} cannot be listed: {why or type(problem).__name__}. Can this host reach it, with what it is given to log in, and is fsspec's package for such paths installed?"
            ) from without_secrets(problem, source.secrets)
    if source.table and spark is not None and (version := _table_version(spark, source.table)):
        return version
    raise SourceError(
        f"source: nothing tells when {source.describe()} changes. Give source.version_query, "
        "for example SELECT max(updated_at) FROM the_table"
    )


def _table_version(spark: SparkSession, name: str) -> str | None:
    try:
        spark.catalog.refreshTable(name)
        told = described_table(spark, name)
        provider = told.get("provider", "").casefold()
        if provider == "delta":  # a row that is removed by a deletion vector changes no file's name
            last = spark.sql(f"DESCRIBE HISTORY {name} LIMIT 1").first()
            return f"delta-{last['version']}" if last is not None else None
        if provider == "iceberg":
            snapshot = re.search(r"\bcurrent-snapshot-id=(-?\w+)", told.get("table properties", ""))
            return f"iceberg-{snapshot.group(1)}" if snapshot else None
        files = sorted(spark.table(name).inputFiles())
    except Exception as problem:
        raise SourceError(f"source: table {name} cannot be read: {first_line(problem)}") from problem
    return _digest(files) if files else None


def _files_version(source: Source) -> str:
    path = (source.path or "").rstrip("/")
    filesystem, root = filesystem_of(path)
    if filesystem.isdir(f"{root}/_delta_log"):
        # Checkpoints and commits that are not yet made are JSON too, under longer names.
        entries = [e.rsplit("/", 1)[-1] for e in filesystem.ls(f"{root}/_delta_log", detail=False)]
        commits = [int(e[:20]) for e in entries if re.fullmatch(r"\d{20}\.json", e)]
        if not commits:
            raise SourceError(f"source: {source.path!r} has a Delta log without an entry")
        return f"delta-{max(commits)}"
    marks = []
    for name, info in data_files(path)[1].items():
        # What is not yet finished is no version.
        if unfinished_name(name):
            continue
        stamp = info.get("mtime") or info.get("LastModified") or info.get("updated") or info.get("ETag") or ""
        marks.append(f"{name}|{info.get('size')}|{stamp}")
    if not marks:
        raise SourceError(f"source: {source.path!r} holds no files")
    return _digest(marks)


def _digest(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
