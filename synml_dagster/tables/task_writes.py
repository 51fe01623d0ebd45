"""Tables that tasks write by themselves, past Spark's rows: files copied as they are, or rows made of them.

Moving a column through Spark's rows costs many times what copying it costs, and most where there are thousands.
Each task names its files by what it was given, so that a task that is run again replaces what it wrote.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import quote

from synml_dagster.errors import SetupError, SourceError
from synml_dagster.files import ParquetFiles
from synml_dagster.files.file_splits import (
    FileSplit,
    bounded_file_splits,
    read_file_split,
    rows_a_batch,
    task_frame,
)
from synml_dagster.files.parquet_files import NULL_PARTITION, file_system_of, open_parquet
from synml_dagster.spark import is_local
from synml_dagster.spark.local_disk import local_folder

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyspark.sql import SparkSession

_TASKS_A_SLOT = 4
_VALUES_A_TASK = 100_000_000
_ROW_GROUP_BYTES = 2**27
_PIECE = 2**23
# Amazon's S3 copies an object of up to 5 GB by itself.
_COPIED_BY_STORE = 5 * 10**9
UNSEEN = (
    "there is nothing under {path!r} where Spark's tasks run, or where this process runs: they do not share this file system. "
    "Set the data directory to an object store or to a folder that all of them see."
)


@dataclass(frozen=True)
class MadeRows:
    """Rows that tasks make of the rows of Parquet files.

    Attributes
    ----------
    files
        What is read.
    reads
        The columns of them that `make` takes.
    types
        Their Arrow types where a file lacks them.
    make
        Makes a batch of the table's rows of a batch of the files'; runs on executors.
    schema_json
        Spark's own JSON schema of what it makes.
    words
        Columns of text that `make` takes as Arrow dictionaries.
    """

    files: ParquetFiles
    reads: tuple[str, ...]
    types: dict[str, pa.DataType]
    make: Callable[[pa.RecordBatch], pa.RecordBatch]
    schema_json: str
    words: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        """The columns of the rows that are made."""
        return [f["name"] for f in json.loads(self.schema_json)["fields"]]

    @property
    def width(self) -> int:
        """How many columns are in memory at once: a few may become thousands."""
        return max(1, len(self.reads), len(self.columns))


def copy_files(spark: SparkSession, files: ParquetFiles, folder: str) -> int:
    """Copy `files` into `folder`, which is there, in their order; return the rows of the copies.

    Raises
    ------
    SourceError
        A file is gone.
    SetupError
        Tasks do not see the folder.
    """
    mark = _mark(folder)
    pairs = [(path, f"part-{i:05d}-{mark}.parquet") for i, path in enumerate(files.paths)]
    if not any("://" in path for path in (folder, *files.paths)) and is_local(spark):
        # Its tasks would copy on the same disks, and their workers have to start first.
        return _copied_here(pairs, folder)
    work = [json.dumps(pair) for pair in pairs]

    def copy(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for batch in batches:
            for text in batch.column(1).to_pylist():
                source, name = json.loads(text)
                _copy(source, folder, name)
                rows = open_parquet(f"{folder}/{name}").metadata.num_rows
                yield pa.RecordBatch.from_pydict({"rows": pa.array([rows], pa.int64())})

    return _run(spark, work, copy)


def _copied_here(pairs: Sequence[tuple[str, str]], folder: str) -> int:
    given_up = threading.Event()

    def one(pair: tuple[str, str]) -> int:
        _copy(pair[0], folder, pair[1], given_up)
        return int(open_parquet(f"{folder}/{pair[1]}").metadata.num_rows)

    with ThreadPoolExecutor(max_workers=4) as threads:
        try:
            return sum(threads.map(one, pairs))
        except BaseException:  # a run that is cancelled, too: nobody waits for the rest of a large file
            given_up.set()
            raise


def write_rows(spark: SparkSession, made: MadeRows, folder: str, partition_by: Sequence[str]) -> int:
    """Write the rows of `made` into `folder`, which is there, laid out by `partition_by` as Spark does; return their number.

    Raises
    ------
    SetupError
        Tasks do not see the folder.
    SynmlError
        What `made.make` raises of it, or reading the files.
    """
    shares = bounded_file_splits(spark, made.files, _VALUES_A_TASK // made.width)
    writing = _Writing(made, folder, tuple(partition_by))
    return _run(spark, [share.to_json() for share in shares], writing) if shares else 0


def _run(
    spark: SparkSession, work: list[str], do: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]
) -> int:
    from pyspark.sql import functions as sf

    from synml_dagster.spark import task_slots

    tasks = min(len(work), _TASKS_A_SLOT * (task_slots(spark) or 8))
    done = task_frame(spark, work, tasks).mapInArrow(do, "rows long").agg(sf.sum("rows")).first()
    assert done is not None
    return int(done[0] or 0)


@dataclass(frozen=True)
class _Writing:
    """Writes the shares that rows (`index`, `share`) name, a file for each value of the columns of the layout."""

    made: MadeRows
    folder: str
    partition_by: tuple[str, ...]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for batch in batches:
            for number, text in zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True):
                rows = self._write(number, FileSplit.from_json(text))
                yield pa.RecordBatch.from_pydict({"rows": pa.array([rows], pa.int64())})

    def _write(self, number: int, share: FileSplit) -> int:
        made, rows = self.made, 0
        step = rows_a_batch(made.width)
        with ExitStack() as stack:
            parts: dict[str, _Part] = {}
            for batch in read_file_split(
                share, made.reads, step, threads=False, absent=made.types, words=made.words
            ):
                for where, piece in _by_value(made.make(batch), self.partition_by):
                    if where not in parts:
                        name = f"{where}part-{number:05d}-{_mark(self.folder)}.parquet"
                        parts[where] = stack.enter_context(_part(self.folder, name, piece.schema))
                    parts[where].add(piece)
                    rows += piece.num_rows
        return rows


def _mark(folder: str) -> str:
    """The end of a version's id. No two versions name a file alike, so that none is taken for the other's; attempts do."""
    return folder.rstrip("/").rsplit("-", 1)[-1][-8:]


class _Part:
    """A file that gets row groups of about 128 MiB."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self._kept: list[pa.RecordBatch] = []
        self._bytes = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Take rows; write them with others."""
        self._kept.append(batch)
        self._bytes += batch.nbytes
        if self._bytes >= _ROW_GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what was taken."""
        import pyarrow as pa

        if self._kept:
            rows = pa.Table.from_batches(self._kept)
            self._writer.write_table(rows, row_group_size=max(1, rows.num_rows))
            self._kept, self._bytes = [], 0


@contextmanager
def _part(folder: str, name: str, schema: pa.Schema) -> Iterator[_Part]:
    import pyarrow.parquet as pq

    with _whole_or_not(folder, name) as target, pq.ParquetWriter(str(target), schema) as writer:
        part = _Part(writer)
        yield part
        part.flush()


def _by_value(batch: pa.RecordBatch, columns: Sequence[str]) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Yield the rows of each value of `columns`, without these, and the folders that say the values."""
    import pyarrow.compute as pc

    if not columns:
        yield "", batch
        return
    column, rest = batch.column(columns[0]), batch.drop_columns([columns[0]])
    for value in pc.unique(column):
        if value.is_valid:
            kept, text = rest.filter(pc.equal(column, value)), quote(str(value.as_py()), safe=" ")
        else:
            kept, text = rest.filter(pc.is_null(column)), NULL_PARTITION
        for inner, piece in _by_value(kept, columns[1:]):
            yield f"{quote(columns[0], safe=' ')}={text}/{inner}", piece


@contextmanager
def _whole_or_not(folder: str, name: str) -> Iterator[Path]:
    """Lend a local place to write the file `folder/name` to, which is there when it is whole, and not before.

    A stream into an object store cannot be given up: closing it in an error's wake would put what was written so far
    in the place of what another attempt of the task has finished.
    """
    if "://" in folder:
        with tempfile.TemporaryDirectory(prefix="synml-part-", dir=local_folder()) as near:
            place = Path(near) / "part.parquet"
            yield place
            system, inside = file_system_of(f"{folder}/{name}")
            with place.open("rb") as reading, system.open_output_stream(inside) as writing:
                shutil.copyfileobj(reading, writing, _PIECE)
        return
    # The version's own folder is made by who publishes it, and gone when it is given up: then late tasks end here.
    if not os.path.isdir(folder):
        raise SetupError(UNSEEN.format(path=folder))
    target = Path(folder) / name
    for between in reversed(Path(name).parents[:-1]):
        (Path(folder) / between).mkdir(exist_ok=True)
    # Readers pass over a name that begins with a dot; a killed task may leave one, which goes with its version.
    begun = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        yield begun
        os.replace(begun, target)
    except BaseException:
        begun.unlink(missing_ok=True)
        raise


def _copy(source: str, folder: str, name: str, given_up: threading.Event | None = None) -> None:
    try:
        if "://" in source and "://" in folder:
            here, inside = file_system_of(source)
            there, place = file_system_of(f"{folder}/{name}")
            if here.equals(there) and 0 < (here.get_file_info(inside).size or 0) < _COPIED_BY_STORE:
                there.copy_file(inside, place)
                return
        with _whole_or_not(folder, name) as target, _reading(source) as reading, target.open("wb") as writing:
            while piece := reading.read(_PIECE):
                if given_up is not None and given_up.is_set():
                    raise InterruptedError(f"{source!r} is copied no further")
                writing.write(piece)
    except FileNotFoundError as problem:
        raise SourceError(f"there is no file {source!r} any more. Run the step again.") from problem


def _reading(source: str) -> IO[bytes] | pa.NativeFile:
    if "://" not in source:
        return open(source, "rb")
    system, inside = file_system_of(source)
    return system.open_input_stream(inside)
