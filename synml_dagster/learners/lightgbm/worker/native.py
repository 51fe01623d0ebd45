"""The few calls of LightGBM's C interface that its Python package does not offer: datasets filled by pushing rows.

Imported only inside functions: it loads LightGBM.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import lightgbm as lgb
import numpy as np
from lightgbm.basic import _LIB, _c_str, _param_dict_to_str, _safe_call
from numpy.typing import NDArray

from synml_dagster.learners.lightgbm.data.blocks import is_sparse

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from synml_dagster.learners.lightgbm.data.blocks import Block

_ZERO = np.float32(1e-35)  # LightGBM's kZeroThreshold: anything nearer to zero is zero
_FLOAT32 = 0
_INT64 = 3


def dataset_from_sample(sample: Block, rows: int, total_rows: int, params: Mapping[str, Any]) -> lgb.Dataset:
    """Return an empty dataset of `rows` rows whose bins are those of `sample`, drawn from `total_rows` rows."""
    value_at, place_at, counts, _kept = _columns_of(sample)
    doubles, ints = ctypes.POINTER(ctypes.c_double), ctypes.POINTER(ctypes.c_int32)
    handle = ctypes.c_void_p()
    _safe_call(
        _LIB.LGBM_DatasetCreateFromSampledColumn(
            value_at.ctypes.data_as(ctypes.POINTER(doubles)),
            place_at.ctypes.data_as(ctypes.POINTER(ints)),
            ctypes.c_int32(len(counts)),
            counts.ctypes.data_as(ints),
            ctypes.c_int32(sample.shape[0]),
            ctypes.c_int32(rows),
            ctypes.c_int64(total_rows),
            _text(params),
            ctypes.byref(handle),
        )
    )
    return _wrap(handle, params)


def _columns_of(sample: Block) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.int32], list[Any]]:
    """Where each column's values other than zero begin in memory, where their rows do, how many there are, and the
    arrays that hold them.
    """
    if is_sparse(sample):
        columns = sample.tocsc()
        columns.data[np.abs(columns.data) <= _ZERO] = 0
        columns.eliminate_zeros()
        kept = [columns.data.astype(np.float64), columns.indices.astype(np.int32, copy=False)]
        starts = columns.indptr[:-1].astype(np.uint64)
        at = [np.uint64(array.ctypes.data) + starts * np.uint64(array.itemsize) for array in kept]
        return at[0], at[1], np.diff(columns.indptr).astype(np.int32), kept
    values, places = [], []
    for column in sample.T:
        nonzero = (np.abs(column) > _ZERO) | np.isnan(column)
        places.append(np.flatnonzero(nonzero).astype(np.int32))
        values.append(column[nonzero].astype(np.float64))
    pointers = [np.array([array.ctypes.data for array in arrays], np.uint64) for arrays in (values, places)]
    return pointers[0], pointers[1], np.array([len(p) for p in places], np.int32), [values, places]


def dataset_like(reference: lgb.Dataset, rows: int, params: Mapping[str, Any]) -> lgb.Dataset:
    """Return an empty dataset of `rows` rows with the bins of `reference`, as LightGBM makes validation data."""
    handle = ctypes.c_void_p()
    _safe_call(
        _LIB.LGBM_DatasetCreateByReference(reference._handle, ctypes.c_int64(rows), ctypes.byref(handle))
    )
    return _wrap(handle, params)


def serialize_bins(dataset: lgb.Dataset) -> bytes:
    """Return the bins of `dataset` (no rows) as bytes: 8 bytes a bin and a little more."""
    buffer, length = ctypes.c_void_p(), ctypes.c_int32()
    _safe_call(
        _LIB.LGBM_DatasetSerializeReferenceToBinary(
            dataset._handle, ctypes.byref(buffer), ctypes.byref(length)
        )
    )
    try:
        return _buffer_bytes(buffer, length.value)
    finally:
        _LIB.LGBM_ByteBufferFree(buffer)


def dataset_from_bins(bins: bytes, rows: int, num_class: int, params: Mapping[str, Any]) -> lgb.Dataset:
    """Return an empty dataset of `rows` rows with the bins that `serialize_bins` wrote."""
    handle = ctypes.c_void_p()
    _safe_call(
        _LIB.LGBM_DatasetCreateFromSerializedReference(
            ctypes.c_char_p(bins),
            ctypes.c_int32(len(bins)),
            ctypes.c_int64(rows),
            ctypes.c_int32(num_class),
            _text(params),
            ctypes.byref(handle),
        )
    )
    dataset = _wrap(handle, params)
    # LightGBM 4.7 comes back with an initial score of zero a row, and would not start from the average.
    dataset.set_field("init_score", None)
    return dataset


def push_rows(dataset: lgb.Dataset, rows: Block, start: int) -> None:
    """Bin `rows`, float32 of shape [n, features] in C order or sparse, into the dataset from row `start` on.

    The call that pushes the last row finishes the dataset.
    """
    if is_sparse(rows):
        _push_sparse(dataset, rows, start)
        return
    if rows.dtype != np.float32 or not rows.flags.c_contiguous:
        raise TypeError("rows must be float32 in C order")
    _safe_call(
        _LIB.LGBM_DatasetPushRows(
            dataset._handle,
            rows.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_int(_FLOAT32),
            ctypes.c_int32(rows.shape[0]),
            ctypes.c_int32(rows.shape[1]),
            ctypes.c_int32(start),
        )
    )


def _push_sparse(dataset: lgb.Dataset, rows: csr_matrix, start: int) -> None:
    ends = rows.indptr.astype(np.int64, copy=False)
    places, values = rows.indices.astype(np.int32, copy=False), rows.data.astype(np.float32, copy=False)
    _safe_call(
        _LIB.LGBM_DatasetPushRowsByCSR(
            dataset._handle,
            ends.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_int(_INT64),
            places.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)),
            values.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_int(_FLOAT32),
            ctypes.c_int64(len(ends)),
            ctypes.c_int64(len(values)),
            ctypes.c_int64(rows.shape[1]),
            ctypes.c_int64(start),
        )
    )


def join_network(machines: list[tuple[str, int]], port: int, minutes: int) -> None:
    """Connect this process to the other ranks; every rank calls it with the same list."""
    text = ",".join(f"{host}:{p}" for host, p in machines)
    _safe_call(
        _LIB.LGBM_NetworkInit(
            _c_str(text), ctypes.c_int(port), ctypes.c_int(minutes), ctypes.c_int(len(machines))
        )
    )


def leave_network() -> None:
    """Close the connections to the other ranks; harmless where there are none."""
    _safe_call(_LIB.LGBM_NetworkFree())


def _wrap(handle: ctypes.c_void_p, params: Mapping[str, Any]) -> lgb.Dataset:
    dataset = lgb.Dataset(None, params=dict(params))
    dataset._handle = handle
    return dataset


def _text(params: Mapping[str, Any]) -> Any:
    return _c_str(_param_dict_to_str(dict(params)))


def _buffer_bytes(buffer: ctypes.c_void_p, length: int) -> bytes:
    """LightGBM hands its buffer out one byte a call, seconds for a wide table; a vector's bytes lie in one piece."""

    def at(i: int) -> int:
        byte = ctypes.c_uint8()
        _safe_call(_LIB.LGBM_ByteBufferGetAt(buffer, ctypes.c_int32(i), ctypes.byref(byte)))
        return byte.value

    if length > 1 << 16 and struct.calcsize("P") == 8 and buffer.value:
        _, begin, end = struct.unpack("3Q", ctypes.string_at(buffer.value, 24))
        if end - begin == length:
            data = ctypes.string_at(begin, length)
            if all(data[i] == at(i) for i in range(0, length, max(1, length // 4096))):
                return data
    return bytes(at(i) for i in range(length))
