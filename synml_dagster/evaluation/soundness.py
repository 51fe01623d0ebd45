"""Which rows no metric can be computed from, and the refusal that names them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from synml_dagster.errors import DataError

if TYPE_CHECKING:
    from pyspark.sql import Column

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


def bad_weight(w: Column) -> Column:
    """Whether a weight is missing, NaN, infinite or negative."""
    from pyspark.sql import functions as sf

    return ~sf.coalesce((w >= 0) & (w < float("inf")), sf.lit(False))


def no_number(value: Column) -> Column:
    """Whether a value is missing, NaN or infinite."""
    from pyspark.sql import functions as sf

    return ~sf.coalesce((value > float("-inf")) & (value < float("inf")), sf.lit(False))
