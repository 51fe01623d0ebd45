"""Arrow's values as PostgreSQL's COPY reads them, all rows of a batch at once, and which types go into which."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from synml_dagster.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 2000
"""Rows that become text at once: 2,000 vectors of 3,072 numbers are 80 MB."""

_WHOLE = {"byte": 1, "short": 2, "integer": 4, "long": 8}
_VECTORS = ("vector", "halfvec")
_TEXTS = ("text", "character varying", "character", "uuid", "json", "jsonb", "citext")

# By Spark's name of a type the types of PostgreSQL that hold each of its values unchanged. What is too large is refused there.
_HOLDS: dict[str, tuple[str, ...]] = {
    "boolean": ("boolean",),
    "float": ("real", "double precision"),
    "double": ("double precision",),
    "date": ("date",),
    "timestamp": ("timestamp with time zone",),
    "timestamp_ntz": ("timestamp without time zone",),
    "binary": ("bytea",),
    "string": _TEXTS,
    **dict.fromkeys(_WHOLE, ("smallint", "integer", "bigint", "numeric")),
}

Encode = Callable[["pa.Array"], "pa.Array"]


def encoder(name: str, kind: Any, column: str) -> Encode:
    """Return what makes COPY's text of a column.

    Parameters
    ----------
    name
        The column's name.
    kind
        Its type, as Spark's JSON of schemas has it.
    column
        The type in the database, as `format_type` says it.

    Raises
    ------
    ConfigError
        The database's column does not hold such values unchanged.
    """
    plain = re.sub(r"\(.*?\)", "", column).strip()
    if isinstance(kind, dict) and kind.get("type") == "array":
        element = kind["elementType"]
        if plain in _VECTORS and element in ("float", "double"):
            return lambda values: _joined(name, values, "[", "]")
        if plain.endswith("[]") and isinstance(element, str):
            inner = plain.removesuffix("[]")
            if inner in _TEXTS[:3] and element == "string":
                return _texts
            if inner in _HOLDS.get(element, ()) and element in ("float", "double", *_WHOLE):
                return lambda values: _joined(name, values, "{", "}")
    elif isinstance(kind, str):
        if found := re.fullmatch(r"decimal\((\d+),(\d+)\)", kind):
            bound = re.fullmatch(r"numeric\((\d+),(-?\d+)\)", column)
            if plain == "numeric" and (bound is None or int(bound[2]) >= int(found[2])):
                return _plain
        elif plain in _HOLDS.get(kind, ()):
            return {"string": _escaped, "binary": _bytes}.get(kind, _plain)
    shown = (
        kind
        if isinstance(kind, str)
        else f"array of {kind.get('elementType')}"
        if kind.get("type") == "array"
        else kind.get("type")
    )
    raise ConfigError(
        f"vectors: the column {name!r} is {shown}, and the table's is {column}, which does not hold each such value unchanged. "
        "Cast it before it is written, or leave it out; structs and maps go by to_json into jsonb."
    )


def column_type(name: str, kind: Any, dimensions: int | None) -> str:
    """Return the type that a new table's column has.

    Raises
    ------
    ConfigError
        No type of PostgreSQL is meant for it.
    """
    if dimensions is not None:
        return f"vector({dimensions})"
    if isinstance(kind, dict) and kind.get("type") == "array" and isinstance(kind["elementType"], str):
        return f"{column_type(name, kind['elementType'], None)}[]"
    if isinstance(kind, str):
        if found := re.fullmatch(r"decimal(\(\d+,\d+\))", kind):
            return f"numeric{found[1]}"
        if kind in _WHOLE:
            return {8: "bigint", 4: "integer"}.get(_WHOLE[kind], "smallint")
        if kind in _HOLDS:
            return _HOLDS[kind][0]
    raise ConfigError(
        f"vectors: no column of PostgreSQL is made for {name!r}; turn it into text by to_json, or make the table yourself"
    )


def lines(batches: Iterable[pa.RecordBatch], encoders: dict[str, Encode], task: str) -> Iterator[bytes]:
    """Yield COPY's text of rows: the columns in the order of `encoders`, then `task`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for batch in batches:
        for start in range(0, batch.num_rows, _ROWS):
            part = batch.slice(start, _ROWS)
            made = [pc.fill_null(encode(part.column(name)), "\\N") for name, encode in encoders.items()]
            rows = pc.binary_join_element_wise(*made, pa.scalar(task), "\t")
            yield ("\n".join(rows.to_pylist()) + "\n").encode()


class Stream:
    """Chunks of bytes as a file that COPY reads.

    `problem` is what went wrong with the chunks: the driver would tell it as an error of the database.
    """

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._left = chunks, memoryview(b"")
        self.problem: Exception | None = None

    def read(self, size: int = -1) -> bytes:
        """Return some of what is left, nothing at the end."""
        if not self._left:
            try:
                self._left = memoryview(next(self._chunks, b""))
            except Exception as problem:
                self.problem = problem
                raise
        cut = len(self._left) if size < 0 else size
        part, self._left = self._left[:cut], self._left[cut:]
        return bytes(part)


def _plain(values: pa.Array) -> pa.Array:
    import pyarrow as pa

    return values.cast(pa.string())


def _escaped(values: pa.Array) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    values = values.cast(pa.string())
    for one, instead in (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        values = pc.replace_substring(values, one, instead)
    return values


def _bytes(values: pa.Array) -> pa.Array:
    import pyarrow as pa

    return pa.array([None if one is None else "\\\\x" + one.hex() for one in values.to_pylist()], pa.string())


def _texts(values: pa.Array) -> pa.Array:
    import pyarrow as pa

    def quoted(one: str | None) -> str:
        return "NULL" if one is None else '"' + one.replace("\\", "\\\\").replace('"', '\\"') + '"'

    made = [None if row is None else "{" + ",".join(map(quoted, row)) + "}" for row in values.to_pylist()]
    return _escaped(pa.array(made, pa.string()))


def _joined(name: str, values: pa.Array, before: str, after: str) -> pa.Array:
    """Lists of numbers, each written as short as it can be and no shorter."""
    import pyarrow as pa
    import pyarrow.compute as pc

    made = pc.binary_join(values.cast(pa.list_(pa.string())), ",")
    if made.null_count > values.null_count:
        raise DataError(f"vectors: the column {name!r} holds a list in which a number is missing")
    return pc.binary_join_element_wise(pa.scalar(before), made, pa.scalar(after), "")
