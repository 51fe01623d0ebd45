"""Fits the other ways to make features that a sweep may choose from, on what was seen for the described ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from synml_dagster.columns import RawInput, UniqueNames
from synml_dagster.features.choices import FeatureChoices, described, tag_of
from synml_dagster.features.fitting.column import fit_column
from synml_dagster.features.kinds import CategoricalColumn, FittedColumn, NumericColumn, TextColumn
from synml_dagster.features.kinds.numeric import BooleanColumn
from synml_dagster.features.plan import Alternative
from synml_dagster.features.profile.column_sample import Seen
from synml_dagster.features.spec import FeatureSpec, Task


def fit_alternatives(
    use: Sequence[RawInput],
    columns: Sequence[FittedColumn],
    seen: Mapping[str, Seen | list[Seen]],
    features: FeatureSpec,
    choices: FeatureChoices,
    task: Task,
    unique: UniqueNames,
) -> tuple[list[Alternative], list[str]]:
    """Return by choice the columns that differ from the described ones, and what a person should know.

    Parameters
    ----------
    columns
        As described. Where a choice changes none of them, there is no such alternative.
    """
    notes = []
    if "target" in choices.encoding and task == "multiclass":
        notes.append("the encoding 'target' is not tried: it needs two classes or a number to predict")
        left = [e for e in choices.encoding if e != "target"]
        choices = choices.model_copy(update={"encoding": left})
    raws = {raw.name: raw for raw in use}
    found = []
    for kind, when in choices.alternatives():
        spec, tag, made = described(features, when), tag_of(when), []
        for column in columns:
            if _kind(column) != kind:
                continue
            fitted, _, _ = fit_column(raws[column.name], seen[column.name], spec, str)
            if fitted is not None and not _same(fitted, column):
                names = [unique(f"{name}__{tag}") for name in fitted.features]
                made.append(fitted.model_copy(update={"features": names}))
        if made:
            found.append(Alternative(kind=kind, when=when, columns=made))
    return found, notes


def with_columns(alternatives: Sequence[Alternative], columns: Sequence[FittedColumn]) -> list[Alternative]:
    """Return alternatives with other columns in place of their own, which `columns` has one after another."""
    left = iter(columns)
    return [a.model_copy(update={"columns": [next(left) for _ in a.columns]}) for a in alternatives]


def _kind(column: FittedColumn) -> str | None:
    if isinstance(column, BooleanColumn):
        return None  # two values: there is nothing to choose
    for kind, of_it in (
        ("numeric", NumericColumn),
        ("categorical", CategoricalColumn),
        ("text", TextColumn),
    ):
        if isinstance(column, of_it):
            return kind
    return None


def _same(one: FittedColumn, other: FittedColumn) -> bool:
    return one.model_dump(exclude={"features"}) == other.model_dump(exclude={"features"})
