"""Compiles a plan to one Spark projection: native expressions, no join, no Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from synml_dagster.columns import col
from synml_dagster.columns.match import matched, matched_paths
from synml_dagster.errors import ConfigError, did_you_mean
from synml_dagster.features.compile.label import class_index, label_number, label_word
from synml_dagster.features.compile.messages import bad_weight, unseen_class
from synml_dagster.features.kinds import CategoricalColumn
from synml_dagster.features.names import GROUP, LABEL, PLACE, RESERVED, SPLIT, WEIGHT
from synml_dagster.features.plan import FeaturePlan, LabelPlan
from synml_dagster.features.splitting.split import fold, side, stands
from synml_dagster.spark.quoting import quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def assemble(
    df: DataFrame, plan: FeaturePlan, *, training: bool = True, keep: Sequence[str] = ()
) -> DataFrame:
    """Return the plan's features, one float32 column each, NaN where a number is missing.

    Parameters
    ----------
    df
        A table with the plan's raw columns; others are ignored.
    plan
        From `fit_plan`.
    training
        True adds `__label` (int32 class index, or float64), `__split`, and `__weight` and `__group` where the plan
        has them, and leaves out the rows without a label. False takes every row and needs no label.
    keep
        Raw columns to carry along under their own names. A name that is also a feature's is refused.

    Raises
    ------
    DataError
        A raw column is missing or of another type than the plan has seen.
    ConfigError
        `keep` names a column that is not there, or one whose name a feature has.
    """
    from pyspark.sql import functions as sf

    inputs = matched(df, plan.raw_inputs)
    _check_keep(df, plan, keep)
    prepared = [
        sf.expr(f"{raw.value_sql} AS __{i}")
        if c.as_it_is and raw.value_sql
        else c.prepare(raw.value()).alias(f"__{i}")
        for i, (c, raw) in enumerate(zip(plan.columns, inputs, strict=True))
    ]
    extra: list[Column] = [col(c).alias(f"__keep_{i}") for i, c in enumerate(keep)]
    out = [col(f"__keep_{i}").alias(c) for i, c in enumerate(keep)]
    folds: Column | None = None
    if training:
        word, place, added = _labelled(df, plan)
        names = [LABEL, SPLIT, *([WEIGHT] if plan.weight else []), *([GROUP] if plan.group else [])]
        if plan.keeps_place:
            names.append(PLACE)
            added.append(stands(plan.split, word).cast("double").alias(PLACE))
        if any(isinstance(way, CategoricalColumn) and way.encoding == "target" for way in plan.ways):
            row_fold = fold(plan.split, word)
            added.append(sf.when(place == "train", row_fold).otherwise(sf.lit(-1)).alias("__fold"))
            folds = sf.col("__fold")
        df = df.where(word != "")
        extra += added
        out += [sf.col(name) for name in names]
    features: list[Column] = []
    for i, column in enumerate(plan.columns):
        # As text: most columns of a wide table are of this sort, and each function called costs a millisecond.
        if column.as_it_is:
            features.append(sf.expr(f"cast(__{i} as float) AS {quoted(*column.features)}"))
            continue
        made = column.to_spark(sf.col(f"__{i}"), folds)
        features += [one.cast("float").alias(name) for name, one in zip(column.features, made, strict=True)]
    return df.select(*prepared, *extra).select(*features, *out)


def labelled(df: DataFrame, plan: FeaturePlan) -> DataFrame:
    """Return the raw rows that have a label, as they are, with the columns that `assemble` adds for training.

    For what is measured on raw rows: another model on the rows that this plan holds out.

    Raises
    ------
    DataError
        A column that the label, the split, the weight or the group needs is missing or of another type.
    """
    word, _, added = _labelled(df, plan)
    return df.where(word != "").select(*(col(c) for c in df.columns), *added)


def label_columns(df: DataFrame, plan: FeaturePlan) -> tuple[Column, Column]:
    """Return the label of raw rows as a word, "" where it is missing, and as the number that models are measured by.

    Raises
    ------
    DataError
        The column is missing or of another type.
    """
    word, label, _ = _label(df, plan.label)
    return word, label


def weight_column(df: DataFrame, plan: FeaturePlan) -> Column | None:
    """Return the weight of raw rows as `__weight`, NaN where it is missing; None where the plan has none or the rows lack its column.

    Raises
    ------
    DataError
        The column is of another type.
    """
    if plan.weight is None or plan.weight.path[0] not in df.columns:
        return None
    return matched(df, [plan.weight])[0].value().cast("double").alias(WEIGHT)


def _labelled(df: DataFrame, plan: FeaturePlan) -> tuple[Column, Column, list[Column]]:
    """The label as a word, the side of the split, and both with weight and group as columns of a table."""
    matched_paths(df, [*plan.split.hashed, *plan.split.ordered], "training")
    word, label, index = _label(df, plan.label)
    place = side(plan.split, index, word)
    return word, place, [label.alias(LABEL), place.alias(SPLIT), *_weight_and_group(df, plan)]


def _label(df: DataFrame, label: LabelPlan) -> tuple[Column, Column, Column | None]:
    """The label as a word ("" is missing), as it goes into the table, and as the index of its class."""
    from pyspark.sql import functions as sf

    raw = matched(df, [label.raw])[0].model_copy(
        update={"missing": label.missing, "number_marks": label.number_marks}
    )
    word = label_word(raw)
    if label.classes is None:
        return word, label_number(raw), None
    index = class_index(label, word)
    # Training on a class that the plan has not seen would shift every other one; leaving it out would be silent.
    before, after = unseen_class(label.column)
    unknown = sf.concat(sf.lit(before), word, sf.lit(after))
    return word, sf.when(index.isNull(), sf.raise_error(unknown).cast("int")).otherwise(index), index


def _weight_and_group(df: DataFrame, plan: FeaturePlan) -> list[Column]:
    from pyspark.sql import functions as sf

    out = []
    if plan.weight is not None:
        weight = matched(df, [plan.weight])[0].value().cast("double")
        bad = sf.raise_error(sf.lit(bad_weight(plan.weight.name))).cast("double")
        out.append(sf.when(sf.isnan(weight) | (weight < 0), bad).otherwise(weight).alias(WEIGHT))
    if plan.group is not None:
        out.append(col(*matched(df, [plan.group])[0].path).alias(GROUP))
    return out


def _check_keep(df: DataFrame, plan: FeaturePlan, keep: Sequence[str]) -> None:
    features = {name.casefold() for name in plan.feature_names}
    columns = df.columns
    there = set(columns)
    for name in keep:
        if name not in there:
            raise ConfigError(f"keep: the table has no column {name!r}.{did_you_mean(name, columns)}")
        if name.casefold() in features or name in RESERVED:
            raise ConfigError(f"keep: {name!r} is also the name of a feature; rename the column before")
