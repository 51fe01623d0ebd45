"""Whether the best trial is better than the defaults, or only luckier."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from synml_dagster.tuning.losses import Measure, paired_gain
from synml_dagster.tuning.result import SweepResult, TrialRecord
from synml_dagster.tuning.sweep import default_of
from synml_dagster.tuning.trial import labels_of, unpacked


def keep_default_within_noise(
    result: SweepResult, family: str, measure: Measure, answers: Path, ratio: float | None = None
) -> SweepResult:
    """Return the result with the defaults of `family` as its best where the best trial does not clearly beat them.

    The best of many trials is partly the luckiest. Over folds, the mean of the paired differences has to exceed its
    standard error, corrected for folds that share training rows (Nadeau and Bengio 2003: `sd * sqrt(1/k + ratio)`);
    on one held-out part, the mean difference of the losses of single rows has to exceed its own. Where neither can be said,
    the best trial stays and a note says so.

    Parameters
    ----------
    ratio
        Rows held out for each that was trained on; that of as many folds as trials have values, where None.
    """
    default, board = default_of(result, family), result.eligible()
    if default is not None and not result.aims.held_by(default):
        return result.noted(
            f"the defaults of {family} are over the limits, {result.aims.said()}: nothing had to beat them"
        )
    if default is None and board:
        return result.noted(f"no trial of the defaults of {family} has a value: nothing had to beat them")
    if default is None or board[0].number == default.number:
        return result
    best = board[0]
    noise = _noise(best, default, result, measure, answers, ratio)
    if noise is None:
        why = (
            "what trials answered is not on this host"
            if result.metric == measure.metric
            else f"single rows have no {result.metric}"
        )
        return result.noted(
            f"the best trial, {best.number} ({best.learner}), is taken without asking whether it beats the defaults by more than noise: {why}",
        )
    gain, error = noise
    if gain > error:
        return result
    note = (
        f"the best trial, {best.number} ({best.learner}), is better than the defaults of {default.learner} by {gain:.3g} and its noise is "
        f"{error:.3g}: the defaults are kept"
    )
    return result.noted(note).model_copy(
        update={
            "learner": default.learner,
            "best_params": default.params,
            "best_value": default.value,
            "best_trial": default.number,
            "importance": result.importance if default.learner == result.learner else {},
        }
    )


def _noise(
    best: TrialRecord,
    default: TrialRecord,
    result: SweepResult,
    measure: Measure,
    answers: Path,
    ratio: float | None,
) -> tuple[float, float] | None:
    """Return by how much the best beats the default and the standard error of that; None where it cannot be said."""
    sign = 1.0 if result.direction == "maximize" else -1.0
    n = len(best.folds)
    if n > 1 and n == len(default.folds):
        gains = sign * (np.array(best.folds) - np.array(default.folds))
        held = 1 / (n - 1) if ratio is None else ratio
        return float(gains.mean()), float(gains.std(ddof=1) * (1 / n + held) ** 0.5)
    if result.metric != measure.metric:
        return None
    try:
        rows = labels_of(unpacked((answers / "labels.npz").read_bytes()))
        losses = []
        for trial in (default, best):
            found = unpacked((answers / f"{trial.number}.npz").read_bytes())["answers"]
            losses.append(measure.losses(found, rows))
    except FileNotFoundError:
        return None
    (first, weight), (second, _) = losses
    return paired_gain(first, second, weight)
