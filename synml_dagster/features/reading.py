"""Reads a table for a plan: in one Spark pass wherever that can be, in two where not.

What the plan learns from, the training rows, is known only when the labels and the split are. In a large table that is
split by hash the split is known beforehand, and a small table fits into the first pass whole; in both cases one pass does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from synml_dagster.features.figures import Seen, seen_number, seen_words
from synml_dagster.features.first_pass import FirstPass
from synml_dagster.features.kinds.categorical import as_word
from synml_dagster.features.label import class_index, label_number, label_word
from synml_dagster.features.outline import Outline
from synml_dagster.features.passes import summarise
from synml_dagster.features.plan import LabelPlan, SplitPlan
from synml_dagster.features.profile import Profile
from synml_dagster.features.raw import RawInput
from synml_dagster.features.spec import Kind, SplitBy, SplitSpec
from synml_dagster.features.split import position, row_hash, side, trains

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame


@dataclass
class _Values:
    """The columns of a profile, their names by type, and where each raw column's values are among them."""

    columns: list[Column] = field(default_factory=list)
    numbers: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    places: dict[str, list[tuple[bool, int]]] = field(default_factory=dict)


@dataclass
class Reading:
    """A table, and by what its rows are labelled, weighted and split.

    Attributes
    ----------
    declared
        The kinds that the description gives to columns.
    """

    df: DataFrame
    target: RawInput
    weights: RawInput | None
    by: SplitBy
    split_column: RawInput | None
    split: SplitSpec
    hashed: list[tuple[str, ...]]
    declared: dict[str, Kind]
    _first: FirstPass | None = None
    _values: _Values | None = None

    def outline(
        self, arrays: list[RawInput], use: list[RawInput] | None
    ) -> tuple[Outline, dict[str, tuple[int, int]]]:
        """Return the outline, and the least and greatest length of each array column.

        Parameters
        ----------
        arrays
            The columns of arrays and vectors.
        use
            The columns that `profile` will be asked for, where they are known before the lengths of arrays are.
        """
        from pyspark.sql import functions as sf

        columns = [
            *self._row(),
            position(self.by, self.hashed, self.split_column, self.split.seed).alias("position"),
            *([self.weights.value().cast("double").alias("weight")] if self.weights else []),
            *[sf.size(a.value()).cast("double").alias(f"size_{i}") for i, a in enumerate(arrays)],
        ]
        per_class = self.by == "stratified"
        if use is not None and self.by in ("random", "stratified"):
            values = self._values = _values(use, self.declared)
            make = partial(FirstPass, self._cut, values.numbers, values.words, per_class)
            self._first = summarise(self.df.select(*columns, *values.columns), make)
            return self._first.outline, {}
        outline = summarise(self.df.select(*columns), partial(Outline, per_class))
        sizes = {
            a.name: (int(low), int(high))
            for i, a in enumerate(arrays)
            for low, high in [outline.sizes.get(f"size_{i}", [0, 0])]
        }
        return outline, sizes

    def profile(
        self, use: list[RawInput], split: SplitPlan, label: LabelPlan
    ) -> tuple[Profile, dict[str, Seen | list[Seen]]]:
        """Return the profile of the training rows, and what was seen of each of the columns `use`."""
        values = self._values or _values(use, self.declared)
        profile = self._from_first(values, split, label)
        if profile is None:
            rows = self.training_rows(split, label).select(*self._row(), *values.columns)
            profile = summarise(rows, partial(Profile, values.numbers, values.words))
        if profile.rows == 0:
            return profile, {}
        seen: dict[str, Seen | list[Seen]] = {}
        for raw in use:
            read = [
                seen_number(profile, k) if is_number else seen_words(profile, k)
                for is_number, k in values.places[raw.name]
            ]
            seen[raw.name] = read if raw.storage in ("array", "vector") else read[0]
        return profile, seen

    def training_rows(self, split: SplitPlan, label: LabelPlan) -> DataFrame:
        """Return the labelled rows of the training side."""
        word = label_word(self.target)
        index = class_index(label, word) if label.classes else None
        return self.df.where((word != "") & (side(split, index) == "train"))

    def _row(self) -> list[Column]:
        """What either summary is told of a row: the hash of its content, and its label as text and as a number."""
        return [
            row_hash(self.hashed, self.split.seed).alias("hash"),
            label_word(self.target).alias("word"),
            label_number(self.target).alias("number"),
        ]

    @property
    def _cut(self) -> float:
        return self.split.test + self.split.validation

    def _from_first(self, values: _Values, split: SplitPlan, label: LabelPlan) -> Profile | None:
        """The profile that the first pass has taken, or the one of the rows that it has kept; None where it has neither."""
        if self._first is None:
            return None
        if {*split.test} == {self.split.test} and {*split.validation} == {self._cut}:
            return self._first.profile
        rows = self._first.all_rows
        if rows is None:
            return None
        classes = label_values(rows, label) if label.classes else None
        kept = trains(split, rows.column("position").to_numpy(), classes)
        profile = Profile(values.numbers, values.words)
        for batch in rows.filter(kept).combine_chunks().to_batches():
            profile.add(batch)
        return profile


def label_values(rows: pa.Table, label: LabelPlan) -> np.ndarray:
    """Return the label of rows that hold `word` and `number`, float64: the index of the class, or the number."""
    if not label.classes:
        return rows.column("number").to_numpy()
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.index_in(rows.column("word"), pa.array(label.classes, pa.string()))
    return pc.fill_null(found.cast(pa.float64()), float("nan")).to_numpy()


def _values(use: list[RawInput], declared: dict[str, Kind]) -> _Values:
    from pyspark.sql import functions as sf

    made = _Values()
    for i, raw in enumerate(use):
        value = raw.value()
        if raw.storage in ("array", "vector"):
            for j in range(raw.width):
                made.places.setdefault(raw.name, []).append((True, len(made.numbers)))
                made.numbers.append(f"c{i}_{j}")
                one = sf.coalesce(sf.get(value, sf.lit(j)), sf.lit(float("nan")))
                made.columns.append(one.alias(made.numbers[-1]))
        elif raw.storage == "string" or declared.get(raw.name) == "categorical":
            made.places[raw.name] = [(False, len(made.words))]
            made.words.append(f"c{i}")
            made.columns.append(as_word(value, raw.storage).alias(made.words[-1]))
        else:
            made.places[raw.name] = [(True, len(made.numbers))]
            made.numbers.append(f"c{i}")
            made.columns.append(value.cast("double").alias(made.numbers[-1]))
    return made
