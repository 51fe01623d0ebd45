"""Which rows no metric can be computed from, and the refusal that names them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from synml_dagster.errors import DataError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# Scores are float32, so this is as far from certain as an honest score gets; scikit-learn's choice for float32 too.
EPSILON = float(np.finfo(np.float32).eps)


def check_rows(rows: int, weight: float | None, faults: dict[str, int]) -> None:
    """Refuse a table that no metric can be computed from.

    Raises
    ------
    DataError
        When there are no rows, no weight, or any of `faults` (what is wrong -> rows) was counted.
    """
    if not rows:
        raise DataError(
            "There are no rows to evaluate. Give the held-out side more rows, or look why it is empty."
        )
    found = [f"{count:,} rows with {fault}" for fault, count in faults.items() if count]
    if found:
        raise DataError(f"The scored table cannot be evaluated: {' and '.join(found)} (of {rows:,}).")
    if not weight:
        raise DataError(
            f"The scored table cannot be evaluated: the weights of its {rows:,} rows add up to 0."
        )


def check_binary(frame: DataFrame) -> int:
    """Return the rows of a table of y, score and w, all of which a two-class metric can be computed from; one Spark job.

    Raises
    ------
    DataError
        There are no rows, or some with another label than 0 and 1, without a probability, or with a bad weight.
    """
    from pyspark.sql import functions as sf

    y, p, w = sf.col("y"), sf.col("score"), sf.col("w")
    sums = frame.agg(sf.count(sf.lit(1)).alias("rows"), sf.sum(w).alias("weight"), *binary_faults(y, p, w))
    found = sums.collect()[0]
    check_rows(found["rows"], found["weight"], {words: found[name] for name, words in BINARY_FAULTS.items()})
    return int(found["rows"])


BINARY_FAULTS = {
    "labels": "a label that is not 0 or 1",
    "scores": "a probability that is missing or outside 0..1",
    "weights": "a weight that is missing or negative",
}
"""In words, what `binary_faults` counts."""


def binary_faults(y: Column, p: Column, w: Column) -> list[Column]:
    """Return aggregates, named as in `BINARY_FAULTS`, that count rows that no two-class metric can be computed from."""
    from pyspark.sql import functions as sf

    def count(fault: Column, name: str) -> Column:
        return sf.count(sf.when(fault, 1)).alias(name)

    return [
        count(~sf.coalesce(y.isin(0.0, 1.0), sf.lit(False)), "labels"),
        count(~sf.coalesce((p >= 0) & (p <= 1), sf.lit(False)), "scores"),
        count(bad_weight(w), "weights"),
    ]


def bad_weight(w: Column) -> Column:
    """Whether a weight is missing, NaN, infinite or negative."""
    from pyspark.sql import functions as sf

    return ~sf.coalesce((w >= 0) & (w < float("inf")), sf.lit(False))


def no_number(value: Column) -> Column:
    """Whether a value is missing, NaN or infinite."""
    from pyspark.sql import functions as sf

    return ~sf.coalesce((value > float("-inf")) & (value < float("inf")), sf.lit(False))
