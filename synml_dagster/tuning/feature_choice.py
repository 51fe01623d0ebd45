"""How features are made, as parameters of a trial: a sampler asks for both alike, and each goes its own way from there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from synml_dagster.features import AS_DESCRIBED, Choice, FeatureChoices
from synml_dagster.learners import ParameterRange, Value, learner_names, learner_of

if TYPE_CHECKING:
    from synml_dagster.features import FeaturePlan
    from synml_dagster.learners import TrainSpec
    from synml_dagster.tuning.spec import SweepSpec

PREFIX = "features."
"""What the names of choices begin with among a trial's parameters; no learner has a parameter with a dot."""


def split_choice(params: Mapping[str, Any]) -> tuple[Choice, dict[str, Any]]:
    """Return the choice of features and the learner's own parameters."""
    choice = {k.removeprefix(PREFIX): v for k, v in params.items() if is_choice(k)}
    return choice, {k: v for k, v in params.items() if not is_choice(k)}


def is_choice(name: str) -> bool:
    """Return whether a parameter of a trial is about features."""
    return name.startswith(PREFIX)


def said(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters without the choices that are as described: a trial that was not asked made the same."""
    return {k: v for k, v in params.items() if not (is_choice(k) and v == AS_DESCRIBED)}


def wanted_choices(sweep: SweepSpec, train: TrainSpec) -> FeatureChoices:
    """Return what the plan has to offer: what the description lists, or what suits each of its learners."""
    if sweep.features is None or sweep.trials == 0:
        return FeatureChoices()
    if sweep.features != "auto":
        return sweep.features
    names = learner_names() if sweep.learners == "all" else sweep.learners or [train.learner]
    found = FeatureChoices()
    for name in (n for n in names if n not in (sweep.without or ())):
        found = found.together(learner_of(name).feature_choices())
    return found


def ranges_of(family: str, sweep: SweepSpec, plan: FeaturePlan) -> dict[str, ParameterRange]:
    """Return what a family searches of what the plan offers, by parameter of a trial."""
    suits = learner_of(family).feature_choices().dimensions() if sweep.features == "auto" else None
    found = {}
    for name, options in plan.choices.items():
        taken = [o for o in options if suits is None or o == AS_DESCRIBED or o in suits.get(name, ())]
        if len(taken) > 1:
            found[PREFIX + name] = ParameterRange(choices=list(taken))
    return found


def as_described(ranges: Mapping[str, ParameterRange]) -> dict[str, Value]:
    """Return the choice that a description makes, as parameters of a trial."""
    return {name: AS_DESCRIBED for name in ranges if is_choice(name)}
