"""What the profile of the training rows decides: how each column becomes features, and which are left out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from synml_dagster.columns import RawInput, UniqueNames
from synml_dagster.columns.arrow_values import label_values
from synml_dagster.errors import ConfigError, DataError
from synml_dagster.features.choices import FeatureChoices
from synml_dagster.features.compile.label import class_index, label_number, label_word
from synml_dagster.features.fitting.alternatives import fit_alternatives, with_columns
from synml_dagster.features.fitting.column import fit_column, kind_of
from synml_dagster.features.fitting.encodings import SMOOTHING, count_words, with_target_means
from synml_dagster.features.fitting.leakage import leaks, near_duplicates
from synml_dagster.features.fitting.stand_ins import said_of_stand_in, stand_in
from synml_dagster.features.kinds import CategoricalColumn, FittedColumn
from synml_dagster.features.names import RESERVED
from synml_dagster.features.plan import Alternative, Dropped, LabelPlan, SplitPlan
from synml_dagster.features.profile.column_sample import Seen, statistics, without_marks
from synml_dagster.features.profile.spark_rows import SparkRows
from synml_dagster.features.spec import FeatureSpec, Task
from synml_dagster.features.stats import ColumnStats

if TYPE_CHECKING:
    import numpy as np

    from synml_dagster.features.fitting.label_and_split import Decided


@dataclass(frozen=True)
class FittedColumns:
    """The columns of a plan, with what was seen of them."""

    columns: list[FittedColumn]
    alternatives: list[Alternative]
    dropped: list[Dropped]
    statistics: list[ColumnStats]
    warnings: list[str]
    notes: list[str]


def fit_columns(
    use: list[RawInput], decided: Decided, features: FeatureSpec, by: str, choices: FeatureChoices
) -> FittedColumns:
    """Read the training rows and fit a column of the plan for each of `use` that is worth one, and what may stand for it.

    Raises
    ------
    DataError
        There is no training row, no two classes among them, or no usable column.
    ConfigError
        A column is to be what it cannot be.
    """
    reading, label, split = decided.reading, decided.label, decided.split
    warnings: list[str] = []
    dropped: list[Dropped] = []
    profile, seen = reading.profile(use, split, label)
    if profile.rows == 0:
        raise DataError("split: no row is on the training side; make split.test and split.validation smaller")
    sample = profile.sample
    assert sample is not None
    labels = label_values(sample.column("word"), sample.column("number").to_numpy(), label.classes)
    if label.classes and not profile.sampled:
        warnings += _absent_classes(label.classes, labels, by)
    if not label.classes and decided.task == "regression" and (odd := stand_in(labels)):
        warnings.append(said_of_stand_in(f"label {label.column!r}", odd))
    single = {raw.name: one for raw in use if isinstance(one := seen[raw.name], Seen)}

    large = [raw for raw in use if raw.name in single and _uncounted(raw, single[raw.name], features)]
    if large:
        most = max([features.max_categories, *(o.max_categories or 0 for o in features.overrides.values())])
        rows = reading.table.training_rows(split, label)
        for name, counts in count_words(rows, large, most + 1).items():
            single[name] = seen[name] = replace(single[name], counts=counts)

    unique = UniqueNames(RESERVED)
    columns: list[FittedColumn] = []
    for raw in use:
        fitted, reason, worries = fit_column(raw, seen[raw.name], features, unique)
        warnings += worries
        if fitted is None:
            dropped.append(Dropped(column=raw.name, reason=reason))
        else:
            columns.append(fitted)
    if not columns:
        reasons = "; ".join(f"{d.column!r}: {d.reason}" for d in dropped[:10])
        raise DataError(f"no usable feature is left ({reasons or 'the label is the only column'})")
    alternatives, notes = fit_alternatives(use, columns, seen, features, choices, decided.task, unique)
    every = [*columns, *(c for a in alternatives for c in a.columns)]
    means = _with_target_means(every, features, decided.task, reading.table, split, label)
    columns = means[: len(columns)]
    alternatives = with_columns(alternatives, means[len(columns) :])
    for column in columns:
        if isinstance(column, CategoricalColumn) and column.name in single:
            single[column.name] = without_marks(single[column.name], column.input.missing)
    used = {c.name: single[c.name] for c in columns if c.name in single}
    warnings += leaks(used, labels, len(label.classes) if label.classes else None)
    stats = [statistics(raw, single[raw.name]) for raw in use if raw.name in single]
    return FittedColumns(columns, alternatives, dropped, stats, warnings, [*near_duplicates(used), *notes])


def _absent_classes(classes: list[str], labels: np.ndarray, by: str) -> list[str]:
    """A warning for each class without a training row; an error where no two classes are left."""
    absent = [c for i, c in enumerate(classes) if not (labels == i).any()]
    advice = "use split.by 'stratified'" if by == "random" else "choose another split, or remove the class"
    if len(classes) - len(absent) < 2:
        raise DataError(f"split: no row of class {absent[0]!r} is on the training side; {advice}")
    return [
        f"no row of class {c!r} is on the training side and it will never be predicted; {advice}"
        for c in absent
    ]


def _uncounted(raw: RawInput, seen: Seen, features: FeatureSpec) -> bool:
    return (
        seen.strings is not None
        and seen.counts is None
        and kind_of(raw, seen, features).kind == "categorical"
    )


def _with_target_means(
    columns: list[FittedColumn],
    features: FeatureSpec,
    task: Task,
    table: SparkRows,
    split: SplitPlan,
    label: LabelPlan,
) -> list[FittedColumn]:
    from pyspark.sql import functions as sf

    encoded = [c for c in columns if isinstance(c, CategoricalColumn) and c.encoding == "target"]
    if not encoded:
        return columns
    if task == "multiclass":
        raise ConfigError(
            f"features: 'target' as the encoding of {encoded[0].name!r} needs two classes or a number to predict; use index, onehot or frequency"
        )
    said = [features.own(c.name, "categorical").smoothing for c in encoded]
    smoothing = [SMOOTHING if s is None else s for s in said]
    target = table.facts.target
    number = class_index(label, label_word(target)).cast("double") if label.classes else label_number(target)
    rows, row_fold = table.training_rows(split, label, folds=True), sf.col("__fold")
    made = iter(with_target_means(rows, encoded, smoothing, number, row_fold))
    return [next(made) if c in encoded else c for c in columns]
