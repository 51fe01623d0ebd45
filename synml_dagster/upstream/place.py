"""Where the rows of a materialization lie, told by its metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synml_dagster.errors import SourceError
from synml_dagster.io_managers.place import metadata_of
from synml_dagster.sources import Source
from synml_dagster.sources.format import KNOWN, guess_format
from synml_dagster.tables import Table, open_table
from synml_dagster.upstream.record import Made, Upstream

Place = Table | Source
"""A table of ours, or what any reader can be told."""

# In the order in which they are looked for: Dagster's own words first.
_PATHS = ("dagster/uri", "uri", "path", "table_uri")
_TABLES = ("dagster/table_name", "dagster/relation_identifier")


def place_of(upstream: Upstream, made: Made, source: Source) -> Place:
    """Return where the rows of one materialization lie, of `upstream` whose format and options `source` may say.

    Tables of this package are opened as all of their readers do: the current version, or the one that the present run has published; of
    a table to which runs append, the rows of them all.

    Raises
    ------
    SourceError
        Nothing tells, or what tells it cannot be read by Spark.
    """
    if (ours := _own_table(made)) is not None:
        return ours
    # What an asset's definition says holds for each of its materializations that says nothing else.
    told = metadata_of(upstream.declared) | dict(made.metadata)
    unknown = []
    for name in _PATHS:
        path = told.get(name)
        if not isinstance(path, str) or not path or path.startswith(("jdbc:", "http://", "https://")):
            continue
        kind = source.format or guess_format(path) or _said_format(told)
        if kind is not None:
            return Source(path=_without_slash(path), format=kind, options=source.options)
        unknown.append(f"{name}: {path}")
    for name in _TABLES:
        table = told.get(name)
        if isinstance(table, str) and table:
            return Source(table=table, options=source.options)
    raise SourceError(_nowhere(upstream, made, told, unknown))


def _own_table(made: Made) -> Table | None:
    path, version = made.metadata.get("path"), made.metadata.get("version")
    root, between, last = str(path or "").rpartition("/versions/")
    if not between or last != version:
        return None
    table = open_table(root, version if made.own else None)
    return table if table.whole_root == table.root else open_table(table.whole_root)


def _without_slash(path: str) -> str:
    """One folder has one name, with a slash at its end and without; a bucket as a whole is read with it."""
    short = path.rstrip("/")
    bucket = "://" in short and "/" not in short.partition("://")[2]
    return path if bucket or not short else short


def _said_format(told: Mapping[str, Any]) -> str | None:
    for name in ("dagster/storage_kind", "format"):
        said = str(told.get(name, "")).casefold()
        if said in KNOWN:
            return said
    return None


def _nowhere(upstream: Upstream, made: Made, told: Mapping[str, Any], unknown: list[str]) -> str:
    of = f", partition {made.partition!r}," if made.partition is not None else ""
    else_ = "or say where the rows are by path, table, jdbc or sql beside source.asset"
    if unknown:
        return (
            f"{upstream.said}{of} says {'; '.join(unknown)}, and nothing tells in which format that is. Say it by source.format, {else_}. "
            "What Dagster's default IO manager has stored is a pickle, which is never opened here: let the asset write a table."
        )
    has = ", ".join(sorted(told)) or "no metadata at all"
    return (
        f"{upstream.said}{of} does not say where its rows are; its last materialization has {has}. Let it add metadata `path` or "
        f"`dagster/uri` (a file or folder) or `dagster/table_name` (a table of Spark's catalog), {else_}."
    )
