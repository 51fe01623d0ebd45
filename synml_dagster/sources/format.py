"""Which format a path's files are in, told by their names and by the logs that lie beside them."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlparse

from synml_dagster.files.filesystems import filesystem_of

_FORMATS_BY_SUFFIX = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".orc": "orc",
    ".avro": "avro",
}
# Formats whose files say nothing of the table's log, which says which of them, and which of their rows, still count.
BARE = {*_FORMATS_BY_SUFFIX.values(), "text"}
_LOGS = {"delta": "_delta_log/", "hudi": ".hoodie/", "iceberg": "metadata/*.metadata.json"}
KNOWN = {*_FORMATS_BY_SUFFIX.values(), *_LOGS}
"""The formats that are told by a name or by a log."""
_COMPRESSIONS = {".gz", ".bz2", ".zst", ".snappy", ".lz4"}


def table_format(path: str) -> str | None:
    """Name the table format whose log is in a folder of this host."""
    local = local_path(path)
    if local is None or not local.is_dir():
        return None
    return next((name for name, log in _LOGS.items() if any(local.glob(log))), None)


def log_beside(path: str) -> str | None:
    """Name the table format whose log is in the folder that `path`, which may be a pattern, is read from.

    An object store is asked over the network; None where this host cannot open it, which Spark may.
    """
    parts = path.rstrip("/").split("/")
    plain = next((i for i, part in enumerate(parts) if has_glob(part)), len(parts))
    folder = "/".join(parts[:plain]) or "."
    if local_path(path) is not None:
        return table_format(folder)
    try:
        filesystem, inside = filesystem_of(folder)
        return next((name for name, log in _LOGS.items() if filesystem.glob(f"{inside}/{log}")), None)
    except Exception:
        return None


def guess_format(path: str) -> str | None:
    """Return Spark's name of the format: of the table whose log is there, else by suffix; None where nothing tells."""
    if own := table_format(path):
        return own
    suffixes = [s.lower() for s in Path(path.rstrip("/*")).suffixes]
    while suffixes and suffixes[-1] in _COMPRESSIONS:
        suffixes.pop()
    if suffixes and suffixes[-1] in _FORMATS_BY_SUFFIX:
        return _FORMATS_BY_SUFFIX[suffixes[-1]]
    local = local_path(path)
    if local is not None and local.is_dir():
        for file in sorted(local.rglob("*"))[:1000]:
            if file.suffix.lower() in _FORMATS_BY_SUFFIX:
                return _FORMATS_BY_SUFFIX[file.suffix.lower()]
    return None


def has_glob(path: str) -> bool:
    """Return whether a path is a pattern of several."""
    return any(c in path for c in "*?[{")


def local_path(path: str) -> Path | None:
    """Return the path on this host that `path` is, None where it is on an object store."""
    parsed = urlparse(path)
    if parsed.scheme == "file":
        return Path(parsed.path)
    return Path(path) if "://" not in path else None
