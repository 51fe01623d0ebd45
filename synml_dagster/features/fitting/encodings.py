"""The third pass, only where it is asked for: vocabularies too large for the profile, and means of the label."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from synml_dagster.features.compile.lookup import look_up
from synml_dagster.features.kinds.categorical import CategoricalColumn, word_of
from synml_dagster.features.profile.column_sample import rounded
from synml_dagster.features.splitting.split import FOLDS

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from synml_dagster.columns import RawInput

SMOOTHING = 10.0


def count_words(rows: DataFrame, columns: list[RawInput], most: int) -> dict[str, dict[str, int]]:
    """Return the `most` most frequent words of each column and their rows, in one Spark job."""
    from pyspark.sql import Window
    from pyspark.sql import functions as sf

    pairs = [sf.struct(sf.lit(i).alias("i"), word_of(c).alias("w")) for i, c in enumerate(columns)]
    counted = (
        rows.select(sf.explode(sf.array(*pairs)).alias("p")).where("p.w <> ''").groupBy("p.i", "p.w").count()
    )
    order = Window.partitionBy("i").orderBy(sf.desc("count"), "w")
    best = counted.withColumn("n", sf.row_number().over(order)).where(sf.col("n") <= most)
    out: dict[str, dict[str, int]] = {c.name: {} for c in columns}
    for i, word, count in best.select("i", "w", "count").collect():
        out[columns[i].name][word] = count
    return out


def with_target_means(
    rows: DataFrame, columns: list[CategoricalColumn], smoothing: list[float], number: Column, fold: Column
) -> list[CategoricalColumn]:
    """Return `columns` with the label's smoothed means, whole and without each fold, in one Spark job.

    Parameters
    ----------
    rows
        The training rows.
    smoothing
        For each column, the rows of prior that each mean is mixed with.
    number
        The label as float64; the index of the class in a binary task.
    fold
        The row's fold.
    """
    from pyspark.sql import functions as sf

    codes = []
    for i, column in enumerate(columns):
        word = column.trained_word()
        known = look_up(
            word, column.words, [float(k) for k in range(len(column.words))], float(len(column.words))
        )
        code = sf.when(word == "", sf.lit(len(column.words) + 1)).otherwise(known.cast("int"))
        codes.append(sf.struct(sf.lit(i).alias("i"), code.alias("code")))
    spread = rows.select(sf.explode(sf.array(*codes)).alias("p"), number.alias("y"), fold.alias("fold"))
    sums = (
        spread.groupBy("p.i", "p.code", "fold")
        .agg(sf.sum("y").alias("s"), sf.count("y").alias("n"))
        .collect()
    )
    tables = [np.zeros((2, FOLDS, len(c.words) + 2)) for c in columns]
    for i, code, f, s, n in sums:
        tables[i][:, f, code] = s, n
    return [_encoded(c, t, m) for c, t, m in zip(columns, tables, smoothing, strict=True)]


def _encoded(column: CategoricalColumn, table: np.ndarray, smoothing: float) -> CategoricalColumn:
    whole = _means(table.sum(axis=1), smoothing)
    folds = [_means(table.sum(axis=1) - table[:, f], smoothing) for f in range(FOLDS)]
    return column.model_copy(
        update={"numbers": whole[:-2], "rare": whole[-2], "missing": whole[-1], "fold_numbers": folds}
    )


def _means(sums_and_rows: np.ndarray, smoothing: float) -> list[float]:
    sums, rows = sums_and_rows
    prior = sums.sum() / max(1.0, rows.sum())
    weight = rows + smoothing
    means = np.where(weight > 0, (sums + smoothing * prior) / np.where(weight > 0, weight, 1.0), prior)
    return [rounded(m) for m in means]
