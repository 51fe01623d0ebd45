"""What runs in Spark's tasks: batches of rows in, SHAP values out. Imports nothing that an executor may lack."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

    from synml_dagster.explain.base import Explainer

VALUES, PHI, LABEL = "values", "phi", "label"
Batches = Iterator["pa.RecordBatch"]


class Payload(NamedTuple):
    """A model on its way to the executors."""

    learner: str
    text: str


@lru_cache(maxsize=2)
def explainer(model: Payload) -> Explainer:
    """Return the explainer of a model, made once per Python worker."""
    from synml_dagster.explain.base import explainer_for
    from synml_dagster.learners import learner_of

    return explainer_for(learner_of(model.learner).form(model.text))


def list_column(rows: NDArray) -> pa.Array:
    """Return an array [n, m] as n Arrow lists of m float32."""
    import pyarrow as pa

    flat = pa.array(np.ascontiguousarray(rows, dtype=np.float32).reshape(-1))
    return pa.ListArray.from_arrays(pa.array(np.arange(len(rows) + 1, dtype=np.int32) * rows.shape[1]), flat)


def matrix(lists: pa.Array, width: int) -> NDArray[np.float32]:
    """Return n Arrow lists of `width` numbers each as float32 [n, width]."""
    flat = lists.flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat, dtype=np.float32).reshape(len(lists), width)


def explained(model: Payload, values: NDArray[np.float32], label: NDArray | None) -> pa.RecordBatch:
    """Return rows, their SHAP values (features by outputs, flattened) and their labels as one batch."""
    import pyarrow as pa

    phi, _ = explainer(model).values(values)
    labels = np.full(len(values), np.nan) if label is None else np.asarray(label, dtype=np.float64)
    flat = phi.reshape(len(values), -1)
    return pa.RecordBatch.from_arrays(
        [list_column(values), list_column(flat), pa.array(labels)], names=[VALUES, PHI, LABEL]
    )


def explain_rows(model: Payload, width: int) -> Callable[[Batches], Batches]:
    """Return the task that explains a DataFrame's rows (`values`, `label`)."""

    def run(batches: Batches) -> Batches:
        for batch in batches:
            if batch.num_rows:
                label = batch.column(LABEL).to_numpy(zero_copy_only=False)
                yield explained(model, matrix(batch.column(VALUES), width), label)

    return run


def explain_file_splits(
    model: Payload, features: Sequence[str], label: str | None, picks: Sequence[NDArray[np.int64]]
) -> Callable[[Batches], Batches]:
    """Return the task that reads its share of the files and explains the picked rows of it.

    `picks[i]` holds the sorted places of the rows within share i.
    """

    def run(batches: Batches) -> Batches:
        from synml_dagster.files.file_splits import FileSplit, read_file_split

        columns = [*features, *([label] if label else [])]
        for tasks in batches:
            for index, text in zip(
                tasks.column("index").to_pylist(), tasks.column("share").to_pylist(), strict=True
            ):
                wanted, before, kept = picks[index], 0, []
                for batch in read_file_split(FileSplit.from_json(text), columns):
                    inside = wanted[(wanted >= before) & (wanted < before + batch.num_rows)] - before
                    if len(inside):
                        kept.append(_numbers(batch, inside))
                    before += batch.num_rows
                if kept:
                    rows = np.concatenate(kept)
                    values = rows[:, : len(features)].astype(np.float32)
                    yield explained(model, values, rows[:, -1] if label else None)

    return run


def _numbers(batch: pa.RecordBatch, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    columns = (batch.column(i).to_numpy(zero_copy_only=False) for i in range(batch.num_columns))
    return np.column_stack([np.asarray(column[rows], dtype=np.float64) for column in columns])


def append_values(
    model: Payload, width: int, outputs: int, names: Sequence[str], offset: float = 0.0
) -> Callable[[Batches], Batches]:
    """Return the task that puts SHAP values and their base in place of a DataFrame's last column, the model's input.

    `names` are those of the columns that come out, `offset` is what predictions add to a raw score.
    """

    def run(batches: Batches) -> Batches:
        import pyarrow as pa

        for batch in batches:
            n = batch.num_rows
            phi, start = explainer(model).values(matrix(batch.column(batch.num_columns - 1), width))
            if outputs == 1:
                values, mean = list_column(phi), pa.array(np.full(n, start + offset), type=pa.float64())
            else:
                offsets = pa.array(np.arange(n + 1, dtype=np.int32) * outputs)
                by_class = list_column(phi.transpose(0, 2, 1).reshape(n * outputs, width))
                values = pa.ListArray.from_arrays(offsets, by_class)
                mean = pa.ListArray.from_arrays(
                    offsets, pa.array(np.tile(np.asarray(start, dtype=np.float64), n))
                )
            yield pa.RecordBatch.from_arrays([*batch.columns[:-1], values, mean], names=list(names))

    return run
