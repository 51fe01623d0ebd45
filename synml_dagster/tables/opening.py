"""How a table is opened: the current version, another one that is kept, or the rows that runs have appended as one table."""

from __future__ import annotations

import os
from dataclasses import replace
from urllib.parse import quote

from synml_dagster.errors import ConfigError, SourceError
from synml_dagster.files.filesystems import filesystem_of, is_remote, normal_path
from synml_dagster.tables.plain_folder import real_root
from synml_dagster.tables.table import Table, table_of
from synml_dagster.tables.union import TableUnion
from synml_dagster.tables.versions import VersionedDirectory


def open_table(root: str | os.PathLike[str], version: str | None = None) -> Table:
    """Return the current version of the table under `root`, or the one that `version` names; where runs append, the rows of them all.

    Raises
    ------
    SourceError
        Nothing was published there, that version is not there, or something else than a table was published.
    """
    directory = VersionedDirectory(root)
    if (
        version is None
        and directory.current() is None
        and (appended := open_runs(directory.root)) is not None
    ):
        return appended
    return open_version(root, version)


def open_version(root: str | os.PathLike[str], version: str | None = None) -> Table:
    """Return a version of the table under `root`, the current one by default.

    Raises
    ------
    SourceError
        As for `open_table`.
    """
    directory = VersionedDirectory(root)
    manifest = directory.manifest(version)
    if "schema" not in manifest:
        raise SourceError(f"what is published under {directory.root!r} is not a table")
    return table_of(directory.root, manifest)


def restore_table(root: str | os.PathLike[str], version: str | None = None) -> Table:
    """Let all readers of the table under `root` see a version that is kept, by default the one that they saw before the current one; return it.

    A version that was gone back from is passed over by later calls without `version`. Nothing is removed: the version that was current can be restored as well, until newer ones take its place.

    Raises
    ------
    SourceError
        Nothing was published there, that version is not kept, there is none before, or it is not a table.
    """
    directory = VersionedDirectory(root)
    wanted = open_version(root, version)  # of a bundle nothing is moved
    manifest = directory.restore(None if version is None else wanted.version)
    return table_of(directory.root, manifest)


def run_root(root: str, run: str) -> str:
    """Return where the rows of one run lie, of the table under `root`.

    Raises
    ------
    ConfigError
        The run has no name.

    Examples
    --------
    >>> run_root("/srv/t", "nightly 2026-01-01T06:00")
    '/srv/t/runs/nightly%202026-01-01T06%3A00'
    """
    check_run(run)
    return f"{root}/runs/{folder_name(run)}"


def folder_name(text: str) -> str:
    """Return a folder's name for any text: one of its own, and none that is hidden.

    Examples
    --------
    >>> folder_name("a/b"), folder_name(".x")
    ('a%2Fb', '%2Ex')
    """
    name = quote(text, safe="")
    return f"%2E{name[1:]}" if name.startswith(".") else name


def check_run(run: str) -> None:
    """Refuse a run without a name.

    Raises
    ------
    ConfigError
    """
    if not run:
        raise ConfigError("run is the id of who appends, and it is empty")


def run_roots(root: str) -> list[str]:
    """Return where the rows of each run lie; nothing of a table to which no run has appended."""
    base = normal_path(root)
    base = base if is_remote(base) else real_root(base)
    try:
        filesystem, inside = filesystem_of(f"{base}/runs")
        if is_remote(base):
            filesystem.invalidate_cache(inside)
        names = sorted(entry.rstrip("/").rsplit("/", 1)[-1] for entry in filesystem.ls(inside, detail=False))
    except FileNotFoundError:
        return []
    return [f"{base}/runs/{name}" for name in names]


def open_runs(root: str) -> Table | None:
    """Return the rows of all runs as one table, the oldest first; None of a table to which no run has appended."""
    found = []
    for place in run_roots(root):
        if VersionedDirectory(place).current() is None:
            continue  # killed before it had published anything
        found.append(open_version(place))
    if not found:
        return None
    found.sort(key=lambda table: table.version)
    return replace(TableUnion.of(found), root=normal_path(root))
