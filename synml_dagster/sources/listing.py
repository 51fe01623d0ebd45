"""The data files of a path: a file, a folder or a pattern, without what other programs keep beside them."""

from __future__ import annotations

import re
from typing import Any

from synml_dagster.files.filesystems import filesystem_of
from synml_dagster.sources.format import has_glob, local_path


def is_pattern(path: str) -> bool:
    """Return whether a path is a pattern: a file that is called `data[1].csv` is what its name says."""
    local = local_path(path)
    return has_glob(path) and not (local is not None and local.exists())


def data_files(path: str) -> tuple[Any, dict[str, dict[str, Any]]]:
    """Return the filesystem of `path` and what it says of each data file there, by name, in order.

    In folders names that begin with `_` or `.` are other programs' own, as Spark has it; a file that is named itself is read.
    """
    filesystem, root = filesystem_of(path.rstrip("/"))
    if is_pattern(path):
        found = filesystem.glob(root, detail=True)
        for folder in [name for name, info in found.items() if info.get("type") == "directory"]:
            found |= filesystem.find(folder, detail=True)
        within = {name: [name.rsplit("/", 1)[-1]] for name in found}
    elif filesystem.isdir(root):
        found = filesystem.find(root, detail=True)
        within = {name: name.removeprefix(root).split("/") for name in found}
    else:
        found, within = {root: filesystem.info(root)}, {root: []}
    return filesystem, {
        name: info
        for name, info in sorted(found.items())
        if info.get("type") == "file"
        and not any(part.startswith((".", "_")) and "=" not in part for part in within[name])
    }


def spark_path(path: str) -> str:
    """Return a path as Spark takes it: the marks of patterns in the name of one file are its own."""
    return path if is_pattern(path) or not has_glob(path) else re.sub(r"([\\*?\[\]{}])", r"\\\1", path)


def is_hidden_file(path: str) -> bool:
    """Return whether a path names one file that Spark does not read, because its name begins with `_` or `.`."""
    local = local_path(path)
    return local is not None and local.is_file() and local.name.startswith(("_", "."))
