"""Rows that pyspark.ml trains on: plain doubles by place, label and weight, from files or from memory."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from synml_dagster.errors import DataError
from synml_dagster.features import LABEL, WEIGHT

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from synml_dagster.files import ParquetFiles
    from synml_dagster.learners.one_process.rows import Rows

LARGEST = float(np.finfo(np.float32).max)
_SMALL_ROWS, _SMALL_VALUES = 100_000, 3_000_000
"""Up to here one task reads the rows: sums are then in one order, and a second task would gain little."""


def place(i: int) -> str:
    """Return the name of the column of feature `i`."""
    return f"c{i}"


@dataclass(frozen=True)
class TrainingRows:
    """Rows with a weight above 0, as columns `c0`, `c1` ... of doubles in which NaN is missing, `label` and `weight`.

    Attributes
    ----------
    codes
        By the place of a categorical feature, how many codes it has: 0, 1 ... and one more, which stands for words that the
        training rows do not have.
    rows
        How many there are.
    classes
        The labels of a classifier's rows, in order; empty for a regression.
    """

    frame: DataFrame
    features: int
    codes: dict[int, int]
    rows: int
    classes: tuple[int, ...]


def from_files(
    spark: SparkSession, files: ParquetFiles, features: Sequence[str], categorical: Collection[str], task: str
) -> TrainingRows:
    """Return the rows of a features table."""
    from pyspark.sql import functions as sf

    from synml_dagster.spark.quoting import quoted

    frame = files.dataframe(spark)
    weight = sf.col(quoted(WEIGHT)).cast("double") if WEIGHT in frame.columns else sf.lit(1.0)
    columns = [
        sf.coalesce(sf.col(quoted(name)).cast("float").cast("double"), sf.lit(float("nan"))).alias(place(i))
        for i, name in enumerate(features)
    ]
    frame = frame.select(
        *columns, sf.col(quoted(LABEL)).cast("double").alias("label"), weight.alias("weight")
    )
    return _looked_at(frame, files.count(), features, categorical, task)


def from_memory(
    spark: SparkSession, rows: Rows, features: Sequence[str], categorical: Collection[str], task: str
) -> TrainingRows:
    """Return rows of this process."""
    import pyarrow as pa

    arrays = {place(i): rows.X[:, i].astype(np.float64) for i in range(rows.X.shape[1])}
    frame = spark.createDataFrame(pa.table({**arrays, "label": rows.y, "weight": rows.weight}))
    return _looked_at(frame, len(rows), features, categorical, task)


def _looked_at(
    frame: DataFrame, total: int, features: Sequence[str], categorical: Collection[str], task: str
) -> TrainingRows:
    """Count rows, codes and classes.

    Raises
    ------
    DataError
        No row has a weight, or a classifier's rows have one class alone.
    """
    from pyspark.sql import functions as sf

    if total <= _SMALL_ROWS and total * len(features) <= _SMALL_VALUES:
        frame = frame.coalesce(1)
    frame = frame.where(sf.col("weight") > 0)
    coded = [i for i, name in enumerate(features) if name in categorical]
    greatest = [sf.max(sf.when(~sf.isnan(place(i)), sf.col(place(i)))).alias(place(i)) for i in coded]
    asked = [sf.count(sf.lit(1)).alias("rows"), *greatest]
    if task != "regression":
        asked.append(sf.collect_set("label").alias("classes"))
    told = frame.agg(*asked).collect()[0]
    classes = tuple(sorted(int(one) for one in told["classes"])) if task != "regression" else ()
    if told["rows"] == 0:
        raise DataError("the weight is 0 in all of these rows; nothing can be learned or measured by it.")
    if task != "regression" and len(classes) < 2:
        raise DataError(
            "all training rows with a weight have one class; there is nothing to tell apart. Choose another split, or bring more rows."
        )
    codes = {i: 2 + int(told[place(i)] if told[place(i)] is not None else -1) for i in coded}
    return TrainingRows(frame, len(features), codes, int(told["rows"]), classes)


def code_of(i: int, codes: int) -> Column:
    """Return a categorical feature's code as a whole number: `codes` where it is missing, or is none of them."""
    from pyspark.sql import functions as sf

    own = sf.col(place(i))
    known = (own >= 0) & (own < codes) & (own == sf.floor(own))
    return sf.when(known, own).otherwise(sf.lit(float(codes)))
