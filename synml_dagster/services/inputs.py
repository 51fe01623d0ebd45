"""A service's inputs as columns of a table: which they are, what no request can hold, and the key of a row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from synml_dagster.errors import ConfigError, DataError, did_you_mean
from synml_dagster.services.description import Service
from synml_dagster.spark.quoting import quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_JSON = {
    "ignoreNullFields": "false",
    "timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX",
    "timestampNTZFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSS",
}
"""How rows are written for their keys: times to the microsecond, so that no two that differ are one."""


def wanted_rows(frame: DataFrame, columns: Mapping[str, Column], row_key: Column) -> DataFrame:
    """Return the keys of rows, as `key`, and the inputs in their order, as `i0`, `i1` and so on."""
    return frame.select(
        row_key.alias("key"), *(column.alias(f"i{i}") for i, column in enumerate(columns.values()))
    )


def input_columns(
    frame: DataFrame, service: Service, given: str | Mapping[str, str] | None
) -> dict[str, Column]:
    """Return the service's inputs as columns of the table.

    Raises
    ------
    ConfigError
        An input or a column is not there.
    DataError
        A column holds what no request can hold.
    """
    from pyspark.sql import functions as sf

    if frame.isStreaming:
        raise ConfigError("services: the rows are a stream; ask about each of its batches, in foreachBatch")
    inputs = service.inputs
    if not inputs:
        raise ConfigError(
            f"{service.name}: its description names no column, so every row would get the same answer"
        )
    if isinstance(given, str):
        if len(inputs) != 1:
            raise ConfigError(
                f"{service.name}: it takes {', '.join(inputs)}; say input: {{{inputs[0]}: {given}, ...}}"
            )
        given = {inputs[0]: given}
    taken = {name: name for name in inputs} | dict(given or {})
    for name in taken:
        if name not in inputs:
            raise ConfigError(
                f"{service.name}: it has no input {name!r}; it takes {', '.join(inputs)}.{did_you_mean(name, inputs)}"
            )
    fields = {field.name: field for field in frame.schema.fields}
    found = {}
    for name, column in taken.items():
        if column not in fields:
            raise ConfigError(
                f"{service.name}: the table has no column {column!r}, which its input {name!r} takes; it has {', '.join(frame.columns[:20])}."
                f"{did_you_mean(column, frame.columns)}"
            )
        if refused := _unsendable(fields[column].dataType.jsonValue()):
            raise DataError(
                f"{service.name}: column {column!r} holds {refused}, which no request can hold; turn it into text first"
            )
        found[name] = sf.col(quoted(column))
    return found


def _unsendable(kind: Any) -> str | None:
    """Return the part of a type, as its schema's JSON, that no request can hold."""
    if isinstance(kind, str):
        good = (
            "string",
            "binary",
            "boolean",
            "byte",
            "short",
            "integer",
            "long",
            "float",
            "double",
            "date",
            "timestamp",
            "timestamp_ntz",
        )
        return None if kind in good or kind.startswith(("decimal", "varchar", "char")) else kind
    if kind["type"] == "array":
        return _unsendable(kind["elementType"])
    if kind["type"] == "struct":
        return next((bad for field in kind["fields"] if (bad := _unsendable(field["type"]))), None)
    return str(kind.get("class") or kind["type"])


def check_keys(service: Service, wanted: DataFrame, inputs: list[str]) -> None:
    """Refuse two different rows that would be one document: which of them came last would be chance.

    Raises
    ------
    DataError
        It names some of the documents' keys.
    """
    from pyspark.sql import functions as sf

    column = service.documents.key_column if service.documents else None
    if column is None:
        return
    name = f"i{inputs.index(column)}"
    several = wanted.groupBy(name).agg(sf.count_distinct("key").alias("rows")).where("rows > 1")
    found = several.where(sf.col(name).isNotNull()).orderBy(name).limit(3).collect()
    if found:
        raise DataError(
            f"{service.name}: several different rows have the same {column!r}, such as {', '.join(repr(row[0]) for row in found)}; "
            "each document has one row. Leave one of them."
        )


def key_of(columns: Mapping[str, Column]) -> Column:
    """Return the key of a row: what its inputs are, in 128 bits. The service and its parameters are the journal's folder."""
    from pyspark.sql import functions as sf

    text = sf.to_json(sf.struct(*(column.alias(f"i{i}") for i, column in enumerate(columns.values()))), _JSON)
    names = json.dumps(list(columns), ensure_ascii=False)
    return sf.substring(sf.sha2(sf.concat(sf.lit(names), text), 256), 1, 32)
