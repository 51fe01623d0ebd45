"""The rows of a features table in this process: float32 features, labels and weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import DataError
from synml_dagster.features.names import LABEL, WEIGHT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import SparkSession

    from synml_dagster.files import ParquetFiles

MOST_VALUES = 100_000_000
"""A table of more values is sampled: 400 MB of float32."""


@dataclass(frozen=True)
class Rows:
    """Rows of a table, or a sample of them."""

    X: NDArray[np.float32]
    """[n, features]"""
    y: NDArray[np.float64]
    weight: NDArray[np.float64]
    of: int
    """Rows of the table that they were drawn from."""


def read_rows(
    spark: SparkSession, files: ParquetFiles, features: Sequence[str], most_values: int = MOST_VALUES
) -> Rows:
    """Return the rows of `files`; where they hold more than `most_values`, a sample that their content chooses.

    Raises
    ------
    DataError
        All weights are 0.
    """
    from pyspark.sql import functions as sf

    from synml_dagster.spark.quoting import quoted
    from synml_dagster.spark.sampling import sample_by_content

    frame, total = files.dataframe(spark), files.count()
    weighted = WEIGHT in frame.columns
    wanted = [*features, LABEL, *([WEIGHT] if weighted else [])]
    most = max(1000, most_values // max(1, len(features)))
    frame = sample_by_content(frame, most, total)
    columns = [sf.col(quoted(name)).cast("float" if name in set(features) else "double") for name in wanted]
    # mapInArrow is not asked here, but names with dots are as awkward for Arrow's readers: give plain ones.
    table = frame.select(*(c.alias(f"c{i}") for i, c in enumerate(columns))).toArrow()
    X = np.empty((table.num_rows, len(features)), np.float32, order="F")
    for i in range(len(features)):
        X[:, i] = table.column(i).to_numpy()
    y = table.column(len(features)).to_numpy().astype(np.float64)
    weight = (
        table.column(len(features) + 1).to_numpy().astype(np.float64)
        if weighted
        else np.ones(table.num_rows, np.float64)
    )
    if not weight.sum() > 0:
        raise DataError("the weight is 0 in all of these rows; nothing can be learned or measured by it.")
    return Rows(X, y, weight, total)
