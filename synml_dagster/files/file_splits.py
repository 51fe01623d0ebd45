"""Shares: the part of a table's Parquet files that one task reads by itself, with pyarrow, past Spark's rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from synml_dagster.errors import ConfigError, DataError, SourceError, did_you_mean
from synml_dagster.files.parquet_files import ParquetFiles, in_old_calendar, open_parquet

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet as pq
    from pyspark.sql import DataFrame, SparkSession

# A cut moves to the next row group's edge where that unbalances a share by less than this part: a row group that two
# tasks share is decoded by both.
_SNAP = 0.02
_BATCH_BYTES = 256 * 2**20
_VALUES_A_BATCH = 16_000_000
_MOST_ROWS = 65_536
_REPEATED_ROWS = 4096


class _BatchSize(NamedTuple):
    """What a batch holds at most; `repeated_rows` are read at once where a column stores texts that repeat once."""

    rows: int
    bytes: int
    repeated_rows: int


class RowRange(NamedTuple):
    """The rows `[offset, offset + rows)` of the row groups `[first_group, end_group)` of one file."""

    path: str
    first_group: int
    end_group: int
    offset: int
    rows: int


@dataclass(frozen=True)
class FileSplit:
    """What one task reads: pieces in the order of the table's files, and how many rows they have together."""

    pieces: tuple[RowRange, ...]
    rows: int

    def to_json(self) -> str:
        """Return the share as one line of JSON."""
        return json.dumps({"rows": self.rows, "pieces": self.pieces}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> FileSplit:
        """Read what `to_json` wrote."""
        raw = json.loads(text)
        return cls(tuple(RowRange(*piece) for piece in raw["pieces"]), raw["rows"])


def plan_file_splits(
    files: ParquetFiles, n: int, block: int = 1, row_groups: list[list[int]] | None = None
) -> list[FileSplit]:
    """Cut the rows of `files` into exactly `n` shares of nearly equal size; every row is in one of them.

    A cut falls on the edge of a row group where one is near (2 % of a share), else inside it. Shares are empty only
    where there are fewer rows than shares. Only footers are read, and none where `row_groups` tells what
    `files.row_groups()` has read of them. With `block` shares begin after a multiple of so many
    rows, see `even_cuts`.

    Raises
    ------
    SourceError
        A file is missing or is not Parquet.
    """
    if n < 1:
        raise ConfigError(f"the number of shares must be at least 1 but got {n}")
    counts = files.row_groups() if row_groups is None else row_groups
    edges = [0]
    for groups in counts:
        for rows in groups:
            edges.append(edges[-1] + rows)
    cuts = _cuts(edges, n) if block == 1 else even_cuts(edges[-1], n, block)
    shares: list[list[RowRange]] = [[] for _ in range(n)]
    start = 0  # of the file, in rows of the table
    for path, groups in zip(files.paths, counts, strict=True):
        end = start + sum(groups)
        for i in range(n):
            low, high = max(start, cuts[i]), min(end, cuts[i + 1])
            if low < high:
                shares[i].append(_row_range(path, groups, low - start, high - start))
        start = end
    return [FileSplit(tuple(pieces), sum(p.rows for p in pieces)) for pieces in shares]


def bounded_file_splits(spark: SparkSession, files: ParquetFiles, most_rows: int) -> list[FileSplit]:
    """Return shares of about `most_rows` rows at most, none of them empty, in whole rounds of the session's task slots.

    A task that fails is run again from its first row.
    """
    from synml_dagster.spark import task_slots

    groups, slots = files.row_groups(), task_slots(spark) or 8
    rounds = -(-sum(map(sum, groups)) // (slots * max(1, most_rows))) or 1
    return [share for share in plan_file_splits(files, slots * rounds, row_groups=groups) if share.rows]


def rows_a_batch(columns: int) -> int:
    """Return how many rows of so many columns a task reads at once."""
    return max(1024, min(_MOST_ROWS, _VALUES_A_BATCH // max(1, columns)))


def read_file_split(
    share: FileSplit,
    columns: Sequence[str] | None = None,
    batch_rows: int = 65536,
    *,
    threads: bool = True,
    absent: Mapping[str, pyarrow.DataType] | None = None,
    words: Sequence[str] = (),
    batch_bytes: int = _BATCH_BYTES,
    repeated_rows: int = _REPEATED_ROWS,
) -> Iterator[pyarrow.RecordBatch]:
    """Read the rows of `share`, batch by batch; runs on the executors.

    Parameters
    ----------
    share
        What to read.
    columns
        The columns wanted, in the order wanted; all of the files' columns when None.
    batch_rows
        At most so many rows come in a batch; fewer where they are long texts, so that a batch is about `batch_bytes` at most.
    threads
        Whether columns are decoded in parallel.
    absent
        The types of columns that are null in the rows of a file that lacks them, as one written before they were added.
    words
        Columns of text that come as Arrow dictionaries, for whoever looks at each distinct word of a batch once.
    batch_bytes
        About the most bytes of a batch, 256 MiB by default.
    repeated_rows
        Rows that are read at once, before they are joined, where a column stores texts that repeat once.

    Raises
    ------
    SourceError
        A file is missing, is not Parquet, or has changed since the share was planned.
    DataError
        A wanted column is not in a file, and its type is not in `absent`.
    """
    size = _BatchSize(batch_rows, batch_bytes, repeated_rows)
    for piece in share.pieces:
        yield from _read_row_range(piece, columns, size, threads, absent or {}, words)


def read_file_splits(
    batches: Iterable[pyarrow.RecordBatch],
    columns: Sequence[str],
    batch_rows: int,
    *,
    absent: Mapping[str, pyarrow.DataType],
    words: Sequence[str] = (),
) -> Iterator[pyarrow.RecordBatch]:
    """Read the shares that the rows of a `file_split_frame` name, as `read_file_split` does, with one thread; runs on the executors."""
    for batch in batches:
        for text in batch.column(1).to_pylist():
            yield from read_file_split(
                FileSplit.from_json(text), columns, batch_rows, threads=False, absent=absent, words=words
            )


def arrow_types(frame: DataFrame, columns: Iterable[str]) -> dict[str, pyarrow.DataType]:
    """Return the Arrow types of `columns` of `frame`, for rows of files that lack them."""
    from pyspark.sql.pandas.types import to_arrow_type

    kinds = {field.name: field.dataType for field in frame.schema.fields}
    return {name: to_arrow_type(kinds[name], timezone="UTC") for name in columns}


def conform(batch: pyarrow.RecordBatch, schema: pyarrow.Schema) -> pyarrow.RecordBatch:
    """Return the columns of `batch` in the types of `schema`: files may hold finer times, dictionaries, other words for a type."""
    import pyarrow as pa

    if batch.schema.equals(schema):
        return batch
    columns = [
        column if column.type.equals(field.type) else column.cast(field.type, safe=False)
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def file_split_frame(spark: SparkSession, shares: Sequence[FileSplit]) -> DataFrame:
    """Return a DataFrame of as many partitions as shares, each with one row: `index` (long) and `share` (JSON)."""
    return task_frame(spark, [share.to_json() for share in shares], len(shares))


def task_frame(spark: SparkSession, work: Sequence[str], tasks: int) -> DataFrame:
    """Return a DataFrame of `tasks` partitions, with a row of each line of `work`: `index` (long) and `share`."""
    from pyspark.sql import functions as sf

    frame = spark.range(0, len(work), 1, tasks)
    return frame.select(
        sf.col("id").alias("index"),
        sf.get(sf.split(sf.lit("\n".join(work)), "\n"), sf.col("id").cast("int")).alias("share"),
    )


def even_cuts(total: int, n: int, block: int) -> list[int]:
    """Return n + 1 row numbers, first 0 and last `total`, that cut rows into nearly equal parts of whole blocks.

    Where there are fewer than n blocks the parts are of any size, so that none is empty for want of a block.
    """
    if total < n * block:
        block = 1
    return [*((2 * i * total + n * block) // (2 * n * block) * block for i in range(n)), total]


def _cuts(edges: list[int], n: int) -> list[int]:
    """Return n + 1 row numbers, first 0 and last the total."""
    from bisect import bisect_left

    total = edges[-1]
    cuts = [0]
    for i in range(1, n):
        ideal = round(i * total / n)
        at = bisect_left(edges, ideal)
        near = min(edges[max(0, at - 1) : at + 1], key=lambda edge: abs(edge - ideal))
        cut = near if abs(near - ideal) <= _SNAP * total / n else ideal
        cuts.append(max(cut, cuts[-1]))
    return [*cuts, total]


def _row_range(path: str, groups: list[int], low: int, high: int) -> RowRange:
    """Name the row groups that hold rows `low` to `high` of one file."""
    first, before = 0, 0
    while before + groups[first] <= low:
        before += groups[first]
        first += 1
    end, upto = first, before
    while upto < high:
        upto += groups[end]
        end += 1
    return RowRange(path, first, end, low - before, high - low)


def _read_row_range(
    piece: RowRange,
    columns: Sequence[str] | None,
    size: _BatchSize,
    threads: bool,
    absent: Mapping[str, pyarrow.DataType],
    words: Sequence[str],
) -> Iterator[pyarrow.RecordBatch]:
    file = open_parquet(piece.path, words)
    names = file.schema_arrow.names
    known, folded = set(names), {name.casefold() for name in names}
    for column in columns or ():
        # Spark would take `AGE` for `age`; here it is an error, and never a column without values.
        if column not in known and (column not in absent or column.casefold() in folded):
            raise DataError(
                f"{piece.path!r} has no column {column!r}.{did_you_mean(column, names)} "
                "Columns that a partitioned table keeps in its folder names are not in its files."
            )
    if in_old_calendar(file.metadata):
        _refuse_times(file.schema_arrow, columns, piece)
    groups = list(range(piece.first_group, piece.end_group))
    # A row more or less than planned would be a row lost or counted twice, so it is an error and never a shorter share.
    if file.metadata.num_row_groups < piece.end_group:
        raise _changed(piece)
    wanted = None if columns is None else [column for column in columns if column in known]
    if wanted == []:
        wanted = names[:1]  # something has to be read for the rows to be counted
    skip, left = piece.offset, piece.rows
    for batch in _batches(file, groups, wanted, size, threads):
        if skip >= batch.num_rows:
            skip -= batch.num_rows
            continue
        part = batch.slice(skip, left)
        skip, left = 0, left - part.num_rows
        # pyarrow reads `a.b` too when asked for `a`, and keeps the file's order.
        yield part if columns is None else _arranged(part, columns, absent)
        if left == 0:
            return
    if left:
        raise _changed(piece)


def _batches(
    file: pq.ParquetFile, groups: list[int], columns: list[str] | None, size: _BatchSize, threads: bool
) -> Iterator[pyarrow.RecordBatch]:
    """Yield the rows of these row groups, as many at once as a batch may hold.

    A footer has the length of columns as they are stored, and texts that repeat are stored once, so that they may take
    any multiple of it: few rows are read at once, and joined while they are short.
    """
    rows = min(size.rows, _rows_that_fit(file, groups, size.bytes))
    short = rows > size.repeated_rows and _repeats_texts(file, groups, columns)
    read = file.iter_batches(
        size.repeated_rows if short else rows, row_groups=groups, columns=columns, use_threads=threads
    )
    if not short:
        yield from read
        return
    kept: list[pyarrow.RecordBatch] = []
    for batch in read:
        if kept and batch.nbytes + sum(part.nbytes for part in kept) > size.bytes:
            yield _joined(kept)
            kept = []
        kept.append(batch)
        if (len(kept) + 1) * size.repeated_rows > rows:
            yield _joined(kept)
            kept = []
    if kept:
        yield _joined(kept)


def _joined(batches: list[pyarrow.RecordBatch]) -> pyarrow.RecordBatch:
    import pyarrow as pa

    return pa.Table.from_batches(batches).combine_chunks().to_batches()[0] if len(batches) > 1 else batches[0]


def _rows_that_fit(file: pq.ParquetFile, groups: list[int], most: int) -> int:
    """How many rows of these row groups are `most` bytes, as the footer has their length."""
    about = [file.metadata.row_group(i) for i in groups]
    rows, size = sum(g.num_rows for g in about), sum(g.total_byte_size for g in about)
    return max(1, most * rows // max(1, size))


def _repeats_texts(file: pq.ParquetFile, groups: list[int], columns: list[str] | None) -> bool:
    """Whether a column of texts stores those that repeat once, and comes as the texts themselves."""
    import pyarrow as pa

    schema = file.schema_arrow
    names = schema.names if columns is None else columns
    texts = {name for name in names if not pa.types.is_dictionary(schema.field(name).type)}
    for i in groups:
        group = file.metadata.row_group(i)
        for j in range(group.num_columns):
            column = group.column(j)
            if column.physical_type == "BYTE_ARRAY" and column.has_dictionary_page:
                path = column.path_in_schema
                if path in texts or path.split(".")[0] in texts:
                    return True
    return False


def _refuse_times(schema: pyarrow.Schema, columns: Sequence[str] | None, piece: RowRange) -> None:
    import pyarrow as pa

    kinds = dict(zip(schema.names, schema.types, strict=True))
    for name in kinds if columns is None else columns:
        kind = kinds.get(name)
        if kind is not None and (pa.types.is_date(kind) or pa.types.is_timestamp(kind)):
            raise SourceError(
                f"{piece.path!r} holds {name!r} in the old calendar that Spark 2 and its legacy mode write, which only Spark "
                "reads rightly. Read it as a DataFrame, or let Spark write it anew."
            )


def _arranged(
    batch: pyarrow.RecordBatch, columns: Sequence[str], absent: Mapping[str, pyarrow.DataType]
) -> pyarrow.RecordBatch:
    """The columns wanted, in the order wanted."""
    import pyarrow as pa

    known = set(batch.schema.names)
    if known.issuperset(columns):
        return batch.select(list(columns))
    each = [batch.column(c) if c in known else pa.nulls(batch.num_rows, absent[c]) for c in columns]
    return pa.RecordBatch.from_arrays(each, names=list(columns))


def _changed(piece: RowRange) -> SourceError:
    return SourceError(
        f"{piece.path!r} holds fewer rows than when the work was planned: it was changed meanwhile. Run the step again."
    )
