"""The bins that all ranks share: found in one task, from a sample of the whole table that other tasks took.

Rows that pass through Spark are sampled by its own expressions. Where the table lies in files that tasks can reach, they
read and sample their shares of it, and no feature is a column of a Spark plan: with thousands of them planning alone would
take minutes. Both take the same rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from synml_dagster.learners.lightgbm.data.blocks import features_of, from_bytes, is_sparse, stacked, to_bytes
from synml_dagster.learners.lightgbm.data.row_sources import FileSplitRows
from synml_dagster.learners.lightgbm.data.sampling import (
    hashed_features,
    repeats_too_often,
    rows_below,
    take_smallest,
    threshold,
    whole_hashes,
)
from synml_dagster.learners.lightgbm.data.spark_rows import FEATURES

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

    from synml_dagster.files.file_splits import FileSplit
    from synml_dagster.learners.lightgbm.data.blocks import Block

_PIECE_BYTES = 1 << 23
_PACKED = "hashes binary, block binary, sparse boolean"


def bins_of_rows(frame: DataFrame, width: int, rows: int, size: int, params: Mapping[str, Any]) -> bytes:
    """Return LightGBM's bins of the `width` features of `frame` (see `rank_columns`), from `size` of its `rows` rows."""
    from pyspark.sql import Window
    from pyspark.sql import functions as sf

    if rows <= size:
        everything = frame.select(FEATURES, sf.lit(0).cast("long"))
        return _bins_of(_packed(everything, width), width, rows, size, params)
    limit = sf.lit(threshold(size, rows))
    used = [sf.get(FEATURES, sf.lit(j)) for j in hashed_features(width)]
    sampled = frame.select(FEATURES, sf.xxhash64(*used).alias("hash")).where(sf.col("hash") < limit)
    bins = _bins_of(_packed(sampled, width), width, rows, size, params, refuse_repeats=True)
    if bins:
        return bins
    whole = frame.select(FEATURES, sf.xxhash64(FEATURES).alias("whole"))
    repetition = sf.row_number().over(Window.partitionBy("whole").orderBy("whole")).cast("long")
    numbered = whole.select(FEATURES, sf.xxhash64("whole", repetition).alias("hash"))
    return _bins_of(_packed(numbered.where(sf.col("hash") < limit), width), width, rows, size, params)


def bins_of_vectors(frame: DataFrame, width: int, rows: int, size: int, params: Mapping[str, Any]) -> bytes:
    """Return LightGBM's bins of sparse vectors, the column FEATURES of `frame`, as `bins_of_rows` does of lists."""
    from pyspark.sql import Window
    from pyspark.sql import functions as sf

    limit, every = threshold(size, rows), rows <= size

    def sample(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            block = features_of(batch.column(0), width)
            if every:
                yield from _pieces(block, np.zeros(block.shape[0], np.int64))
            else:
                for part, hashes in rows_below([block], limit, width):
                    yield from _pieces(part, hashes)

    vectors = frame.select(FEATURES)
    bins = _bins_of(vectors.mapInArrow(sample, _PACKED), width, rows, size, params, refuse_repeats=not every)
    if bins:
        return bins

    def hashed(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for batch in batches:
            block = features_of(batch.column(0), width)
            each = [to_bytes(block[i : i + 1]) for i in range(block.shape[0])]
            yield pa.RecordBatch.from_pydict(
                {"whole": whole_hashes(block), "row": pa.array(each, pa.binary())}
            )

    def pack(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            each = [from_bytes(row.as_buffer(), 1, width, sparse=True) for row in batch.column(1)]
            yield from _pieces(stacked(each, width), batch.column(0).to_numpy(zero_copy_only=False))

    whole = vectors.mapInArrow(hashed, "whole long, row binary")
    repetition = sf.row_number().over(Window.partitionBy("whole").orderBy("whole")).cast("long")
    numbered = whole.select(sf.xxhash64("whole", repetition).alias("hash"), "row")
    packed = numbered.where(sf.col("hash") < sf.lit(limit)).mapInArrow(pack, _PACKED)
    return _bins_of(packed, width, rows, size, params)


def bins_of_shares(
    spark: SparkSession,
    shares: Sequence[FileSplit],
    columns: tuple[str, ...],
    size: int,
    params: Mapping[str, Any],
) -> bytes | None:
    """Return LightGBM's bins of the columns `columns` of files, or None where rows repeat so often that only
    `bins_of_rows` makes a fair sample.
    """
    from synml_dagster.files.file_splits import FileSplit, file_split_frame

    rows, width = sum(share.rows for share in shares), len(columns)
    limit = threshold(size, rows)

    def sample(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for text in batch.column(1).to_pylist():
                blocks = FileSplitRows(FileSplit.from_json(text), columns, width).features()
                for part, hashes in rows_below(blocks, limit, width):
                    yield from _pieces(part, hashes)

    taken = file_split_frame(spark, shares).mapInArrow(sample, _PACKED)
    return _bins_of(taken, width, rows, size, params, refuse_repeats=rows > size) or None


def _packed(frame: DataFrame, width: int) -> DataFrame:
    """Lists of features and a hash, a row each, as few rows of bytes."""

    def pack(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            hashes = batch.column(1).to_numpy(zero_copy_only=False)
            yield from _pieces(features_of(batch.column(0), width), hashes)

    return frame.mapInArrow(pack, _PACKED)


def _pieces(block: Block, hashes: np.ndarray) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    stored = 2 * block.nnz if is_sparse(block) else block.size
    step = max(1, _PIECE_BYTES * len(hashes) // (4 * max(1, stored)))
    for start in range(0, len(hashes), step):
        cut = slice(start, start + step)
        yield pa.RecordBatch.from_pydict(
            {
                "hashes": pa.array([hashes[cut].tobytes()], pa.binary()),
                "block": pa.array([to_bytes(block[cut])], pa.binary()),
                "sparse": pa.array([is_sparse(block)]),
            }
        )


def _bins_of(
    packed: DataFrame,
    width: int,
    rows: int,
    size: int,
    params: Mapping[str, Any],
    refuse_repeats: bool = False,
) -> bytes:
    """Find the bins of the sampled rows in one task; nothing where the sample is refused."""

    def find(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        from synml_dagster.learners.lightgbm.worker.native import dataset_from_sample, serialize_bins

        parts: list[Block] = []
        marks = [np.empty(0, np.int64)]
        for batch in batches:
            for hashes, block, sparse in zip(*batch.columns, strict=True):
                marks.append(np.frombuffer(hashes.as_buffer(), np.int64))
                parts.append(from_bytes(block.as_buffer(), len(marks[-1]), width, sparse.as_py()))
        hashes = np.concatenate(marks)
        if refuse_repeats and repeats_too_often(hashes, size):
            return
        sample = take_smallest(stacked(parts, width), hashes, size)
        bins = serialize_bins(dataset_from_sample(sample, 1, rows, params))
        step = 1 << 20
        for start in range(0, len(bins), step):
            yield pa.RecordBatch.from_pydict({"bins": pa.array([bins[start : start + step]], pa.binary())})

    found = packed.repartition(1).mapInArrow(find, "bins binary").collect()
    return b"".join(bytes(row["bins"]) for row in found)
