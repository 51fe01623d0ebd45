"""A sweep: Optuna's TPE asks, the caller trains, and every answer is on disk before the next question."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synml_dagster.errors import ConfigError, TrainingError
from synml_dagster.learners.space import ParameterRange
from synml_dagster.tuning.result import SweepResult, TrialRecord
from synml_dagster.turns import take_turns

if TYPE_CHECKING:
    import optuna

_FAILURES_IN_A_ROW = 3
_ELSEWHERE_SECONDS = 3600.0
"""How long a trial of another host counts as running: its process cannot be asked."""


@dataclass(frozen=True)
class TrialOutcome:
    """What training with one choice of parameters gave on the validation rows."""

    value: float
    rounds: int | None = None


def run_sweep(
    train: Callable[[dict[str, Any]], TrialOutcome],
    *,
    space: Mapping[str, ParameterRange],
    storage: str | Path,
    key: Mapping[str, Any],
    metric: str,
    maximize: bool,
    trials: int,
    minutes: float,
    seed: int = 0,
    start: Mapping[str, Any] | None = None,
    on_trial: Callable[[TrialRecord, TrialRecord], None] | None = None,
) -> SweepResult:
    """Search `space` for the parameters that `train` scores best.

    The study lives in the SQLite file `storage`, under a name made of `key`: the same key goes on where an
    interrupted sweep stopped, another key (other rows, another space, another seed) starts afresh. Trials that a
    killed process left running are marked as failed, and run again with the parameters that they had. Two sweeps over
    one study at the same time share its trials: each ends when there are as many as were asked for, and leaves running
    what the other still tries.

    Parameters
    ----------
    train : callable
        Takes the chosen parameters, trains, and returns the metric on the validation rows.
    start : mapping, optional
        Parameters of the first trial, so that the sweep never ends below them.
    on_trial : callable, optional
        Called with each finished trial and the best one so far.

    Raises
    ------
    ConfigError
        The space is empty.
    TrainingError
        Three trials in a row failed, or none succeeded; the last trial's error is named and chained.
    """
    if not space:
        raise ConfigError(
            "sweep: there is nothing to search: every parameter of sweep.space is fixed in train"
        )
    import optuna

    direction = "maximize" if maximize else "minimize"
    name = _study_name(key, space, metric, seed)
    with _turn(storage):
        study = _open_study(Path(storage), name, direction, seed, optuna)
        finished = _complete(study, optuna)
        _ask_first(
            study, {k: v for k, v in (start or {}).items() if k in space and space[k].holds(v)}, optuna
        )

    failures = 0
    deadline = time.monotonic() + 60 * minutes
    while (done := _complete(study, optuna)) < trials and (time.monotonic() < deadline or done == 0):
        with _turn(
            storage
        ):  # a running trial without an owner would be taken for one that a killed process left
            trial = study.ask()
            trial.set_user_attr("owner", _owner())
        params = {parameter: r.suggest(trial, parameter) for parameter, r in space.items()}
        began = time.monotonic()
        try:
            outcome = train(params)
        except Exception as problem:
            trial.set_user_attr("failed", str(problem)[:1000])
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            failures += 1
            if failures >= _FAILURES_IN_A_ROW:
                raise TrainingError(
                    f"sweep: {failures} trials in a row failed, the last one, {trial.number}, with {params}: {problem}"
                ) from problem
            continue
        failures = 0
        trial.set_user_attr("rounds", outcome.rounds)
        trial.set_user_attr("seconds", round(time.monotonic() - began, 3))
        study.tell(trial, outcome.value)
        if on_trial:
            on_trial(_record(study.trials[trial.number]), _record(study.best_trial))
    return _result(study, metric, direction, finished, name)


def _turn(storage: str | Path) -> AbstractContextManager[None]:
    """Let one sweep at a time make the database, take over what killed ones left, and begin a trial."""
    busy = TrainingError(
        f"sweep: another process has been opening the study in {str(storage)!r} for 60 s; is it stuck? Ending it frees its lock."
    )
    return take_turns(f"{storage}.lock", busy)


def _complete(study: optuna.Study, optuna: Any) -> int:
    return len(study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE]))


def _study_name(key: Mapping[str, Any], space: Mapping[str, ParameterRange], metric: str, seed: int) -> str:
    told = {
        "key": dict(key),
        "space": {k: v.model_dump() for k, v in space.items()},
        "metric": metric,
        "seed": seed,
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _open_study(storage: Path, name: str, direction: str, seed: int, optuna: Any) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    storage.parent.mkdir(parents=True, exist_ok=True)
    database = optuna.storages.RDBStorage(
        f"sqlite:///{storage}", engine_kwargs={"connect_args": {"timeout": 60}}
    )
    # A sampler that goes on must not ask its first questions again, so the seed moves with what was answered.
    study = optuna.create_study(storage=database, study_name=name, direction=direction, load_if_exists=True)
    study.sampler = optuna.samplers.TPESampler(
        seed=seed + len(study.trials), n_startup_trials=5, multivariate=True
    )
    for trial in study.trials:
        if trial.state == optuna.trial.TrialState.RUNNING and not _lives(trial):
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            if params := trial.params or trial.system_attrs.get("fixed_params"):
                study.enqueue_trial(params, skip_if_exists=False)
    return study


def _owner() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _lives(trial: optuna.trial.FrozenTrial) -> bool:
    """Whether the process that runs a trial may still do so: another sweep over the same study, at the same time."""
    host, _, pid = str(trial.user_attrs.get("owner", "")).rpartition(":")
    if not host or f"{host}:{pid}" == _owner():
        return False
    if host != socket.gethostname():
        began = trial.datetime_start
        return began is not None and (datetime.now() - began).total_seconds() < _ELSEWHERE_SECONDS
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    return True


def _ask_first(study: optuna.Study, start: dict[str, Any], optuna: Any) -> None:
    """See that the start is tried, whenever no trial has finished with it and none is waiting to."""
    if not start:
        return
    states = optuna.trial.TrialState
    for trial in study.trials:
        params = trial.params or trial.system_attrs.get("fixed_params", {})
        if trial.state in (states.COMPLETE, states.WAITING) and all(
            params.get(k) == v for k, v in start.items()
        ):
            return
    if any(
        t.state == states.FAIL
        and all(t.params.get(k) == v for k, v in start.items())
        and t.user_attrs.get("failed")
        for t in study.trials
    ):
        return  # it was tried, and training itself failed
    study.enqueue_trial(start)


def _record(trial: optuna.trial.FrozenTrial) -> TrialRecord:
    return TrialRecord(
        number=trial.number,
        params=trial.params,
        value=trial.value,
        rounds=trial.user_attrs.get("rounds"),
        seconds=trial.user_attrs.get("seconds", 0.0),
        state=trial.state.name.lower(),
    )


def _result(study: optuna.Study, metric: str, direction: str, resumed: int, name: str) -> SweepResult:
    records = [_record(t) for t in study.trials if t.state.is_finished()]
    if not any(r.value is not None for r in records):
        raise TrainingError("sweep: no trial succeeded")
    best = study.best_trial
    return SweepResult(
        metric=metric,
        direction=direction,
        best_params=best.params,
        best_value=best.value,
        best_trial=best.number,
        trials=records,
        importance=_importance(study),
        resumed=resumed,
        study=name,
    )


def _importance(study: optuna.Study) -> dict[str, float]:
    """FileSplit of the metric's variance that each parameter explains (PED-ANOVA; none for a handful of trials)."""
    import optuna

    complete = [t for t in study.trials if t.state == optuna.trial.TrialState.COMPLETE]
    if len(complete) < 4 or len({t.value for t in complete}) < 2:
        return {}
    try:
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    except (ValueError, RuntimeError):
        return {}
    return {name: float(share) for name, share in found.items()}
