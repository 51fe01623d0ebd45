"""The metrics that a model is judged by while its columns are shuffled: equal to scikit-learn's, at the speed of a sort."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synml_dagster.errors import ConfigError, DataError, did_you_mean

_MORE_IS_BETTER: dict[str, bool] = {
    "rmse": False,
    "mae": False,
    "r2": True,
    "auc": True,
    "logloss": False,
    "accuracy": True,
}
_OF_NUMBERS = ("rmse", "mae", "r2")
_NDCG = re.compile(r"ndcg@([1-9]\d*)")
_MOST_GRADE = 30
"""Up to here `2 ** grade - 1` is the gain, as in `synml_dagster.evaluation`."""
_LEAST = float(np.finfo(np.float64).eps)
"""Probabilities are this far from 0 and 1 where their logarithm is taken, as scikit-learn has it."""


def check_metric(metric: str, query: str | None) -> None:
    """Refuse a metric that there is none of, and one that needs queries where there are none.

    Raises
    ------
    ConfigError
    """
    ranks = _NDCG.fullmatch(metric) is not None
    if metric not in _MORE_IS_BETTER and not ranks:
        raise ConfigError(
            f"metric is one of {', '.join(_MORE_IS_BETTER)}, or ndcg@10 of rankings (or another number), but got {metric!r}.{did_you_mean(metric, [*_MORE_IS_BETTER, 'ndcg@10'])}"
        )
    if ranks and query is None:
        raise ConfigError(f"metric {metric} is of queries: name the column that tells them apart as query.")
    if query is not None and not ranks:
        raise ConfigError(
            f"query: metric {metric} is of single rows. Leave query out, or choose a metric such as ndcg@10."
        )


def more_is_better(metric: str) -> bool:
    """Return whether more of a metric is better."""
    return _MORE_IS_BETTER.get(metric, True)


@dataclass(frozen=True)
class Truth:
    """What a model's answers are measured against.

    Attributes
    ----------
    labels
        [rows] numbers, or places of classes.
    weights
        float64 [rows].
    query
        int64 [rows] the number of each row's query, for rankings.
    """

    labels: NDArray[Any]
    weights: NDArray[np.float64]
    query: NDArray[np.int64] | None = None


def measured_labels(column: Any, metric: str, classes: Sequence[Any] | None) -> NDArray[Any]:
    """Return the truth as numbers, as places of classes, or as the gains of a ranking's grades.

    Raises
    ------
    DataError
        A label is missing, or is none of the classes.
    """
    if column.null_count:
        raise DataError(f"{column.null_count:,} rows have no label; leave them out.")
    ranks = _NDCG.fullmatch(metric) is not None
    if metric in _OF_NUMBERS or ranks:
        try:
            truth = np.asarray(column.to_numpy(), dtype=np.float64)
        except (TypeError, ValueError) as problem:
            raise DataError(f"metric {metric} needs numbers in the label: {problem}") from problem
        if not np.isfinite(truth).all():
            raise DataError("A label is NaN or infinite; leave its row out.")
        return truth
    values = column.to_pylist()
    known = sorted(set(values)) if classes is None else list(classes)
    place = {value: i for i, value in enumerate(known)}
    strange = [v for v in values if v not in place]
    if strange:
        raise DataError(f"The label holds {strange[0]!r}, which is none of the classes.")
    return np.array([place[v] for v in values], dtype=np.int64)


def gains(grades: NDArray[np.float64], table: Sequence[float] | None) -> NDArray[np.float64]:
    """Return what rows of these grades are worth: `2 ** grade - 1` where no table says so.

    Raises
    ------
    DataError
        A grade is negative, above 30, or not in the table.
    """
    most = _MOST_GRADE if table is None else len(table) - 1
    whole = grades == np.floor(grades)
    bad = (grades < 0) | (grades > most) | (~whole if table is not None else False)
    if np.any(bad):
        raise DataError(
            f"A label is {grades[bad][0]:g}, which is no grade from 0 to {most}; gains says what each grade is worth."
        )
    return 2.0**grades - 1 if table is None else np.asarray(table, np.float64)[grades.astype(np.int64)]


def measure(metric: str, truth: Truth, told: NDArray[np.float64]) -> float:
    """Return a metric of answers [rows, outputs].

    Raises
    ------
    DataError
        It cannot be computed: one class only, or answers that are no probabilities.
    """
    ndcg = _NDCG.fullmatch(metric)
    labels, weights = truth.labels, truth.weights
    if metric in _OF_NUMBERS or ndcg:
        if told.shape[1] != 1:
            raise DataError(f"metric {metric} is of one number a row, and the model answers {told.shape[1]}.")
        if ndcg:
            return _ndcg(truth, told[:, 0], int(ndcg[1]))
        return _of_numbers(metric, labels - told[:, 0], labels, weights)
    if told.shape[1] == 1:
        told = np.column_stack([1 - told[:, 0], told[:, 0]])
    if told.min() < -1e-6 or told.max() > 1 + 1e-6:
        raise DataError(
            f"metric {metric} is of probabilities, and the model answers {told.min():.4g} to {told.max():.4g}; choose output='probability'."
        )
    if labels.max() >= told.shape[1]:
        raise DataError(f"The label has more classes than the model's {told.shape[1]} probabilities.")
    if metric == "accuracy":
        return float(np.average(told.argmax(1) == labels, weights=weights))
    if metric == "auc":
        if told.shape[1] != 2:
            raise DataError(
                "metric auc is of two classes, both of which have rows; choose logloss or accuracy."
            )
        return _auc(labels, told[:, 1], weights)
    right = np.clip(told[np.arange(len(labels)), labels], _LEAST, 1 - _LEAST)
    return float(-np.average(np.log(right), weights=weights))


def _of_numbers(metric: str, off: NDArray, labels: NDArray, weights: NDArray) -> float:
    if metric == "mae":
        return float(np.average(np.abs(off), weights=weights))
    squares = float(np.average(off**2, weights=weights))
    if metric == "rmse":
        return squares**0.5
    spread = float(np.average((labels - np.average(labels, weights=weights)) ** 2, weights=weights))
    if not spread > 0:
        raise DataError("metric r2 needs labels that differ; choose rmse or mae.")
    return 1 - squares / spread


def _auc(labels: NDArray, scores: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Share of pairs of both classes, by weight, that stand in the right order; of equal scores half (Mann and Whitney 1947)."""
    ranked: NDArray[Any]
    single = scores.astype(np.float32)
    if scores.min() >= 0 and (single == scores).all() and (weights == weights[0]).all():
        # Bits of a float above 0 are in the order of the numbers, and have no sign: the class takes its place.
        keys = np.sort((single.view(np.uint32) << np.uint32(1)) | (labels == 1))
        ranked, ahead = keys >> 1, np.cumsum(keys & 1, dtype=np.float64)
        whole = np.arange(1.0, len(keys) + 1)
    else:
        order = np.argsort(scores)
        ranked, whole = scores[order], np.cumsum(weights[order])
        ahead = np.cumsum(np.where(labels[order] == 1, weights[order], 0.0))
    ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    positives, negatives = ahead[ends], whole[ends] - ahead[ends]
    if not (positives[-1] > 0 and negatives[-1] > 0):
        raise DataError("metric auc is of two classes, both of which have rows; choose logloss or accuracy.")
    of_group = np.diff(positives, prepend=0.0)
    below = negatives - np.diff(negatives, prepend=0.0) / 2
    return float((of_group @ below) / (positives[-1] * negatives[-1]))


def _ndcg(truth: Truth, scores: NDArray[np.float64], cutoff: int) -> float:
    """Mean NDCG of queries, each by the mean weight of its rows; labels are gains.

    Rows of equal scores share the mean discount of their places (McSherry and Najork 2008), and a query in which nothing is
    worth anything counts 1, as in `synml_dagster.evaluation`.
    """
    assert truth.query is not None
    query, gain = truth.query, truth.labels
    count = int(query.max()) + 1
    sizes = np.bincount(query, minlength=count)
    first = np.cumsum(sizes) - sizes
    total = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, min(cutoff, sizes.max()) + 2)))])

    def discounts(places: NDArray[np.int64]) -> NDArray[np.float64]:
        return total[np.minimum(places, len(total) - 1)]

    order = np.lexsort((-scores, query))
    of, ranked = query[order], scores[order]
    starts = np.flatnonzero(np.r_[True, (of[1:] != of[:-1]) | (ranked[1:] != ranked[:-1])])
    ties = np.diff(np.append(starts, len(order)))
    before = starts - first[of[starts]]
    each = np.repeat((discounts(before + ties) - discounts(before)) / ties, ties)
    found = np.bincount(of, each * gain[order], minlength=count)
    best = np.lexsort((-gain, query))
    place = np.arange(len(best)) - first[query[best]]
    ideal = np.bincount(query[best], (discounts(place + 1) - discounts(place)) * gain[best], minlength=count)
    weights = np.bincount(query, truth.weights, minlength=count) / sizes
    reached = np.where(ideal > 0, found / np.where(ideal > 0, ideal, 1.0), 1.0)
    return float(np.average(reached, weights=weights))
