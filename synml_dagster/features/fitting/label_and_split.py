"""What the outline of a table decides: the task, the label, and where the sides of the split begin."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from synml_dagster.columns import RawInput
from synml_dagster.errors import ConfigError, DataError
from synml_dagster.features.compile.label import alike, fit_label, numbers_for_people
from synml_dagster.features.plan import MAX_POWER_GRADE, LabelPlan, SplitPlan
from synml_dagster.features.profile.file_rows import FileRows, can_be_read
from synml_dagster.features.profile.outline import Outline
from synml_dagster.features.profile.request import RowFacts, Rows
from synml_dagster.features.profile.scan import Reading
from synml_dagster.features.profile.spark_rows import SparkRows
from synml_dagster.features.spec import FeatureSpec, SplitSpec, Task
from synml_dagster.features.splitting.placing import kept_limits, too_alike
from synml_dagster.features.splitting.split import far_from_shares, fit_split
from synml_dagster.files import ParquetFiles, files_reachable

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from synml_dagster.features.fitting.roles import Roles

_MOST_GRADES = 10_000
_LEAST_WEIGHT, _MOST_WEIGHT = 1e-9, 1e30
"""Of the largest weight: below the one no leaf reaches min_sum_hessian_in_leaf, above the other float32 ends."""


@dataclass(frozen=True)
class Decided:
    """What is known once the outline is there.

    Attributes
    ----------
    reading
        The scan, which goes on to the profile of the training rows.
    outline, lengths
        What the scan saw of all rows, and how long arrays are.
    """

    reading: Reading
    outline: Outline
    lengths: dict[str, tuple[int, int]]
    task: Task
    label: LabelPlan
    split: SplitPlan
    warnings: list[str]


def decide_label_and_split(
    df: DataFrame,
    files: ParquetFiles | None,
    roles: Roles,
    features: FeatureSpec,
    split: SplitSpec,
    task: str,
    use: list[RawInput] | None,
) -> Decided:
    """Scan the rows, and decide what they decide; `use` are the candidates, None where arrays' lengths are to be seen first.

    Raises
    ------
    DataError, ConfigError
        The label or the weights cannot be learned from, or do not go with the task or the split.
    """
    warnings: list[str] = []
    facts = roles.facts(split.seed)
    declared = features.declared()
    reading = Reading(SparkRows(df, facts), split, declared)
    if (
        files is not None
        and not facts.ordered
        and can_be_read(files, roles.inputs, declared)
        and files_reachable(df.sparkSession, files)
    ):
        reading.from_files = FileRows(df.sparkSession, files, facts)
    arrays = [i for i in roles.inputs if i.storage in ("array", "vector")]
    outline, lengths = reading.outline(arrays, use)
    target, name = roles.target, roles.target.name
    group = roles.group.name if roles.group else None
    if (read := numbers_for_people(target, outline, task, group)) is not None:
        written, doubtful = read
        target = target.model_copy(update={"number_marks": written.marks})
        facts = replace(facts, target=target)
        reading = Reading(SparkRows(df, facts), split, declared, _of_files(reading.from_files, facts))
        outline, lengths = reading.outline(arrays, use)
        example = (list(outline.words) or outline.odd_words or [""])[0]
        shown = f", such as {example!r} as {written.read(example):.10g}" if example else ""
        doubt = (
            ". Another reading would do as well; if it is meant, convert the label in the source" * doubtful
        )
        warnings.append(f"label {name!r} is read as numbers written with {written.describe()}{shown}{doubt}")
    found, label = fit_label(target, outline, task, group)
    if roles.by == "stratified" and label.classes is None:
        raise ConfigError(
            f"split.by 'stratified' needs classes, and task {found!r} has none. Use split.by 'random'."
        )
    if outline.unlabelled:
        warnings.append(
            f"{outline.unlabelled} of {outline.rows} rows have no label {name!r}{_marks_of(target)} and are left out"
        )
    warnings += alike(label)
    _check_weight(roles.weight, outline)
    warnings += _groupless(df, roles)
    if found == "ranking":
        warnings += _high_grades(label)

    cut = partial(fit_split, split, roles.by, roles.split_column, [i.path for i in roles.placing])
    plan = cut(outline, label.classes, reading.small, list(facts.ordered))
    if not facts.ordered and (why := too_alike(plan, outline)):
        warnings.append(why)
        facts = replace(facts, ordered=tuple(raw.path for raw in facts.hashed))
        reading = Reading(SparkRows(df, facts), split, declared)  # equal rows are numbered across all files
        outline, lengths = reading.outline(arrays, use)
        plan = cut(outline, label.classes, reading.small, list(facts.ordered))
    elif facts.ordered:
        warnings.append(
            "split: equal rows are spread over the sides, as in the plan before this one; the model is measured on rows whose like it has learnt"
        )
    plan = kept_limits(plan, roles.before, outline)
    warnings += far_from_shares(plan, outline)
    if roles.by == "time" and outline.position_missing:
        warnings.append(
            f"{outline.position_missing} rows have no {split.column!r} and are on the training side"
        )
    return Decided(reading, outline, lengths, found, label, plan, warnings)


def _groupless(df: DataFrame, roles: Roles) -> list[str]:
    """A warning about rows without a group to be split by; of a ranking's, whose query nobody knows, an error."""
    from pyspark.sql import functions as sf

    raw = roles.group or (roles.split_column if roles.by == "group" else None)
    if raw is None or raw.storage in ("array", "vector"):
        return []
    value = raw.value()
    rows = df.where(value == "" if raw.storage == "string" else sf.isnan(value)).count()
    if rows and roles.group is not None:
        raise DataError(
            f"group {raw.name!r} is missing in {rows} rows, and together they would be one query. Give every row its group, or leave those rows out in the source."
        )
    return [f"{rows} rows have no {raw.name!r} and are on one side together, as one group"] if rows else []


def _of_files(rows: Rows | None, facts: RowFacts) -> Rows | None:
    return replace(rows, facts=facts) if isinstance(rows, FileRows) else rows


def _high_grades(label: LabelPlan) -> list[str]:
    most = label.maximum or 0
    if most <= MAX_POWER_GRADE:
        return []
    if most > _MOST_GRADES:
        raise DataError(
            f"label {label.column!r} has grades up to {most:.0f}; a ranking takes up to {_MOST_GRADES}. Put them into fewer steps."
        )
    return [
        f"label {label.column!r} has grades up to {most:.0f}, above LightGBM's {MAX_POWER_GRADE}: the gain of a grade is the grade itself; train.params.label_gain says otherwise for training"
    ]


def _marks_of(target: RawInput) -> str:
    """What beside an empty value counts as no label."""
    if not target.missing:
        return ""
    return f" (empty, or a mark such as {', '.join(target.missing[:8])}; features.missing says which words are marks)"


def _check_weight(weights: RawInput | None, outline: Outline) -> None:
    if weights is None:
        return
    if outline.weight_missing:
        raise DataError(
            f"weight {weights.name!r} is missing in {outline.weight_missing} rows; give every row a weight"
        )
    if outline.weight_low < 0:
        raise DataError(
            f"weight {weights.name!r} is negative ({outline.weight_low:g}); weights are 0 or more"
        )
    if outline.weight_high <= 0 or not np.isfinite(outline.weight_high):
        what = "infinite in some rows" if outline.weight_high > 0 else "0 in all labelled rows"
        raise DataError(f"weight {weights.name!r} is {what}; nothing can be learned by it")
    if not _LEAST_WEIGHT < outline.weight_high < _MOST_WEIGHT:
        raise DataError(
            f"weight {weights.name!r} goes up to {outline.weight_high:g}; LightGBM takes weights from {_LEAST_WEIGHT:g} to {_MOST_WEIGHT:g}. Multiply all of them by one number in the source."
        )
