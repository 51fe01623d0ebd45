"""A model's answers about rows, as they are and with other values in one or two columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa


class ChangedRows(Protocol):
    """The rows of one batch, of which a model is asked again and again."""

    def as_they_are(self) -> NDArray[np.float64]:
        """Return the answers about the rows, [rows, outputs]."""
        ...

    def stepped(self, grids: Mapping[str, pa.Array]) -> Iterator[Stepped]:
        """Yield the answers where all rows have the same value in each column of `grids`, for every combination of their values."""
        ...

    def replaced(
        self, column: str, places: NDArray[np.intp], donors: pa.Array | None = None
    ) -> Iterator[NDArray[np.float64]]:
        """Yield, for each line of `places` [times, rows], the answers [rows, outputs] where a row has the column's value of another.

        Parameters
        ----------
        places
            Whose value each row gets.
        donors
            The values; those of the rows themselves when None.
        """
        ...


@dataclass(frozen=True)
class Stepped:
    """Some of the answers of `ChangedRows.stepped`.

    Attributes
    ----------
    rows, steps
        Of which rows, and of which steps; of two columns steps run over the second one first.
    answers
        float64 [rows, steps, outputs].
    """

    rows: slice
    steps: slice
    answers: NDArray[np.float64]


class AskedRows:
    """Rows about which any model is asked: once for each value."""

    def __init__(self, scores: Callable[[Any], NDArray[np.float64]], batch: pa.RecordBatch) -> None:
        self._scores, self._batch = scores, batch

    def as_they_are(self) -> NDArray[np.float64]:
        """Return the answers about the rows, [rows, outputs]."""
        return self._answers(self._batch)

    def stepped(self, grids: Mapping[str, pa.Array]) -> Iterator[Stepped]:
        """Yield the answers step by step."""
        for number, values in enumerate(product(*grids.values())):
            changed = self._batch
            for column, value in zip(grids, values, strict=True):
                changed = with_column(changed, column, value)
            found = self._answers(changed)
            yield Stepped(slice(0, len(found)), slice(number, number + 1), found[:, None, :])

    def replaced(
        self, column: str, places: NDArray[np.intp], donors: pa.Array | None = None
    ) -> Iterator[NDArray[np.float64]]:
        """Yield the answers line by line of `places`."""
        import pyarrow as pa

        values = self._batch.column(column) if donors is None else donors
        for line in places:
            yield self._answers(with_column(self._batch, column, values.take(pa.array(line))))

    def _answers(self, batch: pa.RecordBatch) -> NDArray[np.float64]:
        found = np.asarray(self._scores(batch), dtype=np.float64).reshape(batch.num_rows, -1)
        return finite(found)


def finite(answers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a model's answers, [rows, ..., outputs], none of which is missing or infinite.

    Raises
    ------
    DataError
        Some are, and no mean can be told of them.
    """
    if not np.isfinite(answers).all():
        bad = int((~np.isfinite(answers.reshape(len(answers), -1)).all(axis=1)).sum())
        raise DataError(
            f"The model answered a number that is missing or infinite for {bad} of {len(answers)} rows, and no effect can be told of it."
        )
    return answers


def with_column(batch: pa.RecordBatch, name: str, values: Any) -> pa.RecordBatch:
    """Return a batch with another array, or one value for all rows, in the place of a column."""
    import pyarrow as pa

    place = batch.schema.get_field_index(name)
    if isinstance(values, pa.Scalar):
        values = pa.repeat(values, batch.num_rows)
    columns = [values if i == place else column for i, column in enumerate(batch.columns)]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
