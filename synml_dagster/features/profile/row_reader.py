"""Reads a task's share of a table's files as a plan's summaries are told of its rows. Runs on executors: numpy and pyarrow only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from synml_dagster.columns.arrow_values import (
    arrow_type,
    label_number,
    label_values,
    label_word,
    number,
    typed,
    word,
)
from synml_dagster.features.splitting.row_hash import mixed_hashes, position_of, row_hashes, seeded
from synml_dagster.features.splitting.split_limits import SplitLimits

if TYPE_CHECKING:
    import pyarrow as pa


class FileColumn(NamedTuple):
    """A column of the files: its name, and Spark's type of it in the table."""

    name: str
    spark_type: str


class FileValue(NamedTuple):
    """A column to answer with: its name in the answer, and the word or the number that a column of the files is."""

    name: str
    column: FileColumn
    is_word: bool


@dataclass(frozen=True)
class RowReader:
    """Answers with `hash`, `word`, `number`, `position`, `weight` and `values`, or without the positions of the rows trained on.

    Attributes
    ----------
    placed
        The columns whose hash says where a row stands, or the time that does.
    trained
        Whose training rows alone are asked for.
    """

    hashed: tuple[FileColumn, ...]
    placed: tuple[FileColumn, ...]
    by_time: bool
    seed: int
    label: FileColumn
    weight: FileColumn | None
    values: tuple[FileValue, ...]
    trained: SplitLimits | None
    label_missing: tuple[str, ...] = ()
    label_marks: tuple[str, str, str, bool] | None = None

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Read the shares that the rows (`index`, `share`) of `batches` name."""
        from synml_dagster.files.file_splits import read_file_splits, rows_a_batch

        names = [column.name for column in self.read]
        types = {column.name: arrow_type(column.spark_type) for column in self.read}
        for raw in read_file_splits(batches, names, rows_a_batch(len(names)), absent=types):
            yield self.told(raw)

    @cached_property
    def read(self) -> list[FileColumn]:
        """The columns of the files that are read, each once."""
        values = [value.column for value in self.values]
        return list(
            dict.fromkeys([self.label, *filter(None, [self.weight]), *self.hashed, *self.placed, *values])
        )

    def told(self, raw: pa.RecordBatch) -> pa.RecordBatch:
        """Return what a summary is told of the rows of `raw`, which holds the columns `read`."""
        import pyarrow as pa

        columns = {c: typed(raw.column(i), c.name, c.spark_type) for i, c in enumerate(self.read)}
        hashes, places = self._hashes_and_places(columns)
        labels = {
            "word": label_word(columns[self.label], self.label_missing),
            "number": pa.array(label_number(columns[self.label], self.label_marks)),
        }
        told = {"hash": pa.array(hashes), **labels}
        if self.trained is None:
            told["position"] = pa.array(places)
            if self.weight is not None:
                told["weight"] = pa.array(number(columns[self.weight]))
        else:
            kept = self._trains(places, told["word"], told["number"])
            told = {name: column.filter(kept) for name, column in told.items()}
            columns = {value.column: columns[value.column].filter(kept) for value in self.values}
        for name, column, is_word in self.values:
            told[name] = word(columns[column]) if is_word else pa.array(number(columns[column]))
        return pa.RecordBatch.from_pydict(told)

    def _hashes_and_places(self, columns: dict[FileColumn, pa.Array]) -> tuple[np.ndarray, np.ndarray]:
        if self.by_time:
            hashes = row_hashes([columns[c] for c in self.hashed], self.seed)
            return hashes, number(columns[self.placed[0]])
        mixed = mixed_hashes([columns[c] for c in self.placed])
        places = position_of(seeded(mixed, self.seed))
        if self.placed == self.hashed:
            return seeded(mixed, self.seed), places
        n = len(self.placed)
        if self.placed != self.hashed[:n]:
            return row_hashes([columns[c] for c in self.hashed], self.seed), places
        # The hash of what places a row is the first part of the hash of all of it, and is not made twice.
        return seeded(mixed ^ mixed_hashes([columns[c] for c in self.hashed[n:]], n), self.seed), places

    def _trains(self, places: np.ndarray, words: pa.Array, numbers: pa.Array) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        assert self.trained is not None
        labels = label_values(words, numbers.to_numpy(), self.trained.classes)
        # A row without a label has no class; it is left out, whatever side it would be on.
        trains = self.trained.trains(places, np.nan_to_num(labels))
        return pc.and_(pc.not_equal(words, ""), pa.array(trains))
