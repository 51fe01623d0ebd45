"""How much rows count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame


def check_weight(df: DataFrame, weight: str | None) -> None:
    """Refuse a column of weights that is not there, or holds no numbers.

    Raises
    ------
    ConfigError
    """
    from pyspark.sql.types import NumericType

    if weight is None:
        return
    if weight not in df.columns:
        raise ConfigError(f"The table has no weight {weight!r}.{did_you_mean(weight, df.columns)}")
    kind = df.schema[weight].dataType
    if not isinstance(kind, NumericType):
        raise ConfigError(f"weight: column {weight!r} is of type {kind.simpleString()}; weights are numbers.")


def row_weights(rows: pa.RecordBatch | pa.Table, weight: str | None) -> NDArray[np.float64]:
    """Return each row's weight, float64 [rows]; 1 where no column says so.

    Raises
    ------
    DataError
        One is missing, infinite or negative.
    """
    import pyarrow as pa

    if weight is None:
        return np.ones(rows.num_rows)
    found = np.asarray(rows.column(weight).cast(pa.float64()).to_numpy(zero_copy_only=False))
    bad = ~(np.isfinite(found) & (found >= 0))
    if bad.any():
        raise DataError(
            f"{int(bad.sum()):,} rows have a weight in {weight!r} that is missing, infinite or negative, such as {found[bad][0]:g}; leave them out."
        )
    return found
