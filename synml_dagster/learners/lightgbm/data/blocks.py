"""A block of rows on its way into LightGBM: a float32 matrix, or what sparse vectors store of one.

Rows of Spark's vectors stay what they are, places and values, from the executor's memory to LightGBM's bins: a table of
hashed words has a quarter of a million columns and a few dozen values a row. Runs on executors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import DataError
from synml_dagster.files.xxhash import hash_floats, hash_ints, hash_longs

if TYPE_CHECKING:
    import pyarrow as pa
    from scipy.sparse import csr_matrix

    Block: TypeAlias = NDArray[np.float32] | csr_matrix

_WORTH_SPARSE = 0.25


def worth_sparse(stored: float, width: int) -> bool:
    """Return whether rows that store `stored` of `width` values on average are better kept as places and values."""
    return stored < _WORTH_SPARSE * width


def features_of(column: pa.Array, width: int) -> Block:
    """Return a column of lists of `width` float32 values, or of Spark's vectors, as a block.

    Nothing of lists is copied; a missing vector is a row of NaN.

    Raises
    ------
    DataError
        A vector has another number of values.
    """
    import pyarrow as pa

    if pa.types.is_struct(column.type):
        return _stored(column, width)
    return column.flatten().to_numpy().reshape(len(column), width)


def _stored(column: pa.StructArray, width: int) -> csr_matrix:
    """Spark keeps a sparse vector as places and values, a dense one as values alone."""
    import pyarrow.compute as pc
    from scipy.sparse import csr_matrix

    values = pc.struct_field(column, "values")
    given = pc.list_value_length(values)
    sizes = pc.coalesce(pc.struct_field(column, "size"), given)
    if pc.any(pc.not_equal(sizes, width)).as_py():
        other = sizes.filter(pc.not_equal(sizes, width))[0].as_py()
        raise DataError(
            f"features: a row of vectors does not hold {width} values as those of the training do, but {other}."
        )
    missing = column.is_null().to_numpy(zero_copy_only=False)
    lengths = np.where(missing, width, pc.fill_null(given, 0).to_numpy()).astype(np.int64)
    ends = np.r_[0, np.cumsum(lengths)]
    data = np.full(ends[-1], np.nan, np.float32)
    with np.errstate(over="ignore"):
        data[~np.repeat(missing, lengths)] = values.flatten().to_numpy()
    places = np.empty(ends[-1], np.int64)
    indices = pc.struct_field(column, "indices")
    whole = np.repeat(indices.is_null().to_numpy(zero_copy_only=False), lengths)
    places[~whole] = indices.flatten().to_numpy()
    places[whole] = (np.arange(ends[-1]) - np.repeat(ends[:-1], lengths))[whole]
    block = csr_matrix((data, places, ends), shape=(len(column), width))
    block.eliminate_zeros()  # a vector is the same whether it stores its zeros or not
    return block


def hashes_of(block: csr_matrix) -> NDArray[np.int64]:
    """Return a number for each row that depends on its values alone and not on how they are stored."""
    cells = hash_ints(block.indices.astype(np.int32, copy=False), hash_floats(block.data))
    rows = np.zeros(block.shape[0], np.uint64)
    filled = np.diff(block.indptr) > 0
    if filled.any():
        rows[filled] = np.bitwise_xor.reduceat(cells, block.indptr[:-1][filled])
    return hash_longs(rows.view(np.int64)).view(np.int64)


def is_sparse(block: Block) -> TypeGuard[csr_matrix]:
    """Return whether the block is what sparse vectors store."""
    return not isinstance(block, np.ndarray)


def stacked(blocks: Sequence[Block], width: int) -> Block:
    """Return the blocks as one; an empty matrix where there are none."""
    if not blocks:
        return np.empty((0, width), np.float32)
    if is_sparse(blocks[0]):
        from scipy.sparse import vstack

        return vstack(blocks, format="csr")
    return np.concatenate(blocks)


def to_bytes(block: Block) -> bytes:
    """Return the values of a block as `from_bytes` reads them."""
    if isinstance(block, np.ndarray):
        return np.ascontiguousarray(block).tobytes()
    parts: list[Any] = [
        block.indptr.astype(np.int64),
        block.indices.astype(np.int32, copy=False),
        block.data,
    ]
    return b"".join(part.tobytes() for part in parts)


def from_bytes(data: Any, rows: int, width: int, sparse: bool) -> Block:
    """Return the block of `rows` rows that `to_bytes` wrote."""
    if not sparse:
        return np.frombuffer(data, np.float32).reshape(rows, width)
    from scipy.sparse import csr_matrix

    ends = np.frombuffer(data, np.int64, rows + 1)
    places = np.frombuffer(data, np.int32, ends[-1], ends.nbytes)
    values = np.frombuffer(data, np.float32, ends[-1], ends.nbytes + places.nbytes)
    return csr_matrix((values, places, ends), shape=(rows, width))
