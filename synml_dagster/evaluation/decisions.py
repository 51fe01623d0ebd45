"""Decisions by costs of several classes: of each row the answer whose expected cost is lowest, and what that costs on labelled rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from synml_dagster.evaluation.intervals import WeightedMean
from synml_dagster.evaluation.result import Confusion, Cost, CostDecision
from synml_dagster.evaluation.spec import CostMatrix

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame


def decide(
    probabilities: NDArray[np.float64], costs: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return for each row the class whose expected cost is lowest, the first of several, and that cost.

    Parameters
    ----------
    probabilities
        [rows, classes]
    costs
        [true class, answer]

    Examples
    --------
    >>> decide(np.array([[0.7, 0.2, 0.1]]), np.array([[0, 1, 1], [1, 0, 1], [50.0, 50.0, 0]]))
    (array([2]), array([0.9]))
    """
    expected = np.asarray(probabilities, dtype=np.float64) @ costs
    best = expected.argmin(axis=1)
    return best, expected[np.arange(len(best)), best]


def cost_decision(frame: DataFrame, classes: Sequence[str], asked: CostMatrix) -> CostDecision:
    """Return what deciding by costs leads to on `frame` (y = class index, score = array of probabilities, w), in one job."""
    costs = np.array(asked.matrix(classes))
    k = len(classes)
    schema = "y int, likeliest int, decision int, w double, squares double, expected double"
    found = frame.select("y", "score", "w").mapInArrow(_Decide(costs), schema).toArrow()
    columns = {name: found.column(name).to_numpy() for name in found.column_names}
    # By true class, likeliest class and decision: the weight of the rows, and that of its square.
    weight, squares = np.zeros((k, k, k)), np.zeros((k, k, k))
    place = (columns["y"], columns["likeliest"], columns["decision"])
    np.add.at(weight, place, columns["w"])
    np.add.at(squares, place, columns["squares"])
    own = np.broadcast_to(costs[:, None, :], weight.shape)
    likeliest = np.broadcast_to(costs[:, :, None], weight.shape)
    total = weight.sum()
    changed = weight.sum(axis=0)
    table = weight.sum(axis=1)
    return CostDecision(
        costs=asked,
        cost=_mean(weight, squares, own),
        cost_of_likeliest=_mean(weight, squares, likeliest),
        saved=_mean(weight, squares, likeliest - own),
        expected=float(columns["expected"].sum() / total),
        changed=float((changed.sum() - np.trace(changed)) / total),
        confusion=Confusion(classes=list(classes), weight=table.tolist()),
    )


def _mean(weight: NDArray[np.float64], squares: NDArray[np.float64], cost: NDArray[np.float64]) -> Cost:
    mean = WeightedMean.of(
        float(weight.sum()),
        float(squares.sum()),
        float((weight * cost).sum() / weight.sum()),
        float((squares * cost).sum()),
        float((squares * cost**2).sum()),
    )
    interval = mean.interval()
    return Cost(
        value=mean.mean, low=interval.low if interval else None, high=interval.high if interval else None
    )


class _Decide:
    """The work of a task: weights of its rows by true class, likeliest class and decision."""

    def __init__(self, costs: NDArray[np.float64]) -> None:
        self._costs = costs

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for batch in batches:
            if not batch.num_rows:
                continue
            y, w = (batch.column(i).to_numpy(zero_copy_only=False) for i in (0, 2))
            score = batch.column(1).flatten().to_numpy(zero_copy_only=False).reshape(len(y), -1)
            best, expected = decide(score, self._costs)
            k = len(self._costs)
            key = (y.astype(np.int64) * k + score.argmax(axis=1)) * k + best
            there, each = np.unique(key, return_inverse=True)
            sums = [np.bincount(each, v, minlength=len(there)) for v in (w, w * w, w * expected)]
            places = [there // (k * k), there // k % k, there % k]
            arrays = [*(pa.array(p.astype(np.int32)) for p in places), *map(pa.array, sums)]
            names = ["y", "likeliest", "decision", "w", "squares", "expected"]
            yield pa.RecordBatch.from_arrays(arrays, names=names)
