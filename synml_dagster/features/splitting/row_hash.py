"""The hash of a row's content, by Spark and by numpy: it chooses sides, folds and samples wherever the row stands."""

from __future__ import annotations

from functools import cache, reduce
from typing import TYPE_CHECKING

import numpy as np

from synml_dagster.files.xxhash import hash_floats, hash_ints, hash_longs, hash_texts
from synml_dagster.spark.quoting import quoted

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column

_HASHES = {"int32": hash_ints, "int64": hash_longs, "float32": hash_floats, "float64": hash_floats}


def row_hash(hashed: list[tuple[str, ...]], seed: int) -> Column:
    """Return a bigint that depends on the content of the columns `hashed`, on the seed, and on nothing else.

    Each column is hashed by itself, so that whoever reads columns and not rows can hash a repeated word once.
    """
    from pyspark.sql import functions as sf

    # As text it is one call and not ten thousand; in pairs, because a chain of 5,000 is deeper than Spark's parser can go.
    parts = [f"xxhash64({i}, {quoted(*path)})" for i, path in enumerate(hashed)]
    while len(parts) > 1:
        pairs = [f"({a} ^ {b})" for a, b in zip(parts[::2], parts[1::2], strict=False)]
        parts = [*pairs, *parts[2 * len(pairs) :]]
    return sf.expr(f"xxhash64({seed}, {parts[0]})")


def row_hashes(columns: list[pa.Array], seed: int) -> np.ndarray:
    """Return what `row_hash` returns, int64 `[rows]`, for typed columns (`arrow_values.ARROW_TYPES`)."""
    return seeded(mixed_hashes(columns), seed)


def mixed_hashes(columns: list[pa.Array], first: int = 0) -> np.ndarray:
    """Return the hashes of columns mixed, uint64 `[rows]`; the first of them stands at place `first` of a row."""
    return reduce(np.bitwise_xor, (_hashes(column, i) for i, column in enumerate(columns, first)))


def seeded(mixed: np.ndarray, seed: int) -> np.ndarray:
    """Return the hashes of rows, int64 `[rows]`, whose columns' hashes are mixed."""
    return hash_longs(mixed.view(np.int64), _of_literal(seed)).view(np.int64)


def position_of(hashes: np.ndarray) -> np.ndarray:
    """Return where rows with these hashes stand in [0, 1), float64, as `split.position` has it."""
    again = hash_ints(np.ones(len(hashes), np.int32), hash_longs(hashes))
    return (again >> np.uint64(11)).astype(np.float64) / 2.0**53


@cache
def _of_literal(value: int) -> int:
    """The hash of a whole number as Spark types it: an int where it fits."""
    if -(2**31) <= value < 2**31:
        return int(hash_ints(np.array([value], np.int32))[0])
    return int(hash_longs(np.array([value], np.int64))[0])


def _hashes(column: pa.Array, i: int) -> np.ndarray:
    """The hashes of one column: of whole numbers, floats, booleans, dates, timestamps in microseconds, or strings."""
    import pyarrow as pa
    import pyarrow.compute as pc

    seed = _of_literal(i)
    there = None if column.null_count == 0 else column.is_valid().to_numpy(zero_copy_only=False)
    if pa.types.is_string(column.type):
        encoded = pc.fill_null(column, "").dictionary_encode()
        found = hash_texts(encoded.dictionary, seed)[encoded.indices.to_numpy()]
    else:
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.int64())
        elif not (pa.types.is_floating(column.type) or pa.types.is_int64(column.type)):
            column = column.cast(pa.int32())
        values = column.to_numpy() if there is None else pc.fill_null(column, 0).to_numpy()
        found = _HASHES[values.dtype.name](values, seed)
    return found if there is None else np.where(there, found, np.uint64(seed))
