"""Where an asset's data lies: a folder named by its key, and in it one folder per partition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

import dagster as dg

from synml_dagster.files.filesystems import filesystem_of, is_remote, normal_path
from synml_dagster.resources import DataDirectory
from synml_dagster.tables.plain_folder import versions_beside


def output_roots(context: dg.OutputContext, data_dir: str | None, suffix: str = "") -> dict[str | None, str]:
    """Return the root of each partition that the output is for, or of the whole asset under the key None.

    With a `suffix`, those of a table beside the asset's own.
    """
    told = metadata_of(context.definition_metadata)
    base = _base(context, data_dir, told) + suffix
    if told.get("plain_folder") and not is_remote(base):
        base = versions_beside(base)  # which readers need not know: they find it by the folder itself
    keys = list(context.asset_partition_keys) if context.has_asset_partitions else []
    return _by_partition(base, keys)


def input_roots(context: dg.InputContext, data_dir: str | None) -> dict[str | None, str]:
    """Return the roots that the input is read from: one per upstream partition, or one under the key None."""
    upstream = context.upstream_output
    told = metadata_of(upstream.definition_metadata) if upstream is not None else {}
    if upstream is not None and not context.has_asset_key:
        return {None: _base(upstream, data_dir, told)}
    keys = list(context.asset_partition_keys) if context.has_asset_partitions else []
    return _by_partition(_base(context, data_dir, told), keys)


def asset_root(data_dir: str | None, *key: str) -> str:
    """Return the root of an asset without partitions, for code that has its key and no context."""
    return DataDirectory(data_dir).path(*(_folder(p) for p in key))


def partition_roots(root: str) -> list[str]:
    """Return the roots of the partitions that an asset's `root` holds, the newest names last; a hundred at most."""
    try:
        filesystem, inside = filesystem_of(f"{root}/partitions")
        names = sorted(entry.rstrip("/").rsplit("/", 1)[-1] for entry in filesystem.ls(inside, detail=False))
    except (OSError, ImportError):
        return []
    return [f"{root}/partitions/{name}" for name in names[-100:]]


def partition_root(base: str, key: str) -> str:
    """Return the root of one partition of the asset whose root is `base`."""
    return f"{base}/partitions/{_folder(key)}"


def partition_of(root: str) -> str | None:
    """Return the key of the partition whose root this is; None of a table that is whole.

    Examples
    --------
    >>> partition_of("/data/shop/raw/partitions/2026-01-01%7Cnorth")
    '2026-01-01|north'
    >>> partition_of("/data/shop/raw") is None
    True
    """
    above, _, name = root.rpartition("/")
    return unquote(name) if above.endswith("/partitions") else None


def metadata_of(raw: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return definition metadata as plain values, whether Dagster has wrapped them or not."""
    return {k: v.value if isinstance(v, dg.MetadataValue) else v for k, v in (raw or {}).items()}


def _base(context: dg.OutputContext | dg.InputContext, data_dir: str | None, told: Mapping[str, Any]) -> str:
    if root := told.get("root"):
        return normal_path(str(root))
    if context.has_asset_key:
        parts = list(context.asset_key.path)
    else:
        assert isinstance(context, dg.OutputContext)
        parts = ["op_outputs", *context.get_identifier()]
    return DataDirectory(data_dir).path(*(_folder(p) for p in parts))


def _by_partition(base: str, keys: list[str]) -> dict[str | None, str]:
    if not keys:
        return {None: base}
    return {key: partition_root(base, key) for key in keys}


def _folder(name: str) -> str:
    """A folder's name from any text; a dot at the front would climb out of the directory or hide the folder."""
    text = quote(name, safe=" +=@,;()[]{}~!$&'")
    return f"%2E{text[1:]}" if text.startswith(".") else text
