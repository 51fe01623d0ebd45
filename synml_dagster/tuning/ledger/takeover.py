"""What a sweep takes over from those before it: questions that a kill left open, and answers over other ranges."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from synml_dagster.features import AS_DESCRIBED
from synml_dagster.tuning.feature_choice import is_choice, said
from synml_dagster.tuning.ledger.database import at_once
from synml_dagster.tuning.ledger.outcome import TrialOutcome
from synml_dagster.tuning.ledger.owner import UNHEARD_SECONDS, may_live

if TYPE_CHECKING:
    import optuna

    from synml_dagster.learners import ParameterRange
    from synml_dagster.tuning.aims import Aims
    from synml_dagster.tuning.families import Family

KILLED = "killed"
"""Why a trial ended whose process was gone."""


def tell(study: optuna.Study, trial_id: int, number: int, outcome: TrialOutcome, aims: Aims) -> None:
    """Tell a study what a running trial gave: its quality, its costs, and how far it is over the limits.

    Nothing where the trial has ended: another process had taken it over.
    """
    from optuna.trial import Trial, TrialState

    if aims.limits:
        running = Trial(study, trial_id)
        for cost, over in aims.excess(outcome).items():
            if cost not in running.constraints:
                running.set_constraint(cost, over)

    if outcome.pruned:  # its value is no final one: TPE ranks it behind those that ended
        study.tell(number, state=TrialState.PRUNED, skip_if_finished=True)
    else:
        study.tell(number, [outcome.value, *aims.costs(outcome)], skip_if_finished=True)


def take_over(
    study: optuna.Study,
    database: optuna.storages.RDBStorage,
    now: float,
    aims: Aims,
    own: Collection[int] = (),
    unheard: float = UNHEARD_SECONDS,
) -> None:
    """End trials whose process is gone: those that had an answer with it, the others to be asked again.

    Parameters
    ----------
    database
        Where the study lies: each trial is ended and asked again at once, or not at all.
    now
        The database's clock.
    own
        Numbers of the trials that this sweep runs itself.
    unheard
        For how many seconds a trial of another host counts as running of which nothing is heard.
    """
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
        if trial.number in own or may_live(trial, now, unheard):
            continue
        attrs = trial.user_attrs
        if (answer := attrs.get("outcome")) is not None:
            tell(study, trial._trial_id, trial.number, TrialOutcome.from_json(answer), aims)
            continue
        with at_once(database):
            study._storage.set_trial_user_attr(trial._trial_id, "reason", KILLED)
            study.tell(trial.number, state=TrialState.FAIL)
            params = trial.params or trial.system_attrs.get("fixed_params") or {}
            if params or "unsaid" in attrs:
                kept: dict[str, Any] = {
                    k: attrs[k] for k in ("order", "origin", "fixed", "unsaid") if k in attrs
                }
                study.enqueue_trial(params, user_attrs=kept, skip_if_exists=False)


def take_along(other: optuna.Study, study: optuna.Study, family: Family) -> None:
    """Add the finished trials of a study over other ranges that these ranges could have chosen, too."""
    import optuna

    complete = optuna.trial.TrialState.COMPLETE
    known = {t.user_attrs.get("order") for t in study.get_trials(deepcopy=False)}
    for trial in other.get_trials(deepcopy=False, states=[complete]):
        left = {name: AS_DESCRIBED for name in family.space if is_choice(name)}
        chosen = {**left, **trial.user_attrs.get("fixed", {}), **trial.params}
        if trial.user_attrs.get("order") in known:
            continue
        asked = {name: r for name, r in family.space.items() if r.applies(chosen)}
        if set(said(trial.params)) - set(asked):
            continue  # it was searched then and would be left at its default now
        if not all(name in chosen and r.holds(chosen[name]) for name, r in asked.items()):
            continue
        study.add_trial(
            optuna.trial.create_trial(
                state=complete,
                params={name: chosen[name] for name in asked},
                distributions={name: _distribution(r) for name, r in asked.items()},
                values=trial.values,
                constraints=trial.constraints or None,
                user_attrs={
                    **trial.user_attrs,
                    "fixed": {k: v for k, v in said(chosen).items() if k not in asked},
                },
            )
        )


def _distribution(values: ParameterRange) -> optuna.distributions.BaseDistribution:
    import optuna

    if values.choices is not None:
        return optuna.distributions.CategoricalDistribution(values.choices)
    assert values.low is not None
    assert values.high is not None
    if values.is_whole:
        return optuna.distributions.IntDistribution(int(values.low), int(values.high), log=values.log)
    return optuna.distributions.FloatDistribution(float(values.low), float(values.high), log=values.log)
