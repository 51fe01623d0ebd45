"""Fits a plan: one or two Spark passes over the table, one more where a vocabulary or an encoding asks for it."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING

from synml_dagster.features.choices import FeatureChoices
from synml_dagster.features.fitting.candidates import candidates
from synml_dagster.features.fitting.columns import fit_columns
from synml_dagster.features.fitting.label_and_split import decide_label_and_split
from synml_dagster.features.fitting.precision import note_of_label, notes_of
from synml_dagster.features.fitting.roles import roles_of
from synml_dagster.features.plan import FeaturePlan
from synml_dagster.features.profile.outline import Outline
from synml_dagster.features.spec import FeatureSpec, SplitSpec
from synml_dagster.files import ParquetFiles
from synml_dagster.spark.session import active_session

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


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
    choices: FeatureChoices | None = None,
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
    choices
        Other ways to make features, which a sweep is to choose from.

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

    roles = roles_of(df, label, features, split, weight, group, previous)
    dropped = list(roles.refused)
    grouped = roles.split_column if roles.by == "group" else None
    rules = partial(candidates, features, roles.inputs, roles.target, roles.weight, roles.group, grouped)
    arrays = any(i.storage in ("array", "vector") for i in roles.inputs)
    use = None if arrays else rules({}, dropped)
    decided = decide_label_and_split(df, files, roles, features, split, task, use)
    if use is None:
        use = rules(decided.lengths, dropped)
    fitted = fit_columns(use, decided, features, roles.by, choices or FeatureChoices())

    plan = FeaturePlan(
        name=name,
        task=decided.task,
        fingerprint=_fingerprint(df, decided.outline),
        rows=decided.outline.rows,
        label=decided.label,
        weight=roles.weight,
        group=roles.group,
        split=decided.split,
        columns=fitted.columns,
        alternatives=fitted.alternatives,
        dropped=[*dropped, *fitted.dropped],
        warnings=[*roles.warnings, *decided.warnings, *fitted.warnings],
        notes=[*notes_of(fitted.columns), *fitted.notes],  # trees lose nothing by equal columns
        statistics=fitted.statistics,
    )
    return plan.model_copy(update={"notes": [*note_of_label(plan), *plan.notes]})


def _fingerprint(df: DataFrame, outline: Outline) -> str:
    """A digest of the schema and of all rows in any order."""
    text = f"{df.schema.simpleString()}|{outline.rows}|{outline.hash_sum}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
