"""The profile of the training rows: figures, word counts and a sample of all columns at once. Runs on executors: numpy and pyarrow only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from synml_dagster.features.profile.ipc import as_bytes, as_table

if TYPE_CHECKING:
    import pyarrow as pa

_PIECE = 16 * 2**20
SAMPLE_ROWS = 20_000
_SAMPLE_CELLS = 10_000_000
_WORDS = 1_000_000

COUNT, MISSING, INFINITE, LOW, HIGH, MEAN, SQUARES = range(7)


class Profile:
    """Figures of numbers, counts of words, and a sample of rows chosen by their content.

    Reads batches with `hash` (int64), float64 columns (NaN is missing) and string columns ("" is missing). What else a
    batch holds stays in the sample.

    Parameters
    ----------
    numbers, words
        The names of the float64 and of the string columns.

    Attributes
    ----------
    figures
        float64 `[7, numbers]`: rows, missing, infinite, least, greatest, mean and sum of squared deviations of the
        finite values.
    counts
        For each string column its words and their rows, or None where they are too many to count.
    """

    def __init__(self, numbers: list[str], words: list[str]) -> None:
        self.numbers, self.words = numbers, words
        self.figures = np.zeros((7, len(numbers)))
        self.figures[LOW], self.figures[HIGH] = np.inf, -np.inf
        self.rows = 0
        self.counts: list[dict[str, int] | None] = [{} for _ in words]
        self.missing_words = np.zeros(len(words), dtype=np.int64)
        self.most_words = max(5_000, min(100_000, _WORDS // max(1, len(words))))
        columns = len(numbers) + len(words)
        self.sample_rows = max(500, min(SAMPLE_ROWS, _SAMPLE_CELLS // max(1, columns)))
        self._sample: list[pa.Table] = []
        self._held = 0
        self._fresh = False
        self._limit = np.iinfo(np.int64).max

    @property
    def sample(self) -> pa.Table | None:
        """The sampled rows in the order of their hashes, or None where there are no rows."""
        self._shrink()
        return self._sample[0] if self._sample else None

    @property
    def sampled(self) -> bool:
        """Whether the sample leaves rows out."""
        self._shrink()
        return self.rows > self._held

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in a batch of rows."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if batch.num_rows == 0:
            return
        self.rows += batch.num_rows
        column = {name: batch.column(i) for i, name in enumerate(batch.schema.names)}
        if self.numbers:
            here = [figures_of(column[name].to_numpy(zero_copy_only=False)) for name in self.numbers]
            self.figures = _joined(self.figures, np.stack(here, axis=1))
        for i, name in enumerate(self.words):
            self.missing_words[i] += pc.sum(pc.equal(column[name], "")).as_py() or 0
            if self.counts[i] is not None:
                counted = pc.value_counts(column[name])
                found = zip(counted.field(0).to_pylist(), counted.field(1).to_pylist(), strict=True)
                self._count(i, found)
        self._keep(pa.Table.from_batches([batch]))

    def merge(self, piece: bytes) -> None:
        """Take in a piece of what another profile has sent."""
        kind, payload = piece[:1], piece[1:]
        if kind == b"s":
            self._keep(as_table(payload))
            return
        head, _, body = payload.partition(b"\n")
        about = json.loads(head)
        if kind == b"f":
            self.rows += about["rows"]
            self.missing_words += np.array(about["missing"], dtype=np.int64)
            for i in about["too_many"]:
                self.counts[i] = None
            self.figures = _joined(self.figures, np.frombuffer(body).reshape(7, -1))
            return
        table = as_table(body)
        if self.counts[about["column"]] is not None:
            found = zip(table.column(0).to_pylist(), table.column(1).to_pylist(), strict=True)
            self._count(about["column"], found)

    def pieces(self) -> Iterator[bytes]:
        """Send the figures, the words of each column, and the sample."""
        import pyarrow as pa

        too_many = [i for i, c in enumerate(self.counts) if c is None]
        about = {"rows": self.rows, "missing": self.missing_words.tolist(), "too_many": too_many}
        yield b"f" + json.dumps(about).encode() + b"\n" + self.figures.tobytes()
        for i, counts in enumerate(self.counts):
            if counts:
                table = pa.table(
                    {"w": pa.array(list(counts), pa.string()), "n": pa.array(list(counts.values()))}
                )
                yield b"w" + json.dumps({"column": i}).encode() + b"\n" + as_bytes(table)
        sample = self.sample
        if sample is None:
            return
        rows = max(1, int(_PIECE / max(1.0, sample.nbytes / max(1, sample.num_rows))))
        for start in range(0, sample.num_rows, rows):
            yield b"s" + as_bytes(sample.slice(start, rows))

    def _count(self, i: int, found: Iterator[tuple[str, int]]) -> None:
        counts = self.counts[i]
        if counts is None:
            return
        for word, n in found:
            if word:
                counts[word] = counts.get(word, 0) + n
        if len(counts) > self.most_words:
            self.counts[i] = None

    def _keep(self, rows: pa.Table) -> None:
        import pyarrow.compute as pc

        rows = rows.filter(pc.less_equal(rows.column("hash"), int(self._limit)))
        self._sample.append(rows)
        self._fresh = True
        self._held += rows.num_rows
        if self._held > 2 * self.sample_rows:
            self._shrink()

    def _shrink(self) -> None:
        import pyarrow as pa

        if not self._fresh:
            return
        table = pa.concat_tables(self._sample)
        order = np.argsort(table.column("hash").to_numpy(), kind="stable")[: self.sample_rows]
        table = table.take(pa.array(order)).combine_chunks()
        self._sample, self._held, self._fresh = [table], table.num_rows, False
        if table.num_rows == self.sample_rows:
            self._limit = int(table.column("hash")[-1].as_py())


def figures_of(values: np.ndarray) -> np.ndarray:
    """Return the figures of one column's values, float64 `[7]`; see `Profile.figures`."""
    missing, infinite = np.isnan(values), np.isinf(values)
    finite = values[~(missing | infinite)]
    out = np.array([len(values), missing.sum(), infinite.sum(), np.inf, -np.inf, 0.0, 0.0])
    if len(finite):
        with np.errstate(over="ignore", invalid="ignore"):
            mean = finite.mean()
            out[LOW:] = finite.min(), finite.max(), mean, ((finite - mean) ** 2).sum()
    return out


def _joined(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Figures of two parts together (Chan, Golub and LeVeque, 1979): no cancellation as in sums of squares."""
    na, nb = (x[COUNT] - x[MISSING] - x[INFINITE] for x in (a, b))
    weight = nb / np.maximum(1.0, na + nb)
    with np.errstate(over="ignore", invalid="ignore"):
        out = a + b
        away = b[MEAN] - a[MEAN]
        out[MEAN] = a[MEAN] + away * weight
        out[SQUARES] = a[SQUARES] + b[SQUARES] + away * (na * weight) * away  # 0 before what may be infinite
    out[LOW], out[HIGH] = np.minimum(a[LOW], b[LOW]), np.maximum(a[HIGH], b[HIGH])
    return out
