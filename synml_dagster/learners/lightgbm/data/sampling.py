"""The sample that bins are found from: chosen by what is in a row, so that it does not depend on where the row lies.

A row's hash is Spark's own xxhash64 over up to eight of its features, computed by Spark where rows come through Spark
and by the same formula in numpy where a rank reads files; that of a sparse vector is made of all the values it stores.
The rows with the smallest hashes are the sample. Where rows repeat so often that whole groups of equal rows would come
or stay away together, the hash is taken over all features and over the number of the repetition.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from synml_dagster.files.xxhash import SEED, hash_floats, hash_longs
from synml_dagster.learners.lightgbm.data.blocks import hashes_of, is_sparse, stacked

if TYPE_CHECKING:
    from collections.abc import Callable

    from synml_dagster.learners.lightgbm.data.blocks import Block

DEFAULT_SAMPLE = 200_000
_HASHED_FEATURES = 8
_SAMPLE_BYTES = 1 << 30


def sample_size(asked: int, values: float) -> int:
    """Return how many rows to sample: `asked`, or fewer where so many that store `values` each take over 1 GiB."""
    return max(1000, min(asked, int(_SAMPLE_BYTES // (4 * max(1.0, values)))))


def hashed_features(features: int) -> list[int]:
    """Return the numbers of the features whose values make a row's hash, spread evenly over all."""
    if features <= _HASHED_FEATURES:
        return list(range(features))
    return sorted({round(i * (features - 1) / (_HASHED_FEATURES - 1)) for i in range(_HASHED_FEATURES)})


def row_hashes(columns: list[NDArray[np.float32]]) -> NDArray[np.int64]:
    """Return Spark's `xxhash64(*columns)` of float columns without nulls, one number a row."""
    state: NDArray[np.uint64] | int = SEED
    for column in columns:
        state = hash_floats(column, state)
    return np.asarray(state).view(np.int64)


def whole_hashes(block: Block) -> NDArray[np.int64]:
    """Return a number for each row of a block that depends on all of its values."""
    return hashes_of(block) if is_sparse(block) else row_hashes(list(block.T))


def repeat_hashes(hashes: NDArray[np.int64], repetition: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return Spark's `xxhash64(hash, repetition)` of two long columns."""
    return hash_longs(repetition.astype(np.int64), hash_longs(hashes)).view(np.int64)


def threshold(size: int, rows: int) -> int:
    """Return the hash below which slightly more than `size` of `rows` rows are expected."""
    part = min(1.0, (size + 6 * size**0.5 + 10) / max(rows, 1))
    return int(min(-(2**63) + part * 2.0**64, 2.0**63 - 1025))


def repeats_too_often(hashes: NDArray[np.int64], size: int) -> bool:
    """Return whether the rows below the threshold are so few, or so often the same, that they make no fair sample."""
    return len(hashes) < 0.9 * size or len(np.unique(hashes)) < 0.5 * len(hashes)


def take_smallest(rows: Block, hashes: NDArray[np.int64], size: int) -> Block:
    """Return the `size` rows with the smallest hashes, and those that share the last one's; ordered by hash."""
    if len(hashes) > size:
        kept = hashes <= np.partition(hashes, size - 1)[size - 1]
        rows, hashes = rows[kept], hashes[kept]
    return rows[np.argsort(hashes, kind="stable")]


def rows_below(
    blocks: Iterable[Block], limit: int, features: int
) -> Iterator[tuple[Block, NDArray[np.int64]]]:
    """Yield of each block the rows whose hash is below `limit`, and their hashes."""
    used = hashed_features(features)
    for block in blocks:
        hashes = hashes_of(block) if is_sparse(block) else row_hashes([block[:, j] for j in used])
        below = hashes < limit
        yield block[below], hashes[below]


def sample_here(blocks: Callable[[], Iterator[Block]], rows: int, size: int, features: int) -> Block:
    """Return the sample of a table that this process can read twice, block by block."""
    if rows <= size:
        return stacked(list(blocks()), features)
    limit = threshold(size, rows)
    parts, marks = zip(*rows_below(blocks(), limit, features), strict=True)
    found = np.concatenate(marks)
    if not repeats_too_often(found, size):
        return take_smallest(stacked(parts, features), found, size)
    whole = np.concatenate([whole_hashes(block) for block in blocks()])
    numbered = repeat_hashes(whole, _repetitions(whole))
    below = numbered < limit
    kept, at = [], 0
    for block in blocks():
        kept.append(block[below[at : at + block.shape[0]]])
        at += block.shape[0]
    return take_smallest(stacked(kept, features), numbered[below], size)


def _repetitions(hashes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the rows of each hash 1, 2, 3 ... as `row_number` does."""
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    first = np.r_[True, ordered[1:] != ordered[:-1]]
    starts = np.flatnonzero(first)
    numbers = np.empty(len(hashes), np.int64)
    numbers[order] = np.arange(len(hashes)) - np.repeat(starts, np.diff(np.r_[starts, len(hashes)])) + 1
    return numbers
