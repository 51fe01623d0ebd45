"""What a prediction costs, row by row or query by query: the one measure that all families are compared by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synml_dagster.learners.one_process.rows import Rows

_CUTOFF = 10
_LEAST = 1e-15


def paired_gain(
    before: NDArray[np.float64], after: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[float, float]:
    """Return by how much losses fell in the mean, and the standard error of that, from the differences of single rows.

    Weighted rows count as Kish's number of them.
    """
    gain = float(np.average(before - after, weights=weight))
    spread = float(np.average((before - after - gain) ** 2, weights=weight)) ** 0.5
    return gain, spread / (weight.sum() ** 2 / (weight**2).sum()) ** 0.5


@dataclass(frozen=True)
class Measure:
    """A task's measure: proper scores, since ranks and hit rates reward probabilities that are none.

    Attributes
    ----------
    task
        binary, multiclass, regression or ranking.
    metric
        As evaluation calls it: logloss, rmse, ndcg@10.
    linear_gain
        Whether a ranking's grades are their own gains; 2^grade - 1 otherwise.
    """

    task: str
    metric: str
    maximize: bool
    linear_gain: bool = False

    @classmethod
    def of(cls, task: str, linear_gain: bool = False) -> Measure:
        """Return the measure of a task."""
        if task == "regression":
            return cls(task, "rmse", False)
        if task == "ranking":
            return cls(task, f"ndcg@{_CUTOFF}", True, linear_gain)
        return cls(task, "logloss", False)

    def losses(
        self, answers: NDArray[np.float64], rows: Rows
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the loss and the weight of each row, or of each query of a ranking.

        Parameters
        ----------
        answers
            `[n]`: the second class's probability, the value or the score; `[n, classes]` probabilities for more classes.
        """
        if self.task == "regression":
            return (answers - rows.y) ** 2, rows.weight
        if self.task == "ranking":
            return self._of_queries(answers, rows)
        index = rows.y.astype(np.int64)
        right = (
            np.where(index == 1, answers, 1 - answers)
            if answers.ndim == 1
            else answers[np.arange(len(index)), index]
        )
        return -np.log(np.clip(right, _LEAST, None)), rows.weight

    def value(self, losses: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
        """Return the metric of losses: their weighted mean, its root for a regression, one minus it for a ranking."""
        mean = float(np.average(losses, weights=weights)) if weights.sum() > 0 else float("nan")
        if self.task == "regression":
            return mean**0.5
        return 1 - mean if self.task == "ranking" else mean

    def _of_queries(
        self, answers: NDArray[np.float64], rows: Rows
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """One minus NDCG@10 of each query (Järvelin and Kekäläinen 2002); queries without a relevant row have none to lose.

        Equal scores are taken in the worst order, as evaluation does not favour the order of the file.
        """
        assert rows.group is not None
        gain = rows.y if self.linear_gain else 2.0**rows.y - 1
        starts = np.flatnonzero(np.r_[True, np.diff(rows.group) != 0])
        query = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(rows)]))

        def dcg(order: NDArray[np.int64]) -> NDArray[np.float64]:
            place = np.arange(len(order)) - starts[query]
            worth = np.where(place < _CUTOFF, gain[order] / np.log2(place + 2.0), 0.0)
            return np.bincount(query, weights=worth, minlength=len(starts)).astype(np.float64)

        found = dcg(np.lexsort((gain, -answers, query)))
        ideal = dcg(np.lexsort((-gain, query)))
        lost = np.where(ideal > 0, 1 - found / np.where(ideal > 0, ideal, 1.0), 0.0)
        return lost, np.ones(len(starts))
