"""Raw values, words and labels in Arrow, each equal to what Spark's expression makes of the same value.

The counterparts are `RawInput.value`, `as_word`, `label_word` and `label_number`. Runs on executors: numpy and pyarrow only.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from synml_dagster.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

ARROW_TYPES = {
    "boolean": "bool",
    "tinyint": "int8",
    "smallint": "int16",
    "int": "int32",
    "bigint": "int64",
    "float": "float32",
    "double": "float64",
    "string": "string",
    "date": "date32",
    "timestamp": "timestamp[us]",
    "timestamp_ntz": "timestamp[us]",
}
"""The Arrow type that holds the values of each of Spark's types that is read here; no decimals, structs or arrays."""

LARGEST_WORD = 9.2e18
"""Within int64: casting a larger float64 is undefined in C and an error in Spark."""
TOO_LARGE = "too large"

_LARGEST_EXACT = 1e15
_PLAIN_NUMBER = r"^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
_INFINITE = re.compile(r"([+-]?)inf(?:inity)?", re.IGNORECASE)
_DECIMAL = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)[fFdD]?", re.ASCII)
_HEXADECIMAL = re.compile(
    r"([+-]?0[xX](?:[0-9a-fA-F]+\.?|[0-9a-fA-F]*\.[0-9a-fA-F]+)[pP][+-]?[0-9]+)[fFdD]?", re.ASCII
)


def arrow_type(spark_type: str) -> pa.DataType:
    """Return the Arrow type that holds the values of a Spark type of `ARROW_TYPES`; a timestamp's without its zone."""
    import pyarrow as pa

    return pa.type_for_alias(ARROW_TYPES[spark_type])


def typed(column: pa.Array, name: str, spark_type: str) -> pa.Array:
    """Return a file's column in the type that the table has it in.

    Raises
    ------
    DataError
        The file holds values that this type cannot hold.
    """
    import pyarrow as pa

    wanted = arrow_type(spark_type)
    if pa.types.is_timestamp(wanted) and pa.types.is_timestamp(column.type):
        wanted = pa.timestamp("us", tz=column.type.tz)
    if column.type == wanted:
        return column
    try:
        return column.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as problem:
        raise DataError(
            f"column {name!r} is {spark_type} in the table and {column.type} in one of its files, whose values do not fit: {problem}"
        ) from problem


def number(column: pa.Array) -> np.ndarray:
    """Return a typed column that holds no text as float64 `[rows]`, NaN where it is missing."""
    import pyarrow as pa

    if pa.types.is_date(column.type):
        column = column.cast(pa.int32())
    elif pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    elif pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    if column.type != pa.float64():
        column = column.cast(pa.float64(), safe=False)
    return _filled(column, float("nan")).to_numpy(zero_copy_only=False)


def word(column: pa.Array) -> pa.Array:
    """Return a typed column, of text or of whole numbers, as words, "" where it is missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(column.type):
        return pc.fill_null(column, "")
    if pa.types.is_integer(column.type):  # exactly: neighbours beyond 2^53 are one float64
        return pc.fill_null(column.cast(pa.string()), "")
    values = number(column)
    fits = np.abs(values) < LARGEST_WORD
    text = pa.array(np.where(fits, values, 0.0).astype(np.int64)).cast(pa.string())
    text = pc.if_else(pa.array(fits), text, TOO_LARGE)
    return pc.if_else(pa.array(np.isnan(values)), "", text)


def label_word(column: pa.Array, missing: tuple[str, ...] = ()) -> pa.Array:
    """Return a label as text, "" where it is missing or one of the words `missing`; a number that is not whole or very large is not as Spark writes it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(column.type):
        words = pc.utf8_trim(pc.fill_null(column, ""), " ")
        if not missing:
            return words
        return pc.if_else(pc.is_in(words, pa.array(missing, words.type)), "", words)
    if pa.types.is_boolean(column.type):
        return pc.fill_null(column.cast(pa.string()), "")
    if pa.types.is_integer(column.type):  # exactly: neighbours beyond 2^53 are one float64
        return pc.fill_null(column.cast(pa.string()), "")
    values = number(column)
    whole = (np.abs(values) < _LARGEST_EXACT) & (values == np.floor(values))
    text = pa.array(np.where(whole, values, 0.0).astype(np.int64)).cast(pa.string())
    text = pc.if_else(pa.array(whole), text, pa.array(values).cast(pa.string()))
    return pc.if_else(pa.array(np.isnan(values)), "", text)


def as_spark_writes(label_words: list[str]) -> bool:
    """Return whether `label_word` has written these labels, all of them numbers, as Spark does."""
    return all(re.fullmatch("-?[0-9]+", w) for w in label_words)


def label_number(column: pa.Array, marks: tuple[str, str, str, bool] | None = None) -> np.ndarray:
    """Return a label as float64 `[rows]`, NaN where it is missing or not a number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_string(column.type):
        return number(column)
    encoded = pc.fill_null(column, "").dictionary_encode()
    words = encoded.dictionary
    if marks is not None:
        from synml_dagster.columns.number_format import NumberFormat

        read = NumberFormat.of(marks).read
        found = np.array([read(word.strip(" ")) for word in words.to_pylist()], dtype=np.float64)
        return found[encoded.indices.to_numpy()]
    plain = pc.match_substring_regex(words, _PLAIN_NUMBER)
    found = pc.if_else(plain, words, "nan").cast(pa.float64()).to_numpy().copy()
    for i in np.flatnonzero(~plain.to_numpy(zero_copy_only=False)):
        found[i] = java_double(words[i].as_py())
    return found[encoded.indices.to_numpy()]


def _filled(column: pa.Array, value: Any) -> pa.Array:
    import pyarrow.compute as pc

    return pc.fill_null(column, value) if column.null_count else column


def java_double(text: str) -> float:
    """Return the double that Spark casts `text` to, NaN where it is none (java.lang.Double.valueOf, and infinities in words)."""
    text = text.strip("".join(map(chr, range(33))))
    if found := _DECIMAL.fullmatch(text):
        return float(found[1])
    if found := _INFINITE.fullmatch(text):
        return float("-inf" if found[1] == "-" else "inf")
    if found := _HEXADECIMAL.fullmatch(text):
        try:
            return float.fromhex(found[1])
        except OverflowError:
            return float("-inf" if text.startswith("-") else "inf")
    return float("nan")


def label_values(words: pa.ChunkedArray, numbers: np.ndarray, classes: list[str] | None) -> np.ndarray:
    """Return a label as float64 `[rows]`: the index of its class where there are classes, else its number."""
    if not classes:
        return numbers
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.index_in(words, pa.array(classes, pa.string()))
    return pc.fill_null(found.cast(pa.float64()), float("nan")).to_numpy(zero_copy_only=False)
