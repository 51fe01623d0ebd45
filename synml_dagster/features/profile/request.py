"""What a plan's summaries are told of a row, whoever reads the rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from synml_dagster.columns import RawInput
from synml_dagster.features.plan import LabelPlan, SplitPlan
from synml_dagster.features.profile.aggregate import S
from synml_dagster.features.spec import Kind, SplitBy

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class RowFacts:
    """By what rows are labelled, weighted, split and told apart.

    Attributes
    ----------
    hashed
        The columns whose content chooses the sample: all that can be hashed.
    placing
        The columns whose content says where a row stands: what features are made of, and never the label.
    ordered
        Where rows that are equal in `placing` stand in several places: the columns whose content numbers them.
    """

    target: RawInput
    weights: RawInput | None
    by: SplitBy
    split_column: RawInput | None
    hashed: list[RawInput]
    seed: int
    placing: list[RawInput]
    ordered: tuple[tuple[str, ...], ...] = ()

    @property
    def placed(self) -> list[RawInput]:
        """The columns whose content says where a row stands; in a split by time the one time that does."""
        if self.by in ("group", "time") and self.split_column is not None:
            return [self.split_column]
        return self.placing


@dataclass(frozen=True)
class Value:
    """A column of a profile: the number or the word that a raw column is, or the number at a place of its arrays."""

    name: str
    raw: RawInput
    is_word: bool
    place: int | None = None


@dataclass(frozen=True)
class Asked:
    """What is asked of each row beside its hash and its label.

    Attributes
    ----------
    values
        For a profile.
    sizes
        Arrays whose lengths are asked for.
    trained
        The split and the label whose training rows alone are asked for; None asks for all rows, and for their
        positions and weights.
    """

    values: tuple[Value, ...] = ()
    sizes: tuple[RawInput, ...] = ()
    trained: tuple[SplitPlan, LabelPlan] | None = None


class Rows(Protocol):
    """A table whose rows can be summarised."""

    def summary(self, asked: Asked, make: Callable[[], S]) -> S:
        """Return the summary of the rows: columns `hash`, `word`, `number`, and what else is asked for."""


def values_of(use: list[RawInput], declared: dict[str, Kind]) -> tuple[Value, ...]:
    """Return the profile's columns for the raw columns `use`; `declared` are the kinds that the description gives."""
    made: list[Value] = []
    for i, raw in enumerate(use):
        if raw.storage in ("array", "vector"):
            made += [Value(f"c{i}_{j}", raw, False, j) for j in range(raw.width)]
        else:
            is_word = raw.storage == "string" or declared.get(raw.name) == "categorical"
            made.append(Value(f"c{i}", raw, is_word))
    return tuple(made)
