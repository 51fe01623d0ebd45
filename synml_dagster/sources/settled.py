"""Whether somebody is still writing the files of a source."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from synml_dagster.files.filesystems import filesystem_of
from synml_dagster.sources.listing import is_pattern
from synml_dagster.sources.source import Source

_UNFINISHED = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".filepart", ".inprogress")
# What a killed writer left stays for ever, and a write takes no day.
_STALE_SECONDS = 86_400


def unfinished_name(name: str) -> bool:
    """Return whether a file is called as writers call what they have not finished.

    Examples
    --------
    >>> unfinished_name("sales.csv.part"), unfinished_name("sales.csv")
    (True, False)
    """
    return name.lower().endswith(_UNFINISHED)


def unsettled(
    source: Source, seconds: float, *, success: bool = False, now: float | None = None
) -> str | None:
    """Say why the files of `source` may be half written, or None where they are whole as far as can be told.

    Tables with a log of their own, and sources that are no files, change in one step and are always whole.

    Parameters
    ----------
    seconds
        How long no file may have changed. A time that lies ahead of this host's clock tells nothing.
    success
        Whether a file `_SUCCESS` as new as the others has to lie in the folder.
    """
    if not source.path:
        return None
    moment = time.time() if now is None else now
    filesystem, root = filesystem_of(source.path.rstrip("/"))
    if filesystem.isdir(f"{root}/_delta_log") or filesystem.isdir(f"{root}/metadata"):
        return None
    newest, marked = 0.0, None
    for name, changed in _times(filesystem, root):
        within = name.removeprefix(root).strip("/").split("/")
        if changed > moment:  # the writer's clock, or a date that somebody has set
            continue
        if within[-1] == "_SUCCESS":
            marked = max(changed, marked or 0.0)
            continue
        if (unfinished_name(within[-1]) or "_temporary" in within) and moment - changed < _STALE_SECONDS:
            return f"{name!r} is still being written"
        newest = max(newest, changed)
    if success and filesystem.isdir(root) and (marked is None or marked < newest):
        return f"{source.path!r} has no _SUCCESS as new as its files yet"
    if moment - newest < seconds:
        return f"a file of {source.path!r} changed {moment - newest:.0f} s ago, and may be half written"
    return None


def _times(filesystem: Any, root: str) -> Iterator[tuple[str, float]]:
    if is_pattern(root):
        found = filesystem.glob(root, detail=True)
    elif filesystem.isdir(root):
        found = filesystem.find(root, detail=True)
    else:
        found = {root: filesystem.info(root)}
    for name, info in found.items():
        stamp = info.get("mtime") or info.get("LastModified") or info.get("updated")
        if isinstance(stamp, datetime):
            stamp = stamp.timestamp()
        if isinstance(stamp, int | float):
            yield name, float(stamp)
