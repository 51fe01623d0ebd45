"""Arrow columns as the tensors that a graph takes, in one copy or none, and what is wrong with rows that do not fit.

Null, NaN and, for text, "" are the same thing in a tensor: missing. Dates become days and timestamps microseconds
since 1970-01-01. Imported by executors: light on imports.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synml_dagster.columns import is_missing
from synml_dagster.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

NUMPY = {
    "float": np.float32,
    "double": np.float64,
    "float16": np.float16,
    "int8": np.int8,
    "int16": np.int16,
    "int32": np.int32,
    "int64": np.int64,
    "uint8": np.uint8,
    "uint16": np.uint16,
    "uint32": np.uint32,
    "uint64": np.uint64,
    "bool": np.bool_,
}
MICROSECONDS_A_DAY = 86_400_000_000


@dataclass
class Reasons:
    """Why rows cannot be scored: one reason per row, the first that was found."""

    by_row: dict[int, str]

    def add(self, rows: NDArray[np.bool_], reason: str) -> None:
        """Note `reason` for the rows that are marked."""
        for row in np.flatnonzero(rows).tolist():
            self.by_row.setdefault(row, reason)


def tensor(column: pa.Array, name: str, kind: str, width: int | None, reasons: Reasons) -> NDArray[Any]:
    """Return a column as an array of shape `[N, width]`, or `[N]` where width is None and values are single.

    Parameters
    ----------
    column
        Numbers, booleans, text, dates, timestamps, decimals, or lists of numbers.
    name
        What messages call it.
    kind
        The tensor's element type, as `float` or `string`.
    width
        Values per row; a list column of another length is a bad row. None takes what the lists have.
    reasons
        Gets the rows that do not fit; their places in the result hold 0, NaN or "".

    Raises
    ------
    DataError
        The column's type can never fill such a tensor.
    """
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        return _lists(column, name, kind, width, reasons)
    if pa.types.is_fixed_size_list(column.type):
        return _lists(column.cast(pa.list_(column.type.value_type)), name, kind, width, reasons)
    if kind == "string":
        return text_values(column, name).reshape(-1, 1)
    if kind not in NUMPY:
        raise DataError(f"Input {name!r} is a {kind}, which no table column can fill.")
    return _numbers(column, name, kind, reasons).reshape(-1, 1)


def text_values(column: pa.Array, name: str) -> NDArray[Any]:
    """Return a column as an object array of str, "" for null; numbers and booleans as Spark writes them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        if not (
            pa.types.is_integer(column.type)
            or pa.types.is_boolean(column.type)
            or pa.types.is_null(column.type)
        ):
            raise DataError(
                f"Column {name!r} is {column.type} where the graph takes text. Cast it in the source."
            )
        column = column.cast(pa.string())
    if column.null_count:
        column = pc.fill_null(column, "")
    return column.to_numpy(zero_copy_only=False)


def _numbers(column: pa.Array, name: str, kind: str, reasons: Reasons) -> NDArray[Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    types, given = pa.types, column.type
    if types.is_string(given) or types.is_large_string(given):
        return _written_numbers(column, name, kind, reasons)
    if types.is_date(given):
        column = column.cast(pa.date32()).cast(pa.int32())
    elif types.is_timestamp(given):
        column = column.cast(pa.timestamp("us", tz=given.tz), safe=False).cast(pa.int64())
    elif types.is_boolean(given):
        column = column.cast(pa.uint8())
    elif types.is_decimal(given):
        column = column.cast(pa.float64())
    elif types.is_null(given):
        column = pa.nulls(len(column), pa.float64())
    elif not (types.is_integer(given) or types.is_floating(given)):
        raise DataError(
            f"Column {name!r} is {given} where the graph takes {kind} numbers. Cast it in the source."
        )
    target = NUMPY[kind]
    if np.issubdtype(target, np.floating):
        if column.null_count:
            # A double and not the column's own float: pyarrow widens whole numbers with nulls by itself.
            column = pc.fill_null(
                column.cast(pa.float64(), safe=False) if types.is_integer(column.type) else column,
                float("nan"),
            )
        values = column.to_numpy(zero_copy_only=False)
        with np.errstate(over="ignore"):
            return values.astype(target, copy=False)
    missing = np.zeros(len(column), dtype=np.bool_)
    if column.null_count:
        missing = column.is_null().to_numpy(zero_copy_only=False)
        reasons.add(missing, f"{name!r} is missing, and a tensor of {kind} has no value for that")
        column = pc.fill_null(column, 0)
    return _whole(column.to_numpy(zero_copy_only=False), name, kind, reasons)


def _whole(values: NDArray[Any], name: str, kind: str, reasons: Reasons) -> NDArray[Any]:
    target = NUMPY[kind]
    if target is np.bool_:
        return values != 0
    limits = np.iinfo(target)
    if np.issubdtype(values.dtype, np.floating):
        broken = ~np.isfinite(values) | (values != np.trunc(values))
        reasons.add(broken, f"{name!r} is not a whole number, which a tensor of {kind} needs")
        values = np.where(broken, 0, values)
        outside = (values < float(limits.min)) | (values >= float(limits.max) + 1)
    else:
        own = np.iinfo(values.dtype)
        if own.min >= limits.min and own.max <= limits.max:
            return values.astype(target, copy=False)
        outside = np.zeros(len(values), dtype=np.bool_)
        if own.min < limits.min:
            outside |= values < limits.min
        if own.max > limits.max:
            outside |= values > limits.max
    reasons.add(outside, f"{name!r} is out of the range of {kind}")
    return np.where(outside, 0, values).astype(target)


def _written_numbers(column: pa.Array, name: str, kind: str, reasons: Reasons) -> NDArray[Any]:
    """Numbers that came as text: the rows that hold none are bad, empty ones are missing."""
    import pyarrow.compute as pc

    words = pc.utf8_trim_whitespace(pc.fill_null(column, "")).to_pylist()
    values = np.full(len(words), np.nan)
    broken = np.zeros(len(words), dtype=np.bool_)
    for i, word in enumerate(words):
        if is_missing(word):
            continue
        try:
            values[i] = float(word)
        except ValueError:
            broken[i] = True
    reasons.add(broken, f"{name!r} is text that is no number")
    if np.issubdtype(NUMPY[kind], np.floating):
        return values.astype(NUMPY[kind])
    return _whole(values, name, kind, reasons)


def _lists(column: pa.Array, name: str, kind: str, width: int | None, reasons: Reasons) -> NDArray[Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    lengths = pc.fill_null(pc.list_value_length(column), -1).to_numpy(zero_copy_only=False)
    if width is None:
        width = int(lengths.max(initial=1))
    short = lengths != width
    if not short.any():
        # `flatten` keeps to the rows of a slice, `values` does not.
        inner = tensor(column.flatten(), name, kind, 1, _Inner(reasons, width))
        return inner.reshape(len(column), width)
    reasons.add(short, f"{name!r} does not hold {width} values")
    blank: Any = "" if kind == "string" else np.nan if np.issubdtype(NUMPY[kind], np.floating) else 0
    out: NDArray[Any] = np.full(
        (len(column), width), blank, dtype=object if kind == "string" else NUMPY[kind]
    )
    good = np.flatnonzero(~short)
    if len(good):
        out[good] = _lists(column.take(pa.array(good)), name, kind, width, _Rows(reasons, good))
    return out


class _Inner(Reasons):
    """Turns places in a flattened list column back into rows."""

    def __init__(self, outer: Reasons, width: int) -> None:
        self.outer, self.inner_width = outer, width

    def add(self, rows: NDArray[np.bool_], reason: str) -> None:
        if rows.any():
            self.outer.add(np.asarray(rows.reshape(-1, self.inner_width).any(axis=1)), reason)


class _Rows(Reasons):
    """Turns places in a selection back into rows."""

    def __init__(self, outer: Reasons, selected: NDArray[np.int64]) -> None:
        self.outer, self.selected = outer, selected

    def add(self, rows: NDArray[np.bool_], reason: str) -> None:
        wide = np.zeros(int(self.selected.max()) + 1, dtype=np.bool_)
        wide[self.selected[rows]] = True
        self.outer.add(wide, reason)
