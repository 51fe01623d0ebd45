"""Rows as points of Qdrant: an id made of the key, the vectors, and all other columns as the payload."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from synml_dagster.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pyarrow as pa

NAMESPACE = uuid.UUID("6f1c2f3e-7f0b-5d7a-9a55-8c1f6f6f5e0a")
"""Point ids are UUIDs, version 5, in this namespace, of the key's values as a JSON list without blanks."""

MARK = "synml_write"
"""The part of the payload that says which overwrite has written a point."""

_PAYLOAD = ("string", "boolean", "byte", "short", "integer", "long", "float", "double", "date", "timestamp", "timestamp_ntz")  # fmt: skip
_KEYS = ("string", "boolean", "byte", "short", "integer", "long", "date")


@dataclass(frozen=True, slots=True)
class Point:
    """A row as Qdrant takes it.

    Attributes
    ----------
    id
        Of its key.
    text
        The point as JSON.
    digest
        Of all of it, in 8 bytes.
    """

    id: uuid.UUID
    text: str
    digest: bytes


def point_id(values: list[Any]) -> uuid.UUID:
    """Return the id of the point whose key has these values, as they are in the payload.

    Examples
    --------
    >>> point_id([7])
    UUID('27b3ce16-837d-5337-bafd-87c8d33f7295')
    """
    return uuid.uuid5(NAMESPACE, json.dumps(values, ensure_ascii=False, separators=(",", ":")))


def check_kinds(kinds: Mapping[str, Any], key: tuple[str, ...], vectors: Mapping[str, str]) -> None:
    """Refuse columns that no payload holds unchanged, and keys that are no keys.

    Parameters
    ----------
    kinds
        Column to its type, as Spark's JSON of schemas has it.
    key
        The key's columns.
    vectors
        Column to the name of the vector that it becomes.

    Raises
    ------
    ConfigError
        It names the column.
    """
    for name in key:
        if kinds[name] not in _KEYS:
            raise ConfigError(
                f"vectors: the key column {name!r} is {_shown(kinds[name])}; a key is text, whole numbers, booleans or dates. Cast it before it is written."
            )
    for name, kind in kinds.items():
        if name == MARK:
            raise ConfigError(f"vectors: a column {name!r} is this format's own; choose another name")
        if name not in vectors and (bad := _unholdable(kind)):
            raise ConfigError(
                f"vectors: the column {name!r} holds {bad}, which no payload holds unchanged. Cast it, by to_json or to text, or leave it out."
            )


def points(
    batch: pa.RecordBatch,
    key: tuple[str, ...],
    vectors: Mapping[str, str],
    sizes: Mapping[str, int],
    mark: str | None,
) -> Iterator[Point]:
    """Yield the points of rows.

    Parameters
    ----------
    batch
        The rows.
    key
        The key's columns.
    vectors
        Column to the name of the vector that it becomes; an empty name where the collection has one vector without a name.
    sizes
        Column to the numbers that its vectors have.
    mark
        What the payload says of the write, where it says anything.

    Raises
    ------
    DataError
        A row has no key, or a vector of another size, or a number that is none.
    """
    made = {name: _vectors(name, batch.column(name), sizes[name]) for name in vectors}
    rest = batch.select([name for name in batch.schema.names if name not in vectors]).to_pylist()
    for i, row in enumerate(rest):
        payload = {name: _plain(name, value) for name, value in row.items()}
        values = [payload[name] for name in key]
        if None in values:
            raise DataError(f"vectors: a row has nothing in its key column {key[values.index(None)]!r}")
        if mark is not None:
            payload[MARK] = mark
        told = {vectors[name]: texts[i] for name, texts in made.items() if texts[i] is not None}
        if "" in told:
            vector = told[""]
        else:
            vector = "{" + ",".join(f"{json.dumps(name)}:{text}" for name, text in told.items()) + "}"
        id = point_id(values)
        text = f'{{"id":"{id}","vector":{vector},"payload":{json.dumps(payload, ensure_ascii=False, separators=(",", ":"))}}}'
        yield Point(id, text, hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def _vectors(name: str, values: pa.Array, size: int) -> list[str | None]:
    """Return lists of numbers as JSON, each number as short as it can be and no shorter."""
    import pyarrow as pa
    import pyarrow.compute as pc

    lengths = pc.list_value_length(values).fill_null(size)
    if wrong := [n for n in pc.unique(lengths).to_pylist() if n != size]:
        raise DataError(
            f"vectors: the column {name!r} has a vector of {wrong[0]} numbers, and the collection's have {size}"
        )
    flat = pc.list_flatten(values)
    if flat.null_count or not pc.all(pc.is_finite(flat), min_count=0).as_py():
        raise DataError(
            f"vectors: the column {name!r} has a vector in which a number is missing, or none or infinite"
        )
    texts = pc.binary_join(values.cast(pa.list_(pa.string())), ",").to_pylist()
    return [None if text is None else f"[{text}]" for text in texts]


def _plain(name: str, value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        raise DataError(
            f"vectors: the column {name!r} holds a number that is none, or infinite, which JSON has not"
        )
    if isinstance(value, datetime):
        return (value if value.tzinfo is None else value.astimezone(UTC)).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return {inner: _plain(name, one) for inner, one in value.items()}
    if isinstance(value, list):
        return [_plain(name, one) for one in value]
    return value


def _unholdable(kind: Any) -> str | None:
    if isinstance(kind, str):
        return None if kind in _PAYLOAD or kind.startswith(("varchar", "char")) else kind
    if kind["type"] == "array":
        return _unholdable(kind["elementType"])
    if kind["type"] == "struct":
        return next((bad for one in kind["fields"] if (bad := _unholdable(one["type"]))), None)
    return str(kind["type"])


def _shown(kind: Any) -> str:
    return kind if isinstance(kind, str) else str(kind["type"])
