"""The rows that explainers take."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synml_dagster.errors import DataError


def explainable_rows(X: ArrayLike, width: int) -> NDArray[np.float32]:
    """Return rows as float32 [n, width].

    Raises
    ------
    DataError
        They have another number of columns.
    """
    rows = np.asarray(X, dtype=np.float32)
    if rows.ndim != 2 or rows.shape[1] != width:
        raise DataError(f"The model takes rows of {width} features but got an array of {rows.shape}.")
    return rows
