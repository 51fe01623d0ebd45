"""Fits a plan: one or two Spark passes over the table, one more where a vocabulary or an encoding asks for it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from synml_dagster.columns.arrow_values import label_values
from synml_dagster.columns.names import UniqueNames
from synml_dagster.columns.raw import RawInput
from synml_dagster.errors import ConfigError, DataError
from synml_dagster.features.compile.label import (
    alike,
    class_index,
    fit_label,
    label_input,
    label_number,
    label_word,
    numbers_for_people,
)
from synml_dagster.features.fitting.candidates import candidates, check_names, leaves
from synml_dagster.features.fitting.column import fit_column, kind_of
from synml_dagster.features.fitting.encodings import SMOOTHING, count_words, with_target_means
from synml_dagster.features.fitting.leakage import leaks, near_duplicates
from synml_dagster.features.fitting.precision import note_of_label, notes_of
from synml_dagster.features.kinds import CategoricalColumn, FittedColumn
from synml_dagster.features.names import RESERVED
from synml_dagster.features.plan import MAX_POWER_GRADE, Dropped, FeaturePlan, LabelPlan, SplitPlan
from synml_dagster.features.profile.column_sample import Seen, statistics, without_marks
from synml_dagster.features.profile.file_rows import FileRows, can_be_read
from synml_dagster.features.profile.outline import Outline
from synml_dagster.features.profile.request import RowFacts
from synml_dagster.features.profile.scan import Reading
from synml_dagster.features.profile.spark_rows import SparkRows
from synml_dagster.features.spec import FeatureSpec, SplitBy, SplitSpec, Task
from synml_dagster.features.splitting.placing import kept_limits, placing_columns, taken_over, too_alike
from synml_dagster.features.splitting.split import far_from_shares, fit_split
from synml_dagster.files.parquet_files import ParquetFiles, shares_reachable
from synml_dagster.spark.session import active_session

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


_MOST_GRADES = 10_000
_LEAST_WEIGHT, _MOST_WEIGHT = 1e-9, 1e30
"""Of the largest weight: below the one no leaf reaches min_sum_hessian_in_leaf, above the other float32 ends."""


def fit_plan(
    table: DataFrame | ParquetFiles,
    *,
    name: str,
    label: str,
    task: str = "auto",
    features: FeatureSpec | None = None,
    split: SplitSpec | None = None,
    weight: str | None = None,
    group: str | None = None,
    spark: SparkSession | None = None,
    previous: FeaturePlan | None = None,
) -> FeaturePlan:
    """Learn from a table how its columns become a model's inputs.

    One Spark job, however many columns there are: an outline (rows, labels, where the sides of the split begin) and
    a profile of the training rows (figures, word counts, a sample of up to 20,000 rows chosen by content). Two where
    the training rows cannot be told before the outline is there: by time or group, with columns of arrays, or with
    classes too small for the split to cut by hash alone in a large table. A further job counts the words of declared
    categorical columns with more distinct values than the profile keeps, and fits target encodings. Nothing that the
    plan learns depends on how the table is partitioned, or on whether its rows come through Spark or from files.

    Parameters
    ----------
    table
        The raw table: a DataFrame, classic or Connect, or Parquet files. Files are read by Spark's tasks themselves
        where they can open them and hold numbers, booleans, strings, dates and timestamps alone: faster, and the only
        way for thousands of columns.
    name
        The pipeline's name.
    label
        The column to predict. Rows without it are dropped from training, and counted in the plan.
    task
        "binary", "multiclass", "regression", "ranking", or "auto": words and booleans are classes; whole numbers
        are classes where there are two of them, or up to 20 without large gaps; other numbers are a regression; a
        `group` makes it a ranking.
    features, split
        What is said about columns and sides; everything else is guessed.
    weight
        A column of row weights, none of them missing or negative.
    group
        The column that tells which query a row belongs to; a ranking's split never cuts a query.
    spark
        The session for files; the open one when None.
    previous
        The plan before this one. Where it has the same label, seed and way of splitting, rows stay on the sides where
        it has put them, whatever columns are excluded or have come.

    Raises
    ------
    DataError
        The table cannot be learned from as described: see each message.
    ConfigError
        The description names a column that is not there, or combines what does not go together.
    """
    features, split = features or FeatureSpec(), split or SplitSpec()
    files = table if isinstance(table, ParquetFiles) else None
    df = table.dataframe(spark or active_session()) if isinstance(table, ParquetFiles) else table
    inputs, refused = leaves(df)
    target = label_input(inputs, label, df.columns)
    if target.storage == "string":
        target = target.model_copy(update={"missing": tuple(features.missing)})
    check_names(features, split, weight, group, inputs, [r.column for r in refused])
    by_name = {i.name: i for i in inputs}
    weights = by_name[weight] if weight else None
    groups = by_name[group] if group else None
    warnings: list[str] = []
    by: SplitBy = split.by
    split_column = by_name[split.column] if split.column else None
    if groups is not None and by in ("random", "stratified"):
        by, split_column = "group", groups
        if split.by == "stratified":
            warnings.append(
                f"split.by 'stratified' would cut groups; rows are split by the group column {group!r}"
            )
    if (
        by == "time"
        and split_column is not None
        and split_column.storage in ("string", "boolean", "array", "vector")
    ):
        raise ConfigError(
            f"split.column {split_column.name!r} is of type {split_column.spark_type}; a split by time needs a date, a timestamp or a number"
        )

    old = taken_over(previous, label, split, by, inputs)
    placing = placing_columns(inputs, features, target, weights, old)
    others = [i for i in inputs if i.storage != "vector" and i not in placing]
    ordered = tuple(old.ordered) if old is not None else ()
    facts = RowFacts(target, weights, by, split_column, [*placing, *others], split.seed, placing, ordered)
    declared = features.declared()
    reading = Reading(SparkRows(df, facts), split, declared)
    if (
        files is not None
        and not ordered
        and can_be_read(files, inputs, declared)
        and shares_reachable(df.sparkSession, files)
    ):
        reading.from_files = FileRows(df.sparkSession, files, facts)
    dropped = [Dropped(column=r.column, reason=r.reason) for r in refused]
    rules = partial(
        candidates, features, inputs, target, weights, groups, split_column if by == "group" else None
    )
    arrays = [i for i in inputs if i.storage in ("array", "vector")]
    use = None if arrays else rules({}, dropped)
    outline, lengths = reading.outline(arrays, use)
    if (written := numbers_for_people(target, outline, task, group)) is not None:
        target = target.model_copy(update={"number_marks": written.marks})
        facts = replace(facts, target=target)
        from_files = reading.from_files and FileRows(df.sparkSession, files, facts)  # type: ignore[arg-type]
        reading = Reading(SparkRows(df, facts), split, declared, from_files)
        outline, lengths = reading.outline(arrays, use)
        example = (list(outline.words) or outline.odd_words or [""])[0]
        read = f", such as {example!r} as {written.read(example):.10g}" if example else ""
        warnings.append(f"label {label!r} is read as numbers written with {written.describe()}{read}")
    found, label_plan = fit_label(target, outline, task, group)
    if by == "stratified" and label_plan.classes is None:
        raise ConfigError(
            f"split.by 'stratified' needs classes, and task {found!r} has none. Use split.by 'random'."
        )
    if outline.unlabelled:
        warnings.append(
            f"{outline.unlabelled} of {outline.rows} rows have no label {label!r}{_marks_of(target)} and are left out"
        )
    warnings += alike(label_plan)
    _check_weight(weights, outline)
    if found == "ranking" and (label_plan.maximum or 0) > MAX_POWER_GRADE:
        if (label_plan.maximum or 0) > _MOST_GRADES:
            raise DataError(
                f"label {label!r} has grades up to {label_plan.maximum:.0f}; a ranking takes up to {_MOST_GRADES}. Put them into fewer steps."
            )
        warnings.append(
            f"label {label!r} has grades up to {label_plan.maximum:.0f}, above LightGBM's {MAX_POWER_GRADE}: the gain of a grade is the grade itself; train.params.label_gain says otherwise for training"
        )
    cut = partial(fit_split, split, by, split_column, [i.path for i in placing])
    split_plan = cut(outline, label_plan.classes, reading.small, list(ordered))
    if not ordered and (why := too_alike(split_plan, outline)):
        warnings.append(why)
        ordered = tuple(raw.path for raw in facts.hashed)
        facts = replace(facts, ordered=ordered)
        reading = Reading(SparkRows(df, facts), split, declared)  # equal rows are numbered across all files
        outline, lengths = reading.outline(arrays, use)
        split_plan = cut(outline, label_plan.classes, reading.small, list(ordered))
    elif ordered:
        warnings.append(
            "split: equal rows are spread over the sides, as in the plan before this one; the model is measured on rows whose like it has learnt"
        )
    split_plan = kept_limits(split_plan, old, outline)
    warnings += far_from_shares(split_plan, outline)
    if by == "time" and outline.position_missing:
        warnings.append(
            f"{outline.position_missing} rows have no {split.column!r} and are on the training side"
        )

    if use is None:
        use = rules(lengths, dropped)
    profile, seen = reading.profile(use, split_plan, label_plan)
    if profile.rows == 0:
        raise DataError("split: no row is on the training side; make split.test and split.validation smaller")
    sample = profile.sample
    assert sample is not None
    labels = label_values(sample.column("word"), sample.column("number").to_numpy(), label_plan.classes)
    if label_plan.classes and not profile.sampled:
        warnings += _absent_classes(label_plan.classes, labels, by)
    single = {raw.name: one for raw in use if isinstance(one := seen[raw.name], Seen)}

    large = [raw for raw in use if raw.name in single and _uncounted(raw, single[raw.name], features)]
    if large:
        most = max([features.max_categories, *(o.max_categories or 0 for o in features.overrides.values())])
        for name_of, counts in count_words(
            reading.table.training_rows(split_plan, label_plan), large, most + 1
        ).items():
            single[name_of] = seen[name_of] = replace(single[name_of], counts=counts)

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
    columns = _with_target_means(columns, features, found, reading.table, split_plan, label_plan)
    for column in columns:
        if isinstance(column, CategoricalColumn) and column.name in single:
            single[column.name] = without_marks(single[column.name], column.input.missing)
    used = {c.name: single[c.name] for c in columns if c.name in single}
    warnings += leaks(used, labels, len(label_plan.classes) if label_plan.classes else None)
    stats = [statistics(raw, single[raw.name]) for raw in use if raw.name in single]
    plan = FeaturePlan(
        name=name,
        task=found,
        fingerprint=_fingerprint(df, outline),
        rows=outline.rows,
        label=label_plan,
        weight=weights,
        group=groups,
        split=split_plan,
        columns=columns,
        dropped=dropped,
        warnings=warnings,
        notes=[*notes_of(columns), *near_duplicates(used)],  # trees lose nothing by equal columns
        statistics=stats,
    )
    return plan.model_copy(update={"notes": [*note_of_label(plan), *plan.notes]})


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
            f"features.overrides.{encoded[0].name}.encoding: 'target' needs two classes or a number to predict; use index, onehot or frequency"
        )
    said = [features.overrides[c.name].smoothing for c in encoded]
    smoothing = [SMOOTHING if s is None else s for s in said]
    target = table.facts.target
    number = class_index(label, label_word(target)).cast("double") if label.classes else label_number(target)
    rows, row_fold = table.training_rows(split, label, folds=True), sf.col("__fold")
    means = {c.name: c for c in with_target_means(rows, encoded, smoothing, number, row_fold)}
    return [means.get(c.name, c) for c in columns]


def _fingerprint(df: DataFrame, outline: Outline) -> str:
    """A digest of the schema and of all rows in any order."""
    text = f"{df.schema.simpleString()}|{outline.rows}|{outline.hash_sum}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
