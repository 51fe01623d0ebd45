"""Which trials answer better together: greedy selection from answers that the trials have already given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synml_dagster.learners.one_process.rows import Rows
from synml_dagster.tuning.losses import Measure, paired_gain
from synml_dagster.tuning.result import EnsembleMember, SweepResult, TrialRecord
from synml_dagster.tuning.trial import labels_of, unpacked

STEPS = 40


@dataclass(frozen=True)
class _Together:
    """What several models cost: their sum."""

    members: Sequence[TrialRecord]

    @property
    def kilobytes(self) -> float | None:
        return _sum([m.kilobytes for m in self.members])

    @property
    def milliseconds(self) -> float | None:
        return _sum([m.milliseconds for m in self.members])


def _sum(costs: Sequence[float | None]) -> float | None:
    known = [c for c in costs if c is not None]
    return sum(known) if len(known) == len(costs) else None


_PARTS, _MANY = 5, 20_000
"""So many parts of the rows are mixed by weights of the others; two, where there are many rows."""
_CANDIDATES = 40
"""The best so many trials are looked at: those behind them are never chosen and cost time."""


def with_ensemble(result: SweepResult, measure: Measure, answers: Path, most: int) -> SweepResult:
    """Return the result with an ensemble of at most `most` trials where it beats the best trial by more than noise.

    Ensemble selection with replacement (Caruana et al. 2004, "Ensemble selection from libraries of models"): beginning with
    the best trial, add the one that lowers the loss of the mean answer most, forty times; a trial's weight is how often it was
    added. Answers are those for rows that each trial held out, so that nothing is trained for it. The mean difference of the
    losses of single rows, those of the best trial less the ensemble's, has to exceed its standard error.

    Weights are found on the rows that their worth is told by, so that they would always seem to be worth something. What is
    compared with the best trial is therefore made in parts: the answers for each part of the rows are mixed by weights that were
    found on the others.

    Together they hold the sweep's limits on size and time to score, which add up. Each member makes features as its trial did.
    """
    if measure.task == "ranking":
        return result.noted("no ensemble: the scores of rankings are no common unit")
    board = [t for t in result.eligible()[:_CANDIDATES] if (answers / f"{t.number}.npz").exists()]
    if len(board) < 2 or not (answers / "labels.npz").exists():
        return result.noted("no ensemble: fewer than two trials have left their answers")
    rows = labels_of(unpacked((answers / "labels.npz").read_bytes()))
    given = {t.number: unpacked((answers / f"{t.number}.npz").read_bytes())["answers"] for t in board}
    given = {number: a for number, a in given.items() if a.shape[0] == len(rows)}
    numbers = list(given)
    if len(numbers) < 2:
        return result.noted("no ensemble: fewer than two trials have left their answers")
    if (n := int(np.count_nonzero(rows.weight))) < 2 * _PARTS:
        return result.noted(f"no ensemble: {n} rows are too few to tell what it is worth")
    records = {t.number: t for t in board}

    def fit(members: Collection[int]) -> bool:
        return result.aims.held_by(_Together([records[numbers[i]] for i in members]))

    every = list(given.values())
    weights = greedy(every, rows, measure, most, fit=fit)
    # The first of the board beside the winner: where the defaults are kept, it has not beaten them by more than noise, and
    # an ensemble that is little else than that trial is not to come in by this door.
    singles = [measure.losses(given[n], rows) for n in {numbers[0], result.best_trial} if n in given]
    one, weight = min(singles, key=lambda found: float(np.average(found[0], weights=found[1])))
    apart = mixed_apart(every, rows, measure, most, fit=fit)
    two, _ = measure.losses(apart, rows)
    gain, error = paired_gain(one, two, weight)
    chosen = sorted(
        ((n, w) for n, w in zip(numbers, weights, strict=True) if w > 0), key=lambda pair: -pair[1]
    )
    if len(chosen) < 2 or not gain > error:
        return result.noted(
            f"no ensemble: together the best trials lose {gain:.3g} less a row than the best one, and the noise of that is {error:.3g}",
        )
    value = measure.value(two, weight)
    told = ", ".join(f"{w:.2f} of trial {n} ({records[n].learner})" for n, w in chosen)
    return result.noted(f"an ensemble of {len(chosen)} trials: {told}").model_copy(
        update={
            "ensemble": [
                EnsembleMember(trial=n, learner=records[n].learner, params=records[n].params, weight=float(w))
                for n, w in chosen
            ],
            "ensemble_value": value,
        }
    )


def mixed_apart(
    answers: list[NDArray[np.float64]],
    rows: Rows,
    measure: Measure,
    most: int,
    fit: Callable[[Collection[int]], bool] = lambda _: True,
) -> NDArray[np.float64]:
    """Return mixed answers, those for each part of the rows by the weights that `greedy` finds on the other parts.

    Rows are in an order of their content, and so each n-th of them is a part like any other.
    """
    parts = _PARTS if len(rows) < _MANY else 2
    part = np.cumsum(rows.weight > 0) % parts  # of rows that count, each part has as many
    mixed = np.zeros_like(answers[0])
    for i in range(parts):
        others, here = np.flatnonzero(part != i), part == i
        weights = greedy([a[others] for a in answers], rows.take(others), measure, most, fit=fit)
        mixed[here] = np.sum([w * a[here] for w, a in zip(weights, answers, strict=True)], axis=0)
    return mixed


def greedy(
    answers: list[NDArray[np.float64]],
    rows: Rows,
    measure: Measure,
    most: int,
    steps: int = STEPS,
    fit: Callable[[Collection[int]], bool] = lambda _: True,
) -> NDArray[np.float64]:
    """Return the weights of answers, best answers first; at most `most` are above 0.

    Parameters
    ----------
    answers
        Each `[n]` or `[n, classes]`.
    fit
        Whether answers, by their places, may be chosen together; each may by itself.
    """

    def loss(mean: NDArray[np.float64]) -> float:
        losses, weight = measure.losses(mean, rows)
        return float(np.average(losses, weights=weight))

    chosen: Counter[int] = Counter({int(np.argmin([loss(a) for a in answers])): 1})
    total = answers[next(iter(chosen))].copy()
    best_loss, best = loss(total), chosen.copy()
    for step in range(1, steps):
        allowed = sorted(chosen)
        if len(chosen) < most:
            allowed = [i for i in range(len(answers)) if i in chosen or fit({*chosen, i})]
        losses = {i: loss((total + answers[i]) / (step + 1)) for i in allowed}
        added = min(losses, key=lambda i: (losses[i], i))
        chosen[added] += 1
        total += answers[added]
        if losses[added] < best_loss:
            best_loss, best = losses[added], chosen.copy()
    weights = np.array([best[i] for i in range(len(answers))], np.float64)
    return weights / weights.sum()
