"""Rows on their way into a rank: from a share of Parquet files or from Spark, in blocks, never whole in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import DataError
from synml_dagster.learners.lightgbm.data.blocks import features_of, is_sparse
from synml_dagster.spark.local_disk import local_folder

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from synml_dagster.files.file_splits import FileSplit
    from synml_dagster.learners.lightgbm.data.blocks import Block

# A block stays in a core's cache while columns are woven into rows.
_BLOCK_VALUES = 1 << 18
_EXTRAS = ("label", "weight", "group")


@dataclass(frozen=True)
class Layout:
    """Which columns there are: the features first, then the others by name.

    Attributes
    ----------
    features : tuple of str
        Their names as the user knows them, for messages.
    extras : tuple of str
        Of "label", "weight", "group" and "init0", "init1" ... those that there are, in the order of the batch.
    classes : tuple of str, optional
        The label's classes where it is text; a label is then the number of its class.
    """

    features: tuple[str, ...]
    extras: tuple[str, ...]
    classes: tuple[str, ...] | None = None

    @property
    def init_columns(self) -> list[str]:
        """The columns of initial scores: one, or one a class."""
        return [name for name in self.extras if name not in _EXTRAS]


@dataclass
class FileSplitRows:
    """The rows of a share of Parquet files, read anew at every pass; the first `width` of `columns` are the features."""

    share: FileSplit
    columns: tuple[str, ...]
    width: int

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self.share.rows

    def features(self) -> Iterator[NDArray[np.float32]]:
        """Yield the features, block by block."""
        return _woven(self._read(self.columns[: self.width]), self.width)

    def extras(self) -> Iterator[pa.RecordBatch]:
        """Yield the other columns."""
        return self._read(self.columns[self.width :])

    def packed(self) -> Iterator[pa.RecordBatch]:
        """Yield all columns, the features as one column of lists."""
        import pyarrow as pa

        for batch in self._read(self.columns):
            matrix = as_matrix(batch, range(self.width))
            lists = pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), self.width)
            others = {str(i): batch.column(i) for i in range(self.width, batch.num_columns)}
            yield pa.RecordBatch.from_pydict({"features": lists, **others})

    def _read(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        from synml_dagster.files.file_splits import read_file_split

        distinct = list(dict.fromkeys(names))
        for batch in read_file_split(self.share, distinct, _rows_a_batch(len(distinct))):
            yield batch if len(distinct) == len(names) else batch.select([distinct.index(n) for n in names])


@dataclass
class SpooledRows:
    """Rows kept in an Arrow file on local disk and mapped into memory: the features as lists or vectors, then the other columns.

    Batches arrive from Spark's map tasks in whatever order the network brings them, so they are read back in the order
    of the tasks that made them: the same table gives the same order every time.
    """

    path: Path
    width: int
    runs: list[tuple[int, int, int, int]] = field(default_factory=list)  # map task, batch, start, rows
    order: NDArray[np.int64] | None = None

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(run[3] for run in self.runs)

    def features(self) -> Iterator[Block]:
        """Yield the features, block by block; sparse vectors as they are stored."""
        step = _rows_a_block(self.width)
        for batch in self._read(slice(0, 1)):
            block = features_of(batch.column(0), self.width)
            if is_sparse(block):
                yield block
                continue
            for start in range(0, len(batch), step):
                yield block[start : start + step]

    def extras(self) -> Iterator[pa.RecordBatch]:
        """Yield the other columns."""
        return self._read(slice(1, None))

    def _read(self, columns: slice) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        if not self.runs:
            return
        with pa.memory_map(str(self.path)) as source, pa.ipc.open_file(source) as file:
            names = file.schema.names[columns]
            if self.order is None:
                for batch in self._ordered(file):
                    yield batch.select(names)
                return
            table = pa.Table.from_batches(list(self._ordered(file))).select(names)
            step = _rows_a_batch(self.width)
            for start in range(0, len(self.order), step):
                yield from table.take(self.order[start : start + step]).combine_chunks().to_batches()

    def _ordered(self, file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
        for _, batch, start, rows in sorted(self.runs, key=lambda run: run[:3]):
            yield file.get_batch(batch).slice(start, rows)


def spool(batches: Iterator[pa.RecordBatch], folder: Path, width: int) -> tuple[SpooledRows, SpooledRows]:
    """Write what Spark brings to disk: training rows and validation rows, of `width` features.

    Each batch begins with the features as lists or vectors, and ends with two columns of our own: `valid` (boolean) and `task` (the
    map task that made the row).
    """
    import pyarrow as pa

    both = (SpooledRows(folder / "train.arrow", width), SpooledRows(folder / "valid.arrow", width))
    writers: list[Any] = [None, None]
    counts = [0, 0]
    try:
        for batch in batches:
            if batch.num_rows == 0:
                continue
            own = batch.num_columns - 2
            for side, part in _split(batch, batch.column(own)):
                tasks = part.column(own + 1).to_numpy(zero_copy_only=False)
                data = part.select(list(range(own)))
                if writers[side] is None:
                    writers[side] = pa.ipc.new_file(str(both[side].path), data.schema)
                writers[side].write_batch(data)
                edges = [0, *(np.flatnonzero(np.diff(tasks)) + 1).tolist(), len(tasks)]
                for start, end in pairwise(edges):
                    both[side].runs.append((int(tasks[start]), counts[side], start, end - start))
                counts[side] += 1
    finally:
        for writer in writers:
            if writer is not None:
                writer.close()
    return both


def _split(batch: pa.RecordBatch, valid: pa.Array) -> Iterator[tuple[int, pa.RecordBatch]]:
    import pyarrow.compute as pc

    if pc.any(valid).as_py():
        if not pc.all(valid).as_py():
            yield 0, batch.filter(pc.invert(valid))
        yield 1, batch.filter(valid)
    else:
        yield 0, batch


def respool(rows: FileSplitRows, folder: Path) -> SpooledRows:
    """Copy a share to local disk, where its rows can be read in any order."""
    import pyarrow as pa

    made, writer = SpooledRows(folder / f"share-{len(list(folder.iterdir()))}.arrow", rows.width), None
    try:
        for number, batch in enumerate(rows.packed()):
            writer = writer or pa.ipc.new_file(str(made.path), batch.schema)
            writer.write_batch(batch)
            made.runs.append((0, number, 0, batch.num_rows))
    finally:
        if writer is not None:
            writer.close()
    return made


def spool_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a new folder on the executor's local disk, gone when it is closed."""
    return tempfile.TemporaryDirectory(prefix="synml-rank-", dir=local_folder(), ignore_cleanup_errors=True)


def as_matrix(batch: pa.RecordBatch, columns: Sequence[int]) -> NDArray[np.float32]:
    """Return columns of a batch as one float32 matrix in C order; null becomes NaN."""
    out = np.empty((batch.num_rows, len(columns)), dtype=np.float32)
    for k, j in enumerate(columns):
        out[:, k] = as_numbers(batch.column(j), np.float32)
    return out


def as_numbers(column: pa.Array, dtype: Any) -> NDArray[Any]:
    """Return a numeric, boolean or decimal Arrow column as floats; null becomes NaN, float64 rounds to float32."""
    import pyarrow as pa

    if pa.types.is_decimal(column.type) or pa.types.is_boolean(column.type) or pa.types.is_null(column.type):
        column = (
            column.cast(pa.float64()) if not pa.types.is_boolean(column.type) else column.cast(pa.uint8())
        )
    values = column.to_numpy(zero_copy_only=False)
    if values.dtype == dtype:
        return values
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(np.float64).astype(dtype)


def read_extras(batches: Iterator[pa.RecordBatch], layout: Layout) -> dict[str, NDArray[Any]]:
    """Return label, weight, group and initial scores as arrays, from batches that hold the layout's extras alone.

    Raises
    ------
    DataError
        A label, weight or initial score is missing, or a weight is negative.
    """
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in layout.extras}
    groups: dict[Any, int] = {}
    for batch in batches:
        for i, name in enumerate(layout.extras):
            column = batch.column(i)
            if name == "group":
                parts[name].append(_group_codes(column, groups))
            elif name == "label" and layout.classes is not None:
                parts[name].append(_class_numbers(column, layout.classes))
            else:
                parts[name].append(as_numbers(column, np.float64))
    joined = {name: np.concatenate(p) if p else np.empty(0) for name, p in parts.items()}
    for name, values in joined.items():
        if name != "group" and (missing := int(np.isnan(values).sum())):
            raise DataError(
                f"the {_said(name)} is missing (null or NaN) in {missing} of {len(values)} rows. Remove those rows or fill it in."
            )
    weights = joined.get("weight")
    if weights is not None and (bad := int((weights < 0).sum())):
        raise DataError(f"the weight is negative in {bad} of {len(weights)} rows.")
    return joined


def _said(name: str) -> str:
    return "initial score" if name.startswith("init") else name


def _class_numbers(column: pa.Array, classes: tuple[str, ...]) -> NDArray[np.float64]:
    import pyarrow as pa
    import pyarrow.compute as pc

    text = (
        column
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        else column.cast(pa.string())
    )
    numbers = pc.index_in(text, pa.array(classes, text.type))
    unknown = pc.and_(pc.is_null(numbers), pc.is_valid(text))
    if pc.any(unknown).as_py():
        value = text.filter(unknown)[0].as_py()
        raise DataError(
            f"the label {value!r} is not among the classes {list(classes)[:10]} of the training rows."
        )
    return as_numbers(numbers, np.float64)


def _group_codes(column: pa.Array, known: dict[Any, int]) -> NDArray[np.int64]:
    """Number the groups in the order in which they appear; `known` carries the numbers from batch to batch."""
    if column.null_count:
        raise DataError(
            f"the group is missing (null) in {column.null_count} rows. Every row needs its query."
        )
    encoded = column.dictionary_encode()
    numbers = [known.setdefault(value, len(known)) for value in encoded.dictionary.to_pylist()]
    return np.asarray(numbers, np.int64)[encoded.indices.to_numpy(zero_copy_only=False)]


def whole_groups(codes: NDArray[np.int64]) -> tuple[NDArray[np.int64] | None, NDArray[np.int32]]:
    """Return the order that brings each group's rows together (None where they are), and the groups' sizes."""
    if len(codes) == 0:
        return None, np.empty(0, np.int32)
    _, first, inverse, counts = np.unique(codes, return_index=True, return_inverse=True, return_counts=True)
    by_appearance = np.argsort(first, kind="stable")
    sizes = counts[by_appearance].astype(np.int32)
    runs = int((np.diff(codes) != 0).sum()) + 1
    if runs == len(counts):
        return None, sizes
    place = np.empty(len(by_appearance), np.int64)
    place[by_appearance] = np.arange(len(by_appearance))
    return np.argsort(place[inverse], kind="stable"), sizes


def _woven(batches: Iterator[pa.RecordBatch], width: int) -> Iterator[NDArray[np.float32]]:
    step = _rows_a_block(width)
    for batch in batches:
        for start in range(0, batch.num_rows, step):
            yield as_matrix(batch.slice(start, step), range(width))


def _rows_a_block(width: int) -> int:
    wide = min(512, (1 << 23) // max(1, width))  # where a call a column costs more than the cache saves
    return min(1 << 16, max(64, wide, _BLOCK_VALUES // max(1, width)))


def _rows_a_batch(columns: int) -> int:
    return min(1 << 16, max(256, (1 << 24) // max(1, columns)))
