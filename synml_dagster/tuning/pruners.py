"""The rules by which a trial is stopped half-way, by the names that Optuna gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from synml_dagster.errors import ConfigError, did_you_mean
from synml_dagster.tuning.rungs import RUNGS, Curve, Rule, median_rule

if TYPE_CHECKING:
    import optuna

PRUNERS = ("median", "percentile", "successive_halving", "hyperband")
_OTHERS = 4


def check_pruner(name: str) -> str:
    """Return `name` where a sweep can use it.

    Raises
    ------
    ConfigError
        There is no such pruner.
    """
    if name not in PRUNERS:
        raise ConfigError(
            f"sweep.pruner: there is no {name!r}; choose one of {', '.join(PRUNERS)}.{did_you_mean(name, PRUNERS)}"
        )
    return name


def rule_of(name: str, others: Sequence[Curve], pruned: Sequence[bool], maximize: bool) -> Rule:
    """Return what says of a trial's curve so far whether it stops there.

    Parameters
    ----------
    name
        One of `PRUNERS`. The median is our own: it also compares with what others had when they were stopped.
    others, pruned
        Curves of trials of the same family that have ended, in the order of their numbers, and which of these were stopped. What
        ended by itself keeps its last value on later rungs.
    maximize
        Whether more of the metric is better.
    """
    curves = [curve for curve in others if curve]
    return median_rule(curves, maximize) if name == "median" else _OptunaRule(name, others, pruned, maximize)


class _OptunaRule:
    """Asks one of Optuna's pruners, in a study in memory to which the other trials have reported what they did.

    Their steps are the rungs' shares of progress, 1, 2, 4 and so on: what the pruners that divide a budget take for resources.
    """

    def __init__(self, name: str, others: Sequence[Curve], pruned: Sequence[bool], maximize: bool) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(
            study_name="rungs", direction="maximize" if maximize else "minimize", pruner=_pruner(name)
        )
        for curve, stopped in zip(others, pruned, strict=True):
            if curve:
                _replay(study, curve, stopped)
        self._trial, self._told = study.ask(), 0

    def __call__(self, curve: Curve) -> bool:
        stop = False
        for rung in range(self._told, len(curve)):
            self._trial.report(curve[rung], 2**rung)
            stop = self._trial.should_prune() or stop
        self._told = len(curve)
        return stop


def _replay(study: optuna.Study, curve: Curve, stopped: bool) -> None:
    from optuna.trial import TrialState

    trial = study.ask()
    for rung, value in enumerate(curve if stopped else curve + curve[-1:] * (len(RUNGS) - len(curve))):
        trial.report(value, 2**rung)
        trial.should_prune()  # pruners that divide a budget note by this who came how far
    if stopped:
        study.tell(trial, state=TrialState.PRUNED)
    else:
        study.tell(trial, curve[-1])


def _pruner(name: str) -> optuna.pruners.BasePruner:
    from optuna import pruners

    if name == "percentile":
        return pruners.PercentilePruner(25.0, n_startup_trials=_OTHERS)
    if name == "successive_halving":
        return pruners.SuccessiveHalvingPruner(min_resource=1)
    return pruners.HyperbandPruner(min_resource=1, max_resource=2 ** (len(RUNGS) - 1))
