"""What a sweep takes over from those before it: questions that a kill left open, and answers over other ranges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synml_dagster.tuning.ledger.outcome import TrialOutcome
from synml_dagster.tuning.ledger.owner import may_live

if TYPE_CHECKING:
    import optuna

    from synml_dagster.learners import ParameterRange
    from synml_dagster.tuning.families import Family

KILLED = "killed"
"""Why a trial ended whose process was gone."""


def tell(study: optuna.Study, number: int, outcome: TrialOutcome) -> None:
    """Tell a study what a running trial gave."""
    from optuna.trial import TrialState

    if outcome.pruned:  # its value is no final one: TPE ranks it behind those that ended
        study.tell(number, state=TrialState.PRUNED)
    else:
        study.tell(number, outcome.value)


def take_over(study: optuna.Study) -> None:
    """End trials whose process is gone: those that had an answer with it, the others to be asked again."""
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
        if may_live(trial):
            continue
        attrs = trial.user_attrs
        if (said := attrs.get("outcome")) is not None:
            tell(study, trial.number, TrialOutcome.from_json(said))
            continue
        study._storage.set_trial_user_attr(trial._trial_id, "reason", KILLED)
        study.tell(trial.number, state=TrialState.FAIL)
        params = trial.params or trial.system_attrs.get("fixed_params") or {}
        if params or "unsaid" in attrs:
            kept: dict[str, Any] = {k: attrs[k] for k in ("order", "origin", "fixed", "unsaid") if k in attrs}
            study.enqueue_trial(params, user_attrs=kept, skip_if_exists=False)


def take_along(other: optuna.Study, study: optuna.Study, family: Family) -> None:
    """Add the finished trials of a study over other ranges that these ranges could have chosen, too."""
    import optuna

    complete = optuna.trial.TrialState.COMPLETE
    known = {t.user_attrs.get("order") for t in study.get_trials(deepcopy=False)}
    for trial in other.get_trials(deepcopy=False, states=[complete]):
        chosen = {**trial.user_attrs.get("fixed", {}), **trial.params}
        if trial.user_attrs.get("order") in known:
            continue
        if set(trial.params) - set(family.space):
            continue  # it was searched then and would be left at its default now
        if not all(name in chosen and r.holds(chosen[name]) for name, r in family.space.items()):
            continue
        study.add_trial(
            optuna.trial.create_trial(
                state=complete,
                params={name: chosen[name] for name in family.space},
                distributions={name: _distribution(r) for name, r in family.space.items()},
                value=trial.value,
                user_attrs={
                    **trial.user_attrs,
                    "fixed": {k: v for k, v in chosen.items() if k not in family.space},
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
