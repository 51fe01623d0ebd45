"""What an asset held last, for one that looks at it, or at its own, without being made of it."""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import suppress
from typing import Any

from synml_dagster.errors import SourceError, SynmlError
from synml_dagster.io_managers.place import asset_root, partition_root, partition_roots
from synml_dagster.io_managers.spark_table import SparkTableIOManager
from synml_dagster.tables import Table, open_table


def last_types(io_manager: Any, *key: str) -> dict[str, str]:
    """Return Spark's types of the columns that the asset `key` held last, of all its partitions; none where it held nothing.

    For an asset that goes on from its own last output.
    """
    if not isinstance(io_manager, SparkTableIOManager):
        return {}
    root = asset_root(io_manager.data_dir, *key)
    found: dict[str, str] = {}
    for place in [root, *partition_roots(root)]:
        try:
            schema = json.loads(open_table(place).schema_json)
        except SynmlError:
            continue
        for field in schema["fields"]:
            kind = field["type"] if isinstance(field["type"], str) else "other"
            kind = _SPARK_NAMES.get(kind, kind)
            before = found.setdefault(field["name"], kind)
            found[field["name"]] = before if before == kind else "string"
    return found


def last_tables(io_manager: Any, *key: str, partitions: Collection[str] | None = None) -> list[Table]:
    """Return what the asset `key` holds now, of the `partitions` where they are given; nothing where it holds nothing.

    For an asset that looks at another one without being made of it.
    """
    if not isinstance(io_manager, SparkTableIOManager):
        return []
    root, found = asset_root(io_manager.data_dir, *key), []
    places = [root] if partitions is None else [partition_root(root, part) for part in partitions]
    for place in places:
        with suppress(SourceError):
            found.append(open_table(place))
    return found


_SPARK_NAMES = {"long": "bigint", "integer": "int", "short": "smallint", "byte": "tinyint"}
"""Names of types in a schema's JSON that are others in SQL."""
