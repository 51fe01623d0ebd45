"""Filesystems: which one holds a path, and how a local path is written."""

from __future__ import annotations

import os
from typing import Any

from synml_dagster.errors import ConfigError


def is_remote(path: str) -> bool:
    """Return whether `path` is a URI of another file system than this host's."""
    return "://" in path and not path.startswith("file://")


def normal_path(path: str | os.PathLike[str]) -> str:
    """Return a local path as an absolute one, so that Spark's driver, wherever it was started, means the same."""
    text = os.fspath(path)
    if text.startswith("file:"):
        from urllib.parse import unquote, urlparse

        text = unquote(urlparse(text).path)
    return text.rstrip("/") if is_remote(text) else os.path.abspath(os.path.expanduser(text))


def filesystem_of(path: str) -> tuple[Any, str]:
    """Return the fsspec file system of `path` and the path inside it; Hadoop's `s3a://` is fsspec's `s3://`."""
    import fsspec

    for hadoop, plain in (("s3a://", "s3://"), ("s3n://", "s3://"), ("abfss://", "abfs://")):
        if path.startswith(hadoop):
            path = plain + path.removeprefix(hadoop)
    try:
        filesystem, inside = fsspec.core.url_to_fs(path)
    except (ImportError, ValueError) as problem:
        raise ConfigError(f"{path!r} cannot be opened from this host: {problem}") from problem
    return filesystem, inside
