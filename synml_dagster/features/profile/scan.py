"""Reads a table for a plan: in one Spark job wherever that can be, in two where not; from its files wherever they can be read.

What the plan learns from, the training rows, is known only when the labels and the split are. In a large table that is
split by hash the split is known beforehand, and a small table fits into the first pass whole; in both cases one pass does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from synml_dagster.columns import RawInput
from synml_dagster.columns.arrow_values import as_spark_writes, label_values
from synml_dagster.features.plan import LabelPlan, SplitPlan
from synml_dagster.features.profile.column_sample import Seen, seen_number, seen_words
from synml_dagster.features.profile.first_pass import FirstPass
from synml_dagster.features.profile.outline import Outline
from synml_dagster.features.profile.profile import Profile
from synml_dagster.features.profile.request import Asked, RowFacts, Rows, Value, values_of
from synml_dagster.features.profile.spark_rows import SparkRows
from synml_dagster.features.spec import Kind, SplitSpec

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass
class Reading:
    """A table, by what its rows are labelled, weighted and split, and how it is read.

    Attributes
    ----------
    declared
        The kinds that the description gives to columns.
    from_files
        How the table is read where its files can be; the answers are the same.
    """

    table: SparkRows
    split: SplitSpec
    declared: dict[str, Kind]
    from_files: Rows | None = None
    _first: FirstPass | None = None
    _kept: pa.Table | None = None
    _values: tuple[Value, ...] | None = None

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
        outline = self._outlined(arrays, use)
        numeric = self.facts.target.storage in ("number", "integer")
        if self.from_files is not None and numeric and not as_spark_writes(list(outline.words)):
            # A few fractions could be classes, and a class has the name that Spark gives it. Rare, and it costs a pass.
            self.from_files = None
            outline = self._outlined(arrays, use)
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
        values = values_of(use, self.declared) if self._values is None else self._values
        profile = self._from_first(values, split, label)
        if profile is None:
            asked = Asked(values, trained=(split, label))
            profile = self._rows.summary(asked, partial(Profile, *_names(values)))
        return profile, _seen(profile, values) if profile.rows else {}

    @property
    def small(self) -> bool:
        """Whether a first pass has kept all rows, so that whatever the split is takes no other; or there was none."""
        return self._first is None or self._kept is not None

    @property
    def facts(self) -> RowFacts:
        """By what rows are labelled, weighted and split."""
        return self.table.facts

    @property
    def _rows(self) -> Rows:
        return self.from_files or self.table

    def _outlined(self, arrays: list[RawInput], use: list[RawInput] | None) -> Outline:
        per_class = self.facts.by == "stratified"
        if use is None or self.facts.by not in ("random", "stratified"):
            return self._rows.summary(Asked(sizes=tuple(arrays)), partial(Outline, per_class))
        values = self._values = values_of(use, self.declared)
        make = partial(FirstPass, self._cut, *_names(values), per_class)
        self._first = self._rows.summary(Asked(values), make)
        self._kept = self._first.all_rows
        return self._first.outline

    @property
    def _cut(self) -> float:
        return self.split.test + self.split.validation

    def _from_first(self, values: tuple[Value, ...], split: SplitPlan, label: LabelPlan) -> Profile | None:
        """The profile that the first pass has taken, or the one of the rows that it has kept; None where it has neither."""
        if self._first is None:
            return None
        if {*split.test} == {self.split.test} and {*split.validation} == {self._cut}:
            return self._first.profile
        rows = self._kept
        if rows is None:
            return None
        labels = label_values(rows.column("word"), rows.column("number").to_numpy(), label.classes)
        sides = split.limits(label.classes)
        profile = Profile(*_names(values))
        for batch in rows.filter(sides.trains(rows.column("position").to_numpy(), labels)).to_batches():
            profile.add(batch)
        return profile


def _names(values: tuple[Value, ...]) -> tuple[list[str], list[str]]:
    """The names of the numbers and of the words."""
    return [v.name for v in values if not v.is_word], [v.name for v in values if v.is_word]


def _seen(profile: Profile, values: tuple[Value, ...]) -> dict[str, Seen | list[Seen]]:
    """What was seen of each raw column: of an array, of each of its places."""
    numbers, words = ({name: i for i, name in enumerate(names)} for names in _names(values))
    seen: dict[str, Seen | list[Seen]] = {}
    for value in values:
        name = value.raw.name
        one = (
            seen_words(profile, words[value.name])
            if value.is_word
            else seen_number(profile, numbers[value.name])
        )
        if value.place is None:
            seen[name] = one
        else:
            places = seen.setdefault(name, [])
            assert isinstance(places, list)
            places.append(one)
    return seen
