"""The rows of a features table in this process: float32 features, labels and weights."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import DataError
from synml_dagster.features.names import GROUP, LABEL, WEIGHT

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow
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
    group: NDArray[np.int64] | None = None
    """Numbers of queries; rows of one lie together. None where the table has no queries."""
    derived: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)
    """What a learner has made of these rows and keeps for its next training on them, such as bins."""

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self.y)

    def take(self, index: NDArray[np.int64]) -> Rows:
        """Return the rows at `index`, in that order."""
        group = None if self.group is None else self.group[index]
        return Rows(np.asfortranarray(self.X[index]), self.y[index], self.weight[index], self.of, group)


def rows_of(table: pyarrow.Table, features: Sequence[str], total: int) -> Rows:
    """Return the rows of an Arrow table that has the features, the label, and a weight and a group where there are any.

    Raises
    ------
    DataError
        All weights are 0.
    """
    names = table.column_names
    X = np.empty((table.num_rows, len(features)), np.float32, order="F")
    place = {name: i for i, name in reversed(list(enumerate(names)))}
    for i, name in enumerate(features):
        X[:, i] = table.column(place[name]).cast("float32").to_numpy()
    y = table.column(place[LABEL]).to_numpy().astype(np.float64)
    weight = np.ones(table.num_rows, np.float64)
    if WEIGHT in place:
        weight = table.column(place[WEIGHT]).to_numpy().astype(np.float64)
    if not weight.sum() > 0:
        raise DataError("the weight is 0 in all of these rows; nothing can be learned or measured by it.")
    rows = Rows(X, y, weight, total)
    if GROUP not in place:
        return rows
    # Numbered by value and not by appearance, so that the order of files does not matter.
    values = np.asarray(table.column(place[GROUP]).to_pylist(), dtype=object)
    codes = np.unique(np.array([str(v) for v in values]), return_inverse=True)[1].astype(np.int64)
    order = np.argsort(codes, kind="stable")
    return replace(rows.take(order), group=codes[order])


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
    extras = [name for name in (LABEL, WEIGHT, GROUP) if name in frame.columns]
    frame = sample_by_content(frame, max(1000, most_values // max(1, len(features))), total)
    kinds = {**dict.fromkeys(features, "float"), LABEL: "double", WEIGHT: "double"}
    wanted = [*features, *extras]
    columns = [
        sf.col(quoted(name)).cast(kinds[name]) if name in kinds else sf.col(quoted(name)) for name in wanted
    ]
    # mapInArrow is not asked here, but names with dots are as awkward for Arrow's readers: give plain ones.
    table = frame.select(*(c.alias(f"c{i}") for i, c in enumerate(columns))).toArrow()
    return rows_of(table.rename_columns(wanted), features, total)
