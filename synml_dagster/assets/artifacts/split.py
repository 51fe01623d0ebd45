"""The parts of a features table that stages take: one side of its split, with rows and with weights that count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synml_dagster.errors import DataError
from synml_dagster.features import GROUP, LABEL, SPLIT, WEIGHT, FeaturePlan
from synml_dagster.files import ParquetFiles
from synml_dagster.tables import Table

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_CERTAIN = 2000
"""A class of so many rows has some on each side of a split by hash."""


def side(features: Table, name: str) -> ParquetFiles:
    """Return the files of one side of the split.

    Raises
    ------
    DataError
        That side has no row.
    """
    files = features.files(**{SPLIT: name})
    if not files.paths:
        raise DataError(
            f"no row of the table is on the {name} side of the split; the table is too small for it. "
            f"Raise split.{name if name != 'train' else 'test and split.validation; lower them'}, or bring more rows."
        )
    return files


def check_weights(spark: SparkSession, plan: FeaturePlan, features: Table) -> None:
    """Refuse a side of the split on which no row has a weight, before anything is trained.

    Raises
    ------
    DataError
        All weights of a side are 0.
    """
    from pyspark.sql import functions as sf

    if plan.weight is None:
        return
    greatest = features.dataframe(spark).groupBy(SPLIT).agg(sf.max(WEIGHT).alias("weight")).collect()
    if empty := sorted(row[SPLIT] for row in greatest if not row["weight"]):
        raise DataError(
            f"weight {plan.weight.name!r} is 0 in all rows of the {empty[0]} side of the split, and nothing can be learned or measured there. "
            "Give those rows weights, leave the weight out, or choose another split."
        )


def check_queries(spark: SparkSession, plan: FeaturePlan, features: Table) -> None:
    """Refuse a ranking with rows of no query, or with a side on which there is nothing to rank, before anything is trained.

    Raises
    ------
    DataError
        Rows have no query, or no query of a side has rows of two grades.
    """
    from pyspark.sql import functions as sf

    if plan.group is None or plan.task != "ranking":
        return
    name, group = plan.group.name, sf.col(GROUP)
    queries = features.dataframe(spark).groupBy(SPLIT, GROUP)
    each = queries.agg(sf.count(sf.lit(1)).alias("n"), (sf.min(LABEL) < sf.max(LABEL)).alias("differ"))
    sides = each.groupBy(SPLIT).agg(
        sf.sum(sf.when(group.isNull(), sf.col("n")).otherwise(0)).alias("lost"),
        sf.max("differ").alias("differ"),
        sf.max("n").alias("n"),
    )
    found = {row[SPLIT]: row for row in sides.collect()}
    if lost := sum(row["lost"] for row in found.values()):
        raise DataError(
            f"group {name!r} is missing in {lost} rows, which then belong to no query. Give them one, or remove them."
        )
    if same := sorted(s for s, row in found.items() if not row["differ"]):
        why = (
            "every row is a query of its own"
            if all(row["n"] == 1 for row in found.values())
            else "all rows of a query have one grade"
        )
        raise DataError(
            f"group {name!r}: on the {same[0]} side of the split {why}, so there is no order to learn or to measure. Name the column that rows to be ranked together share."
        )


def check_classes(spark: SparkSession, plan: FeaturePlan, features: Table) -> list[str]:
    """Return a warning for each side of the split that a class has no row on; refuse a test side of one class.

    Raises
    ------
    DataError
        The test rows are all of one class, so that nothing could be said of the model after it is trained.
    """
    classes, rows = plan.label.classes or [], plan.label.class_rows or [0]
    if not classes or (plan.split.by in ("random", "stratified") and min(rows) >= _CERTAIN):
        return []
    pairs = features.dataframe(spark).select(SPLIT, LABEL).distinct().collect()
    said = []
    advice = "use split.by 'stratified'" if plan.split.by == "random" else "choose another split"
    for name in ("validation", "test"):
        there = {row[LABEL] for row in pairs if row[SPLIT] == name}
        absent = [(word, n) for i, (word, n) in enumerate(zip(classes, rows, strict=True)) if i not in there]
        if not there or not absent:
            continue
        word, n = absent[0]
        more = f" and none of {len(absent) - 1} other classes" if len(absent) > 1 else ""
        text = f"label {plan.label.column!r}: none of the {n} rows of class {word!r}{more} is on the {name} side of the split"
        if name == "test" and len(there) == 1:
            raise DataError(
                f"{text}, and what a model is worth cannot be measured on one class; {advice}, or bring more rows"
            )
        use = (
            "the metrics do not speak of it"
            if name == "test"
            else "it does not count in when the training stops"
        )
        said.append(f"{text}, and {use}; {advice}")
    return said
