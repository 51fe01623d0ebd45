"""Whether the champion's answers are spread as they were on its test rows, whose spread its evaluation keeps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from synml_dagster.checks.drift import psi, psi_by_chance
from synml_dagster.checks.spec import PredictionsCheck

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from synml_dagster.evaluation import Evaluation

_BINS = 20


@dataclass(frozen=True)
class AnswerBins:
    """How answers are counted, and how many of the test rows fall into each bin.

    Attributes
    ----------
    column
        `probability` of two classes, else `prediction`.
    edges
        Of numbers: what lies between the bins, one less than there are; empty where each word is a bin.
    names
        The bins in words.
    expected
        Test rows by bin.
    weighted
        Whether the test rows had weights: `expected` is then by weight, and no answer that comes without one can be compared with it.
    """

    column: str
    edges: tuple[float, ...]
    names: tuple[str, ...]
    expected: tuple[float, ...]
    weighted: bool = False


def answer_bins(test: Evaluation) -> AnswerBins | None:
    """Return the bins that an evaluation tells, None where it tells none (a ranking)."""
    bins = _bins(test)
    return None if bins is None else replace(bins, weighted=test.weighted)


def _bins(test: Evaluation) -> AnswerBins | None:
    if test.scores is not None:
        weight = [a + b for a, b in zip(test.scores.positive, test.scores.negative, strict=True)]
        return _numbers("probability", test.scores.edges, weight, test.rows)
    if test.actual_vs_predicted is not None:
        grid = test.actual_vs_predicted  # predictions along x, labels along y
        return _numbers("prediction", grid.x_edges, [sum(row) for row in grid.weight], test.rows)
    if test.confusion is not None:
        columns = list(zip(*test.confusion.weight, strict=True))
        total = sum(map(sum, columns)) or 1.0
        expected = tuple(sum(column) * test.rows / total for column in columns)
        return AnswerBins("prediction", (), tuple(test.confusion.classes), expected)
    return None


def _numbers(column: str, edges: Sequence[float], weight: Sequence[float], rows: int) -> AnswerBins:
    """Join bins to some twenty that hold about as many test rows each: many empty ones would only add chance."""
    total = sum(weight) or 1.0
    inner: list[float] = []
    expected, held = [], 0.0
    for right, w in zip(edges[1:], weight, strict=True):
        held += w
        if held >= total / _BINS and right != edges[-1]:
            inner.append(right)
            expected.append(held * rows / total)
            held = 0.0
    expected.append(held * rows / total)
    ends = [f"< {edge:.4g}" for edge in inner] + ([f">= {inner[-1]:.4g}"] if inner else ["all"])
    return AnswerBins(column, tuple(inner), tuple(ends), tuple(expected))


def count_answers(tables: Iterable[DataFrame], bins: AnswerBins) -> list[int]:
    """Return how many rows fall into each bin; reads the one column of the answers."""
    from pyspark.sql import functions as sf

    found = [0] * len(bins.names)
    for table in tables:
        place: Column
        if bins.edges:
            edges = ", ".join(f"double('{edge!r}')" for edge in bins.edges)
            place = sf.expr(f"size(filter(array({edges}), e -> e <= {bins.column}))")
        elif len(bins.names) == 1:
            place = sf.lit(0)
        else:
            words = sf.array(*(sf.lit(name) for name in bins.names))
            place = sf.array_position(words, sf.col(bins.column).cast("string")).cast("int") - 1
        counted = table.where(sf.col(bins.column).isNotNull()).groupBy(place.alias("bin")).count()
        for row in counted.collect():
            if row["bin"] is not None and row["bin"] >= 0:
                found[row["bin"]] += row["count"]
    return found


def judge_answers(
    found: Sequence[int], bins: AnswerBins, spec: PredictionsCheck
) -> tuple[bool, str, float | None]:
    """Return whether the answers are spread as expected, a sentence that names the bin that moved most, and the index."""
    rows = sum(found)
    if bins.weighted:
        return (
            True,
            "the champion's test rows had weights, which answers have not: nothing can be compared",
            None,
        )
    if rows < spec.minimum_rows:
        return True, f"{rows} answers are too few to tell; minimum_rows is {spec.minimum_rows}", None
    index = psi(found, bins.expected)
    limit = max(spec.psi, psi_by_chance(len(found), rows, round(sum(bins.expected))))
    shares = [(n / rows, e / sum(bins.expected)) for n, e in zip(found, bins.expected, strict=True)]
    most = max(range(len(found)), key=lambda i: abs(shares[i][0] - shares[i][1]))
    where = f"{bins.column} {bins.names[most]}: {shares[most][0]:.1%} of {rows} rows, and {shares[most][1]:.1%} of the test rows"
    if index > limit:
        return (
            False,
            f"the answers' stability index is {index:.3g}, above {limit:.3g}; most moved {where}",
            index,
        )
    return True, f"the answers' stability index is {index:.3g}", index
