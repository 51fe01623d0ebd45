"""The outline of a table: how many rows, which labels, and where a split can cut. Runs on executors: numpy and pyarrow only."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

MOST_CLASSES = 1000
"""A label with more distinct values than this has no classes."""

SPOTS = 1_000
"""In how many parts of [0, 1) rows are counted, to see whether they stand everywhere."""

_SAMPLE = 20_000
_PER_CLASS = 1_000
_ODD_WORDS = 200


class Outline:
    """Rows, labels, positions of the split, weights and array lengths of a table.

    Reads batches with the columns `hash` (int64, of the row's content), `word` (the label as text), `number` (the
    label as float64), `position` (float64), `weight` (float64, may be absent), and `size_0`, `size_1` ... (float64,
    the lengths of array columns); passes over others.

    Parameters
    ----------
    per_class
        Whether to list the positions of the rows of small classes, which a stratified split cuts one by one.
    """

    def __init__(self, per_class: bool = False) -> None:
        self.per_class = per_class
        self.rows = 0
        self.unlabelled = 0
        self.infinite = 0
        self.fractions = 0
        self.wordy = 0
        self.low, self.high = np.inf, -np.inf
        self.total = 0.0
        self.words: dict[str, int] = {}
        self.too_many_words = False
        self.odd_words: list[str] = []
        self.places: dict[str, list[float]] = {}
        self.hash_sum = 0
        self.weight_low, self.weight_high = np.inf, -np.inf
        self.weight_missing = 0
        self.position_missing = 0
        self.spots = np.zeros(SPOTS, dtype=np.int64)
        self.sizes: dict[str, list[float]] = {}
        self._kept = [(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float64))]
        self._held = 0
        self._limit = np.iinfo(np.int64).max

    @property
    def positions(self) -> np.ndarray:
        """Positions of a sample of the labelled rows, chosen by content, float64 `[rows]`; all where they are few."""
        return self._sample()[1]

    @property
    def sampled(self) -> bool:
        """Whether `positions` leaves rows out."""
        return self.rows - self.unlabelled > len(self.positions)

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in a batch of rows."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if batch.num_rows == 0:
            return
        column = {name: batch.column(i) for i, name in enumerate(batch.schema.names)}
        words, number = column["word"], _floats(column["number"])
        labelled = np.asarray(pc.not_equal(words, ""))
        hashes = column["hash"].to_numpy(zero_copy_only=False)
        positions = _floats(column["position"])
        self.rows += batch.num_rows
        self.unlabelled += int(batch.num_rows - labelled.sum())
        self.hash_sum = (self.hash_sum + int(hashes.view(np.uint64).sum(dtype=np.uint64))) % 2**64
        known = number[labelled]
        self.wordy += int(np.isnan(known).sum())
        self.infinite += int(np.isinf(known).sum())
        self._keep_odd(words.filter(pa.array(labelled & np.isnan(number))).unique().to_pylist())
        finite = known[np.isfinite(known)]
        if len(finite):
            self.low, self.high = min(self.low, finite.min()), max(self.high, finite.max())
            self.total += float(finite.sum())
            self.fractions += int((finite != np.floor(finite)).sum())
        if not self.too_many_words and labelled.any():
            for pair in pc.value_counts(words.filter(labelled)).to_pylist():
                self._count(pair["values"], pair["counts"])
        if "weight" in column:
            weight = _floats(column["weight"])[labelled]
            self.weight_missing += int(np.isnan(weight).sum())
            self.weight_low = float(np.nanmin(weight, initial=self.weight_low))
            self.weight_high = float(np.nanmax(weight, initial=self.weight_high))
        for name in column:
            if name.startswith("size_"):
                size = _floats(column[name])
                self._size(
                    name, float(np.nanmin(size, initial=np.inf)), float(np.nanmax(size, initial=-np.inf))
                )
        if self.per_class and not self.too_many_words:
            self._place(words.filter(labelled).to_pylist(), positions[labelled])
        self.position_missing += int(np.isnan(positions[labelled]).sum())
        inside = positions[labelled & (positions >= 0) & (positions < 1)]
        self.spots += np.bincount((inside * SPOTS).astype(np.int64), minlength=SPOTS)
        self._keep(hashes[labelled], positions[labelled])

    def merge(self, piece: bytes) -> None:
        """Take in what another outline has sent."""
        head, _, arrays = piece.partition(b"\n")
        other: dict[str, Any] = json.loads(head)
        for name in (
            "rows",
            "unlabelled",
            "infinite",
            "fractions",
            "wordy",
            "total",
            "weight_missing",
            "position_missing",
        ):
            setattr(self, name, getattr(self, name) + other[name])
        self.hash_sum = (self.hash_sum + other["hash_sum"]) % 2**64
        self.spots += np.array(other["spots"], dtype=np.int64)
        self.low, self.high = min(self.low, other["low"]), max(self.high, other["high"])
        self.weight_low = min(self.weight_low, other["weight_low"])
        self.weight_high = max(self.weight_high, other["weight_high"])
        self.too_many_words |= other["too_many_words"]
        self._keep_odd(other["odd_words"])
        for word, n in other["words"].items():
            self._count(word, n)
        for word, places in other["places"].items():
            self.places.setdefault(word, []).extend(places[: _PER_CLASS + 1])
        for name, (low, high) in other["sizes"].items():
            self._size(name, low, high)
        half = len(arrays) // 2
        self._keep(
            np.frombuffer(arrays[:half], dtype=np.int64), np.frombuffer(arrays[half:], dtype=np.float64)
        )

    def pieces(self) -> Iterator[bytes]:
        """Send this outline in one piece."""
        names = (
            "rows unlabelled infinite fractions wordy total weight_missing position_missing hash_sum low high weight_low weight_high "
            "too_many_words odd_words words places sizes spots"
        )
        head = json.dumps({name: _plain(getattr(self, name)) for name in names.split()})
        hashes, positions = self._sample()
        yield head.encode() + b"\n" + hashes.tobytes() + positions.tobytes()

    def _keep_odd(self, words: list[str]) -> None:
        """Some labels that are no numbers, whatever the order of rows: the ones with the least checksums."""
        if words:
            found = {*self.odd_words, *words}
            self.odd_words = sorted(found, key=lambda w: (zlib.crc32(w.encode()), w))[:_ODD_WORDS]

    def _count(self, word: str, n: int) -> None:
        if self.too_many_words:
            return
        self.words[word] = self.words.get(word, 0) + n
        if len(self.words) > MOST_CLASSES:
            self.too_many_words = True
            self.words, self.places = {}, {}

    def _place(self, words: list[str], positions: np.ndarray) -> None:
        """Positions of the rows of small classes, one by one: a threshold of a class of 5 rows must be exact."""
        for word, position in zip(words, positions, strict=True):
            kept = self.places.setdefault(word, [])
            if len(kept) <= _PER_CLASS:
                kept.append(float(position))

    def _size(self, name: str, low: float, high: float) -> None:
        old = self.sizes.get(name, [np.inf, -np.inf])
        self.sizes[name] = [min(old[0], low), max(old[1], high)]

    def _keep(self, hashes: np.ndarray, positions: np.ndarray) -> None:
        near = hashes <= self._limit
        self._kept.append((hashes[near], positions[near]))
        self._held += int(near.sum())
        if self._held > 2 * _SAMPLE:
            self._sample()

    def _sample(self) -> tuple[np.ndarray, np.ndarray]:
        """Leave the rows with the smallest hashes, and return their hashes and positions."""
        hashes, positions = (np.concatenate(parts) for parts in zip(*self._kept, strict=True))
        if len(hashes) > _SAMPLE:
            order = np.lexsort((positions, hashes))[:_SAMPLE]
            hashes, positions = hashes[order], positions[order]
            self._limit = int(hashes[-1])
        self._kept, self._held = [(hashes, positions)], len(hashes)
        return hashes, positions

    def small_class(self, word: str) -> list[float] | None:
        """Return the positions of all rows of a class, or None where they are too many to list."""
        kept = self.places.get(word, [])
        return kept if len(kept) == self.words.get(word) else None


def _floats(column: pa.Array) -> np.ndarray:
    return column.to_numpy(zero_copy_only=False).astype(np.float64, copy=False)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value
