"""What is summed up over all training rows before ranks get their part of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from synml_dagster.errors import DataError
from synml_dagster.learners.lightgbm.data.spark_rows import row_number
from synml_dagster.learners.lightgbm.objectives import root_of_labels, start_of, starts_from_mean

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def summed_up(
    train: DataFrame, params: Mapping[str, Any], offset: float = 0.0
) -> tuple[list[tuple[int, int]], float | None]:
    """Return (partition, rows) of the partitions of `train`, and the score that boosting starts from.

    `train` has the columns of `rank_columns`; `offset` is taken off its labels. The score is None where LightGBM finds it over all ranks by itself.
    """
    from pyspark.sql import functions as sf

    label, weight = sf.lit(0.0), sf.lit(1.0)
    wanted = starts_from_mean(params)
    if wanted:  # float, as LightGBM keeps both
        label = (sf.col("label") - sf.lit(offset)).cast("float").cast("double")
        label = sf.signum(label) * sf.sqrt(sf.abs(label)) if root_of_labels(params) else label
        weight = sf.col("weight").cast("float").cast("double") if "weight" in train.columns else weight
    numbered = train.select(
        sf.shiftright(row_number(), 33).cast("int").alias("partition"),
        label.alias("label"),
        weight.alias("weight"),
    )
    sums = numbered.groupBy("partition").agg(
        sf.count("*").alias("rows"),
        sf.sum(sf.col("label") * sf.col("weight")).alias("label"),
        sf.sum("weight").alias("weight"),
    )
    # One partition's sum is taken in order and these are added exactly, so that the score is the same every time.
    found = sorted(sums.collect(), key=lambda row: row["partition"])
    counts = [(int(row["partition"]), int(row["rows"])) for row in found]
    total = math.fsum(row["weight"] or 0.0 for row in found)
    if wanted and found and total == 0:
        raise DataError("the weight is 0 in all training rows; nothing can be learned by it.")
    if not wanted or total <= 0:
        return counts, None
    return counts, start_of(params, math.fsum(row["label"] or 0.0 for row in found) / total)


def find_rows(counts: Sequence[tuple[int, int]], numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Return for each row number of the whole table its partition and its number in it."""
    places = []
    for number in numbers:
        for partition, rows in counts:
            if number < rows:
                places.append((partition, number))
                break
            number -= rows
    return places
