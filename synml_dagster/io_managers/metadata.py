"""What an asset's page shows of a table: rows, columns, place."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import dagster as dg

from synml_dagster.tables import CatalogTable, DatabaseTable, Table
from synml_dagster.tables.plain_folder import plain_folder

Written = Table | CatalogTable | DatabaseTable
"""What an output publishes."""

_OF_ML = {"VectorUDT": "vector", "MatrixUDT": "matrix"}
"""Spark ML's own types, by the last part of their class."""


def described(context: dg.OutputContext, tables: dict[str | None, Written]) -> dict[str, Any]:
    """Return the metadata of what one output published, a table per partition or one under the key None."""
    first, rows = next(iter(tables.values())), sum(t.rows for t in tables.values())
    told: dict[str, Any] = {}
    if len(tables) == 1:
        told["dagster/column_schema"] = _columns(first.schema_json)
    if isinstance(first, Table):
        told |= _files(context, list(tables.values()))
    else:
        told |= {"dagster/table_name": first.name, "dagster/storage_kind": first.provider or "table"}
        if isinstance(first, DatabaseTable):
            told["dagster/uri"] = first.address
    if not context.has_asset_partitions:
        told["dagster/row_count"] = rows
    elif len(tables) == 1:
        told["dagster/partition_row_count"] = rows
    else:
        # Dagster copies this metadata to each of the run's partitions, so a key that means one would be wrong on all;
        # `each_partition` says what is each one's own.
        told["rows of this run"] = rows
    return told


def each_partition(context: dg.OutputContext, tables: dict[str | None, Written]) -> None:
    """Give each partition's materialization its own columns, row count and version, where a run has several of them."""
    if len(tables) < 2:
        return
    for key, table in tables.items():
        told: dict[str, Any] = {
            "dagster/column_schema": _columns(table.schema_json),
            "dagster/partition_row_count": table.rows,
        }
        if isinstance(table, Table):
            told |= {"version": table.version, "path": dg.MetadataValue.path(table.path)}
        context.step_context.add_asset_metadata(told, asset_key=context.asset_key, partition_key=key)


def observations(context: dg.OutputContext, tables: dict[str | None, Written]) -> list[dg.AssetObservation]:
    """Return the row count of each partition, where a run has several of them."""
    if len(tables) < 2:
        return []
    return [
        dg.AssetObservation(
            context.asset_key, partition=key, metadata={"dagster/partition_row_count": table.rows}
        )
        for key, table in tables.items()
    ]


def _files(context: dg.OutputContext, tables: list[Any]) -> dict[str, Any]:
    first = tables[0]
    base = first.root if len(tables) == 1 else first.whole_root.rsplit("/", 1)[0]
    told = {
        "dagster/uri": _shown(base),
        "dagster/storage_kind": "parquet",
        "version": ", ".join(t.version for t in tables),
        "path": dg.MetadataValue.path(first.path if len(tables) == 1 else _shown(base)),
    }
    if context.has_asset_key:
        told["dagster/table_name"] = ".".join(context.asset_key.path)
    names = dict.fromkeys(name for t in tables for name in t.counts)
    return told | {name: sum(t.counts.get(name, 0) for t in tables) for name in names}


def _shown(root: str) -> str:
    """The folder that readers are given, which is not where its versions lie."""
    if os.path.basename(root) == "partitions":
        return plain_folder(os.path.dirname(root)) or root
    return plain_folder(root) or root


def _columns(schema_json: str) -> dg.TableSchema:
    return dg.TableSchema(
        [
            dg.TableColumn(f["name"], _type_of_field(f), description=f["metadata"].get("comment"))
            for f in json.loads(schema_json)["fields"]
        ]
    )


def _type_of_field(told: dict[str, Any]) -> str:
    """Name the type of a field of Spark's JSON schema as a data frame does, whose names the feature plan keeps."""
    return _type_name(told["type"], told["name"], told["metadata"].get("__COLLATIONS", {}))


def _type_name(kind: Any, place: str = "", collations: Mapping[str, str] = MappingProxyType({})) -> str:
    """Name a type; how texts are compared stands beside it, by place within the field."""
    if isinstance(kind, str):
        if kind == "string" and place in collations:
            return f"string collate {collations[place].rpartition('.')[2]}"
        return {"long": "bigint", "integer": "int", "short": "smallint", "byte": "tinyint"}.get(kind, kind)
    if kind["type"] == "array":
        return f"array<{_type_name(kind['elementType'], f'{place}.element', collations)}>"
    if kind["type"] == "map":
        of = [_type_name(kind[f"{part}Type"], f"{place}.{part}", collations) for part in ("key", "value")]
        return f"map<{','.join(of)}>"
    if kind["type"] == "struct":
        return f"struct<{','.join(f['name'] + ':' + _type_of_field(f) for f in kind['fields'])}>"
    named = str(kind.get("class", kind["type"]))
    return _OF_ML.get(named.rpartition(".")[2], named)
