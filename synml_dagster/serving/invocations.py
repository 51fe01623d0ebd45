"""MLflow's `/invocations`: four forms of JSON, CSV and Parquet in, `predictions` out."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from synml_dagster.serving.rows import RequestError, Rows, from_columns, from_records, from_table

if TYPE_CHECKING:
    import pyarrow as pa

JSON, CSV, PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"
MEDIA_TYPES = (JSON, CSV, PARQUET)
FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")


def read_body(body: bytes, media_type: str, max_rows: int, only: str | None = None) -> Rows:
    """Return the rows of a body.

    Parameters
    ----------
    body
        All of it.
    media_type
        One of `MEDIA_TYPES`.
    max_rows
        How many are allowed.
    only
        The column of a model that takes but one: its rows may come without a name.

    Raises
    ------
    RequestError
        It is malformed, or of more rows.
    """
    if media_type == CSV:
        rows = _csv(body, max_rows)
    elif media_type == PARQUET:
        rows = _parquet(body, max_rows, len(body))
    else:
        rows = _json(parsed(body), only)
    if rows.count > max_rows:
        raise RequestError(f"{rows.count} rows are more than the {max_rows} that one request may have.", 413)
    if rows.count == 0:
        raise RequestError("There are no rows in the body.")
    return rows


def parsed(body: bytes) -> dict[str, Any]:
    """Return the object that a JSON body holds.

    Raises
    ------
    RequestError
        It is no JSON, no object, or an object in it has a name twice.
    """
    try:
        found = json.loads(body, object_pairs_hook=_once)
    except RecursionError:
        raise RequestError("The body is JSON nested too deep.") from None
    except UnicodeDecodeError as problem:
        raise RequestError(f"The body is no UTF-8: {problem.reason} at byte {problem.start}.") from None
    except json.JSONDecodeError as problem:
        raise RequestError(
            f"The body is no JSON: {problem.msg} at line {problem.lineno}, column {problem.colno}."
        ) from None
    except ValueError as problem:  # a number of more digits than Python reads
        raise RequestError(f"The body is no JSON that can be read: {problem}.") from None
    if not isinstance(found, dict):
        raise RequestError("The body is no JSON object.")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise RequestError(f"{twice!r} is twice in one object of the body.")
    return found


def _json(found: dict[str, Any], only: str | None) -> Rows:
    forms = [name for name in FORMS if name in found]
    if len(forms) != 1:
        told = " and ".join(forms) or "none of them"
        raise RequestError(f"The body has one of {', '.join(FORMS)}; this one has {told}.")
    (form,) = forms
    if others := [name for name in found if name not in (form, "params")]:
        raise RequestError(f"The body has {others[0]!r} beside {form!r}; only 'params' may be there.")
    if found.get("params"):
        raise RequestError("This model takes no params.")
    given = found[form]
    if form == "dataframe_split":
        return _split(given)
    if form == "dataframe_records":
        return from_records(_listed(given, form), form)
    if form == "inputs" and isinstance(given, dict):
        return from_columns(given, form)
    rows = _listed(given, form)
    if form == "instances" and all(isinstance(row, dict) for row in rows):
        return from_records(rows, form)
    if only is None:
        raise RequestError(
            f"{form}: the model takes several columns. Give "
            + (
                "each row as an object of column to value."
                if form == "instances"
                else "an object of column to its values."
            )
        )
    return Rows({only: rows}, len(rows))


def _listed(given: Any, form: str) -> list[Any]:
    if not isinstance(given, list):
        raise RequestError(f"{form}: a list of rows is needed.")
    return given


def _split(given: Any) -> Rows:
    what = "dataframe_split"
    if not isinstance(given, dict):
        raise RequestError(f"{what}: an object with 'columns' and 'data' is needed.")
    if others := [name for name in given if name not in ("columns", "data", "index")]:
        raise RequestError(f"{what}: {others[0]!r} is unknown; it has 'columns', 'data' and perhaps 'index'.")
    for name in ("columns", "data"):
        if not isinstance(given.get(name), list):
            raise RequestError(f"{what}: {name!r} is a list.")
    return from_table(given["columns"], given["data"], what)


def _csv(body: bytes, max_rows: int) -> Rows:
    """A line of names and the rows; what is empty is missing, and values are read as the model's columns want them."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise RequestError(f"The body is no UTF-8: {problem.reason} at byte {problem.start}.") from None
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    data: list[list[str | None]] = []
    try:
        names = next(lines, None)
        if not names:
            raise RequestError("The body is CSV without a line of names.")
        for row in lines:
            if not row and len(names) > 1:  # an empty line
                continue
            data.append([value if value != "" else None for value in row] or [None])
            if len(data) > max_rows:
                raise RequestError(f"More than {max_rows} rows in one request.", 413)
    except csv.Error as problem:
        raise RequestError(f"The body is no CSV: {problem} in line {lines.line_num}.") from None
    return from_table(names, data, "CSV")


def _parquet(body: bytes, max_rows: int, size: int) -> Rows:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(body))
        told = file.metadata
        if told.num_rows > max_rows:
            raise RequestError(
                f"{told.num_rows} rows are more than the {max_rows} that one request may have.", 413
            )
        inside = sum(told.row_group(i).total_byte_size for i in range(told.num_row_groups))
        if inside > 64 * max(size, 2**20):
            raise RequestError(
                f"The Parquet file holds {inside} bytes in {size}; that is too much of one.", 413
            )
        names = file.schema_arrow.names
        words = [
            f.name
            for f in file.schema_arrow
            if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)
        ]
        # Words as they lie in the file: one that fills a thousand rows is held once.
        table = pq.ParquetFile(pa.BufferReader(body), read_dictionary=words).read(use_threads=False)
    except RequestError:
        raise
    except Exception as problem:
        told_first = next(iter(str(problem).splitlines()), type(problem).__name__)
        raise RequestError(f"The body is no Parquet file that can be read: {told_first[:200]}") from None
    if len(set(names)) < len(names):
        raise RequestError("Parquet: a column is there twice.")
    columns = {name: _values(column, name, size) for name, column in zip(names, table.columns, strict=True)}
    return Rows(columns, table.num_rows)


def _values(column: pa.ChunkedArray, name: str, size: int) -> Sequence[Any]:
    import pyarrow as pa

    types, kind = pa.types, column.type
    if types.is_dictionary(kind):
        found: list[Any] = []
        length = 0
        for chunk in column.chunks:
            words = [*chunk.dictionary.to_pylist(), None]
            places = chunk.indices.to_numpy(zero_copy_only=False) if not chunk.indices.null_count else None
            if places is None:
                places = chunk.indices.fill_null(len(words) - 1).to_numpy(zero_copy_only=False)
            lengths = np.array([len(word) if isinstance(word, str) else 8 for word in words])
            length += int(lengths[places].sum()) if len(places) else 0
            if length > 64 * max(size, 2**20):
                raise RequestError(f"Parquet: column {name!r} holds more text than a request may.", 413)
            found += [words[i] for i in places.tolist()]
        return found
    if types.is_timestamp(kind) and kind.unit == "ns":
        column = column.cast(pa.timestamp("us", tz=kind.tz), safe=False)
    elif types.is_floating(kind) and kind.bit_width == 32:
        # Of their own width: to a column of text 0.1 is 0.1.
        return [None if value is None else np.float32(value) for value in column.to_pylist()]
    return column.to_pylist()


def write_reply(answers: dict[str, list[Any]]) -> bytes:
    """Return the reply: one object for each row, numbers to the last bit, null for what is no number."""
    names = list(answers)
    rows = [dict(zip(names, row, strict=True)) for row in zip(*answers.values(), strict=True)]
    return dumped({"predictions": rows})


def dumped(reply: Any) -> bytes:
    """Return `reply` as JSON; NaN and infinities, which JSON has not, are null."""
    try:
        return _ENCODER.encode(reply).encode()
    except ValueError:
        return _ENCODER.encode(_finite(reply)).encode()


_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value
