"""From a description to the families that a sweep searches: ranges, candidates, and how each family is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from synml_dagster.errors import ConfigError
from synml_dagster.features import AS_DESCRIBED
from synml_dagster.learners import (
    Learner,
    ParameterRange,
    TrainSpec,
    learner_names,
    learner_of,
    under_fixed,
)
from synml_dagster.tuning.families import DEFAULT, Candidate, Family
from synml_dagster.tuning.feature_choice import PREFIX, as_described, is_choice, ranges_of

if TYPE_CHECKING:
    from synml_dagster.features import FeaturePlan
    from synml_dagster.tuning.spec import SweepSpec


def family_names(sweep: SweepSpec, train: TrainSpec, task: str) -> list[str]:
    """Return the learners of a sweep; the first one's defaults are those to beat.

    Raises
    ------
    ConfigError
        A learner that is named does not learn the task.
    """
    if sweep.learners is None:
        return [train.learner]
    if sweep.learners != "all":
        for name in sweep.learners:
            learner_of(name).check_task(task)
        return list(sweep.learners)
    left_out = sweep.without or ()
    able = [n for n in learner_names() if _is_of_all(n, task, train.learner) and n not in left_out]
    if not able:
        raise ConfigError(
            f"sweep.without leaves no learner out of those that learn task {task!r}; name fewer of them."
        )
    return sorted(able, key=lambda name: (name != train.learner, learner_of(name).precedence, name))


def _is_of_all(name: str, task: str, own: str) -> bool:
    """Return whether `all` takes a family: it is there, learns the task, and its trials are tasks beside others, or it is the description's own."""
    family = learner_of(name)
    return task in family.tasks and family.installed() and (name == own or not family.in_session)


def train_spec(name: str, train: TrainSpec) -> TrainSpec:
    """Return how a family is trained: as the description says, as far as that is about this family."""
    if name == train.learner:
        return train
    none = learner_of(name).no_such_keys
    said = {k: v for k, v in train.model_dump(exclude_unset=True).items() if k not in none}
    return TrainSpec(**said | {"learner": name, "params": {}})


def families_of(
    names: list[str],
    sweep: SweepSpec,
    train: TrainSpec,
    task: str,
    champion: tuple[str, Candidate] | None = None,
    plan: FeaturePlan | None = None,
) -> list[Family]:
    """Return the families with their ranges and candidates; what `train.params` fixes is neither searched nor varied.

    Parameters
    ----------
    champion
        The family of the model that is to be beaten, and its parameters, worth a trial of their own.
    plan
        Whose ways to make features are searched as well; none where None.

    Raises
    ------
    ConfigError
        A range is of a parameter that its family does not search.
    """
    found = []
    for name in names:
        learner, spec = learner_of(name), train_spec(name, train)
        space = under_fixed(_space(learner, sweep, len(names) > 1), spec.params)
        features = ranges_of(name, sweep, plan) if plan is not None else {}
        space |= features
        start = {k: v for k, v in learner.start().items() if k not in spec.params} | as_described(features)
        candidates = [Candidate(DEFAULT, start)]
        if champion is not None and champion[0] == name:
            told = {
                k: v
                for k, v in champion[1].params.items()
                if k not in spec.params and (not is_choice(k) or (k in features and features[k].holds(v)))
            }
            candidates.append(Candidate(champion[1].name, {**start, **told}))
        if sweep.space is None:  # a user's own ranges say what is to be tried
            for other, params in learner.portfolio(task).items():
                told = {k: v for k, v in params.items() if k not in spec.params}
                if told and all(space[k].holds(v) for k, v in told.items() if k in space):
                    candidates.append(Candidate(other, {**start, **told}))
        for choice, values in features.items():
            option = next(v for v in values.choices or () if v != AS_DESCRIBED)
            candidates.append(Candidate(f"{choice.removeprefix(PREFIX)} {option}", {**start, choice: option}))
        found.append(Family(name, space, tuple(candidates), boosted=learner.searched_most))
    return found


def _space(learner: Learner, sweep: SweepSpec, several: bool) -> Mapping[str, ParameterRange]:
    if sweep.space is None:
        return learner.space()
    if not several:
        prefix = f"{learner.name}."
        return learner.checked_space({k.removeprefix(prefix): r for k, r in sweep.space.items()})
    own = {k.partition(".")[2]: r for k, r in sweep.space.items() if k.partition(".")[0] == learner.name}
    return learner.checked_space(own) if own else learner.space()


def check_learners(sweep: SweepSpec, train: TrainSpec) -> None:
    """Refuse parameters of `train` that do not go with the sweep, and ranges that its families do not take.

    Raises
    ------
    ConfigError
        A range is of a parameter that its family does not search, or has values that the family does not take.
        `train.params` are of a learner that is not among `sweep.learners`, or their metric would decide between trials
        that an ensemble puts together by another.
    """
    if isinstance(sweep.learners, list) and train.learner not in sweep.learners and train.params:
        raise ConfigError(
            f"train.params are of learner {train.learner}, which sweep.learners does not name; name it, or leave the parameters out."
        )
    if train.learner in (sweep.without or ()) and train.params:
        raise ConfigError(
            f"train.params are of learner {train.learner}, which sweep.without leaves out; take it out there, or leave the parameters out."
        )
    if sweep.ensemble and train.params.get("metric") and sweep.learners in (None, [train.learner]):
        raise ConfigError(
            "sweep.ensemble does not go with train.params.metric: trials are put together by their log loss or squared error, and would be compared by another metric. Leave one of the two out."
        )
    if sweep.space and sweep.trials:
        several = sweep.learners == "all" or (sweep.learners is not None and len(sweep.learners) > 1)
        named = {name.partition(".")[0] for name in sweep.space}
        for name in named if several else sweep.learners or [train.learner]:
            under_fixed(_space(learner_of(name), sweep, several), train_spec(name, train).params)


def check_metrics(task: str, sweep: SweepSpec, train: TrainSpec) -> None:
    """Refuse metrics of `train.params` that are another task's, or of no task where it is not known yet.

    Raises
    ------
    ConfigError
        One is.
    """
    if isinstance(sweep.learners, list) and train.learner not in sweep.learners:
        return
    family, refused = learner_of(train.learner), []
    tasks = sorted(family.tasks) if task == "auto" else [task]
    for one in tasks:
        try:
            family.check_metrics(one, train.params)
        except ConfigError as problem:
            refused.append(problem)
    if len(refused) == len(tasks):
        raise refused[0]
