"""Spark's `xxhash64` in numpy, bit for bit: for tasks that read a table's files past Spark's rows.

The algorithm is XXH64 (Collet, https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md) as Spark runs it over
columns: each value is hashed with the hash before it as the seed, `SEED` at first, and null leaves the hash as it is.
Runs on executors: numpy and pyarrow only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

SEED = 42
"""The seed of the first value."""

_P1, _P2, _P3, _P4, _P5 = (
    np.uint64(p)
    for p in (
        0x9E3779B185EBCA87,
        0xC2B2AE3D27D4EB4F,
        0x165667B19E3779F9,
        0x85EBCA77C2B2AE63,
        0x27D4EB2F165667C5,
    )
)


def hash_ints(values: np.ndarray, seed: np.ndarray | int = SEED) -> np.ndarray:
    """Return the hashes, uint64 `[n]`, of what Spark holds in 32 bits or fewer: whole numbers, booleans, dates.

    Parameters
    ----------
    values
        int32 `[n]`.
    seed
        One for all values, or uint64 `[n]`.
    """
    h = values.view(np.uint32).astype(np.uint64)
    h *= _P1
    h ^= _seeds(seed) + (_P5 + np.uint64(4))
    _turn(h, 23)
    h *= _P2
    h += _P3
    return _mixed(h)


def hash_longs(values: np.ndarray, seed: np.ndarray | int = SEED) -> np.ndarray:
    """Return the hashes of int64 values: Spark's bigints and timestamps; see `hash_ints`."""
    h = _round(values.view(np.uint64))
    h ^= _seeds(seed) + (_P5 + np.uint64(8))
    _turn(h, 27)
    h *= _P1
    h += _P4
    return _mixed(h)


def hash_floats(values: np.ndarray, seed: np.ndarray | int = SEED) -> np.ndarray:
    """Return the hashes of float32 or float64 values; there is one zero and one NaN. See `hash_ints`."""
    plain = values + values.dtype.type(0)  # -0.0 becomes 0.0
    plain[np.isnan(plain)] = np.nan
    if values.dtype == np.float32:
        return hash_ints(plain.view(np.int32), seed)
    return hash_longs(plain.view(np.int64), seed)


def hash_texts(values: pa.StringArray, seed: int = SEED) -> np.ndarray:
    """Return the hashes of the UTF-8 bytes of an array of strings without nulls; see `hash_ints`."""
    n = len(values)
    if n == 0:
        return np.empty(0, np.uint64)
    _, offsets, data = values.buffers()
    ends = np.frombuffer(offsets, np.int32)[values.offset : values.offset + n + 1].astype(np.int64)
    # Words are read whole wherever they begin, so the last ones need bytes behind them.
    content = np.zeros(int(ends[-1] - ends[0]) + 8, np.uint8)
    if data is not None:
        content[:-8] = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]]
    at, lengths = ends[:-1] - ends[0], np.diff(ends)
    words = np.ndarray((len(content) - 7,), "<u8", content, strides=(1,))
    h = np.repeat(_seeds(seed) + _P5, n)
    long = np.flatnonzero(lengths >= 32)
    if len(long):
        h[long] = _stripes(words, at[long], lengths[long], _seeds(seed))
        at[long] += lengths[long] // 32 * 32
    h += lengths.astype(np.uint64)
    left = lengths % 32
    for _ in range(int(left.max()) // 8):
        rows = np.flatnonzero(left >= 8)
        part = h[rows] ^ _round(words[at[rows]])
        _turn(part, 27)
        h[rows] = part * _P1 + _P4
        at[rows] += 8
        left[rows] -= 8
    rows = np.flatnonzero(left >= 4)
    part = h[rows] ^ (words[at[rows]] & np.uint64(0xFFFFFFFF)) * _P1
    _turn(part, 23)
    h[rows] = part * _P2 + _P3
    at[rows] += 4
    left[rows] -= 4
    for _ in range(int(left.max())):
        rows = np.flatnonzero(left > 0)
        part = h[rows] ^ content[at[rows]].astype(np.uint64) * _P5
        _turn(part, 11)
        h[rows] = part * _P1
        at[rows] += 1
        left[rows] -= 1
    return _mixed(h)


def _stripes(words: np.ndarray, at: np.ndarray, lengths: np.ndarray, seed: np.ndarray) -> np.ndarray:
    """What the runs of 32 bytes at the beginning of long texts come to."""
    lanes = np.empty((4, len(at)), np.uint64)
    for lane, start in enumerate((seed + _P1 + _P2, seed + _P2, seed, seed - _P1)):
        lanes[lane] = start
    stripes = lengths // 32
    for stripe in range(int(stripes.max())):
        rows = np.flatnonzero(stripes > stripe)
        for lane in range(4):
            part = lanes[lane, rows] + words[at[rows] + (32 * stripe + 8 * lane)] * _P2
            _turn(part, 31)
            lanes[lane, rows] = part * _P1
    h = np.zeros(len(at), np.uint64)
    for lane, bits in enumerate((1, 7, 12, 18)):
        turned = lanes[lane].copy()
        _turn(turned, bits)
        h += turned
    for lane in range(4):
        h ^= _round(lanes[lane])
        h *= _P1
        h += _P4
    return h


def _round(word: np.ndarray) -> np.ndarray:
    out = word * _P2
    _turn(out, 31)
    out *= _P1
    return out


def _turn(h: np.ndarray, bits: int) -> None:
    """Rotate to the left in place."""
    low = h >> np.uint64(64 - bits)
    h <<= np.uint64(bits)
    h |= low


def _mixed(h: np.ndarray) -> np.ndarray:
    h ^= h >> np.uint64(33)
    h *= _P2
    h ^= h >> np.uint64(29)
    h *= _P3
    h ^= h >> np.uint64(32)
    return h


def _seeds(seed: np.ndarray | int) -> np.ndarray:
    """Always an array: numpy warns when a single number passes 64 bits, and that is what hashes do."""
    return np.atleast_1d(np.asarray(seed, np.uint64))
