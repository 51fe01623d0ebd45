"""Whether JSON files hold a record a line, or records that span lines: an array, or indented objects."""

from __future__ import annotations

import json

from synml_dagster.errors import SourceError
from synml_dagster.sources.listing import data_files

_HEAD = 64 * 1024


def spans_lines(path: str) -> bool:
    """Return whether the first data file of `path` begins with an array or with an object that goes on in the next line."""
    import fsspec

    try:
        files = list(data_files(path)[1])
        prefix = path.split("://", 1)[0] + "://" if "://" in path else ""
        with fsspec.open(prefix + files[0], "rb", compression="infer") as opened:
            head = opened.read(_HEAD).decode("utf-8-sig", errors="replace").lstrip()
    except (
        ImportError,
        OSError,
        ValueError,
        IndexError,
    ):  # Spark may reach it all the same, and says what is wrong
        return False
    if head.startswith("["):
        return True
    first, _, rest = head.partition("\n")
    try:
        json.loads(first)
    except ValueError:
        pass
    else:
        return False
    try:
        _, end = json.JSONDecoder().raw_decode(head)
    except ValueError:  # longer than what was looked at
        return bool(rest)
    if head[end:].strip():
        raise SourceError(
            f"source: {files[0]!r} holds one indented object after the other, of which Spark reads the first alone. Write them as an array, or one a line."
        )
    return True
