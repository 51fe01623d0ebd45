"""The trials of one sweep on disk: an Optuna study for each family, in SQLite or in a database by its address."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from synml_dagster.tuning.families import Candidate, Family, Question
from synml_dagster.tuning.ledger.database import open_database, turn_at
from synml_dagster.tuning.ledger.outcome import TrialOutcome
from synml_dagster.tuning.ledger.owner import owner
from synml_dagster.tuning.ledger.record import record_of
from synml_dagster.tuning.ledger.takeover import KILLED, take_along, take_over, tell
from synml_dagster.tuning.result import TrialRecord
from synml_dagster.tuning.rungs import Curve
from synml_dagster.tuning.samplers import sampler
from synml_dagster.tuning.shares import Standing

if TYPE_CHECKING:
    import optuna

BUDGET = "budget"
_NO_ANSWER = (KILLED, BUDGET)
"""Why trials ended that say nothing of their parameters."""
_FORGOTTEN = "forgotten"
"""What a study calls the numbers of failed trials that are to be tried again."""


def name_of(key: Mapping[str, Any], seed: int) -> str:
    """Return the name that trials of one key and seed are kept under."""
    return _hash({"key": dict(key), "seed": seed})


class Ledger:
    """What has been asked and answered; survives the process, and is shared by sweeps that ask the same at the same time.

    Parameters
    ----------
    storage
        A file for SQLite, or the address of a database (`postgresql+psycopg2://...`).
    key
        What trials have in common. A study is named by it, its family and its ranges; trials of the same key and family
        over other ranges are taken along where they fit.
    """

    def __init__(
        self,
        storage: str | Path,
        families: Sequence[Family],
        key: Mapping[str, Any],
        *,
        maximize: bool,
        seed: int,
        sampler: str = "tpe",
    ) -> None:
        import optuna

        self.name = name_of(key, seed)
        self._optuna, self._seed, self._sampler = optuna, seed, sampler
        self._states = optuna.trial.TrialState
        self._storage = str(storage)
        self._direction: Literal["maximize", "minimize"] = "maximize" if maximize else "minimize"
        self.maximize = maximize
        self.families = {f.name: f for f in families}
        self._studies: dict[str, optuna.Study] = {}
        self._running: dict[int, tuple[str, optuna.trial.Trial]] = {}
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        with self.turn():
            database = open_database(self._storage)
            for family in families:
                self._studies[family.name] = self._open_study(database, family)
            self._others = self._studies_beside(database)
            for other in self._others:
                take_over(other)
            self.resumed = sum(t.value is not None for t in self.trials())

    def turn(self) -> AbstractContextManager[None]:
        """Let one sweep at a time make the database, take over what killed ones left, and begin a trial."""
        return turn_at(self._storage)

    def _studies_beside(self, database: Any) -> list[optuna.Study]:
        """Return the studies of the same key over other ranges or of other families."""
        own = {study.study_name for study in self._studies.values()}
        return [
            self._optuna.load_study(study_name=name, storage=database)
            for name in self._optuna.study.get_all_study_names(database)
            if name.startswith(f"{self.name}/") and name not in own
        ]

    def forget_failures(self) -> None:
        """Let failed trials be tried again by the next sweep: where all have failed, the cause may be mended by then."""
        for study in self._studies.values():
            failed = [t.number for t in study.get_trials(deepcopy=False, states=[self._states.FAIL])]
            if failed:
                study.set_user_attr(_FORGOTTEN, failed)

    def _counted(self, study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
        """Return the trials that say, or may come to say, something of their parameters."""
        forgotten = set(study.user_attrs.get(_FORGOTTEN, ()))
        return [
            t
            for t in study.get_trials(deepcopy=False)
            if t.user_attrs.get("reason") not in _NO_ANSWER and t.number not in forgotten
        ]

    def _open_study(self, database: Any, family: Family) -> optuna.Study:
        prefix = f"{self.name}/{family.name}/"
        name = prefix + _hash({k: v.model_dump() for k, v in family.space.items()})
        summaries = self._optuna.study.get_all_study_names(database)
        new = name not in summaries
        study = self._optuna.create_study(
            storage=database, study_name=name, direction=self._direction, load_if_exists=True
        )
        if new:
            for other in sorted(n for n in summaries if n.startswith(prefix)):
                take_along(self._optuna.load_study(study_name=other, storage=database), study, family)
        take_over(study)
        return study

    def waiting(self) -> Question | None:
        """Return the question that a killed sweep left, the earliest of them, as running from now on."""
        found = [
            (trial.user_attrs.get("order", 0), family)
            for family, study in self._studies.items()
            for trial in study.get_trials(deepcopy=False, states=[self._states.WAITING])
        ]
        if not found:
            return None
        _, family = min(found)
        return self._ask(family)

    def ask_candidate(self, order: int, family: str, candidate: Candidate) -> Question:
        """Return a candidate's question, as running from now on.

        It is tried as it is: a value outside its range stays, and what it does not say is left to the family's default.
        """
        ranges = self.families[family].space
        inside = {k: v for k, v in candidate.params.items() if k in ranges and ranges[k].holds(v)}
        fixed = {k: v for k, v in candidate.params.items() if k not in inside}
        told = {
            "order": order,
            "origin": candidate.name,
            "fixed": fixed,
            "unsaid": [k for k in ranges if k not in inside],
        }
        self._studies[family].enqueue_trial(inside, user_attrs=told, skip_if_exists=False)
        return self._ask(family)

    def ask_search(self, order: int, family: str) -> Question:
        """Return what the family's sampler asks next, as running from now on."""
        return self._ask(family, {"order": order, "origin": "search"})

    def _ask(self, family: str, told: Mapping[str, Any] | None = None) -> Question:
        study = self._studies[family]
        study.sampler = sampler(self._sampler, self._seed, self._asked(study))
        trial = study.ask()
        for name, value in (told or {}).items():
            trial.set_user_attr(name, value)
        trial.set_user_attr("owner", owner())
        attrs = trial.user_attrs
        unsaid = attrs.get("unsaid", ())
        params = {
            name: r.suggest(trial, name)
            for name, r in self.families[family].space.items()
            if name not in unsaid
        }
        question = Question(
            order=int(attrs.get("order", trial.number)),
            family=family,
            params={**attrs.get("fixed", {}), **params},
            origin=str(attrs.get("origin", "search")),
            curves=self._curves(study),
        )
        self._running[question.order] = (family, trial)
        return question

    def _curves(self, study: optuna.Study) -> tuple[Curve, ...]:
        """Return the curves of the trials that the sampler was told of."""
        done = study.get_trials(deepcopy=False, states=[self._states.COMPLETE, self._states.PRUNED])
        said = [json.loads(t.user_attrs["outcome"]) for t in done if "outcome" in t.user_attrs]
        return tuple(tuple(one["curve"]) for one in said if one.get("curve"))

    def note(self, question: Question, outcome: TrialOutcome, seconds: float) -> None:
        """Keep an answer whose turn to be told to the sampler has not come."""
        _, trial = self._running[question.order]
        trial.set_user_attr("seconds", round(seconds, 3))
        trial.set_user_attr("outcome", outcome.to_json())

    def tell(self, question: Question, outcome: TrialOutcome) -> None:
        """Tell the sampler an answer."""
        family, trial = self._running.pop(question.order)
        tell(self._studies[family], trial.number, outcome)

    def fail(self, question: Question, reason: str, seconds: float = 0.0) -> None:
        """Note that a question has no answer, and why."""
        family, trial = self._running.pop(question.order)
        trial.set_user_attr("reason", reason[:1000])
        trial.set_user_attr("seconds", round(seconds, 3))
        self._studies[family].tell(trial, state=self._states.FAIL)

    def known_answer(self, question: Question) -> TrialOutcome | None:
        """Return the answer to the same parameters of the same family, where a trial had one."""
        for trial in self._studies[question.family].get_trials(
            deepcopy=False, states=[self._states.COMPLETE]
        ):
            if {**trial.user_attrs.get("fixed", {}), **trial.params} == dict(question.params):
                said = trial.user_attrs.get("outcome")
                return TrialOutcome.from_json(said) if said else TrialOutcome(trial.value or 0.0)
        return None

    def trials(self) -> list[TrialRecord]:
        """Return all trials that have ended, and those of this process that have an answer, by number."""
        found = []
        for family, study in self._studies.items():
            for trial in study.get_trials(deepcopy=False):
                record = record_of(trial, family)
                answered = "outcome" in trial.user_attrs and record.number in self._running
                if trial.state.is_finished() or answered:
                    found.append(record)
        return sorted(found, key=lambda r: (r.number, r.state != "complete"))

    def asked(self) -> set[tuple[str, str]]:
        """Return (family, origin) of all trials that have or may get an answer."""
        return {
            (family, str(t.user_attrs.get("origin")))
            for family, study in self._studies.items()
            for t in self._counted(study)
        }

    def next_order(self) -> int:
        """Return the number of the next new trial: that of no other of this key, since answers are kept by it."""
        orders = [
            int(t.user_attrs.get("order", t.number))
            for study in (*self._studies.values(), *self._others)
            for t in study.get_trials(deepcopy=False)
        ]
        return max(orders, default=-1) + 1

    def spent(self) -> int:
        """Return how many trials count: all but those that a kill or the budget ended."""
        return sum(t.state.is_finished() for study in self._studies.values() for t in self._counted(study))

    def standings(self) -> dict[str, Standing]:
        """Return how each family has done, by what its sampler was told."""
        better = max if self.maximize else min
        found = {}
        for family, study in self._studies.items():
            trials = self._counted(study)
            done = [record_of(t, family) for t in trials if t.state == self._states.COMPLETE]
            if not done:
                continue
            best = better(done, key=lambda r: r.value or 0.0)
            searched = sum(t.user_attrs.get("origin") == "search" for t in trials)
            found[family] = Standing(best.value, best.spread or 0.0, searched)
        return found

    def importance(self, family: str) -> dict[str, float]:
        """Return by parameter its part of the metric's variance (PED-ANOVA); none for a handful of trials."""
        study = self._studies[family]
        values = {t.value for t in study.get_trials(deepcopy=False, states=[self._states.COMPLETE])}
        if len(values) < 4:
            return {}
        try:
            evaluator = self._optuna.importance.PedAnovaImportanceEvaluator()
            found = self._optuna.importance.get_param_importances(study, evaluator=evaluator)
        except (ValueError, RuntimeError):
            return {}
        return {name: float(share) for name, share in found.items()}

    def _asked(self, study: optuna.Study) -> int:
        """How many questions came before: the same in a resumed search as in an unbroken one."""
        return len(self._counted(study))


def _hash(told: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:16]
