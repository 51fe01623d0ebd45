"""The trials of one sweep on disk: an Optuna study for each family, in SQLite or in a database by its address."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from synml_dagster.learners import in_order
from synml_dagster.processes import this_process
from synml_dagster.tuning.aims import Aims
from synml_dagster.tuning.families import Candidate, Family, Question
from synml_dagster.tuning.feature_choice import said
from synml_dagster.tuning.ledger.database import at_once, clock, open_database
from synml_dagster.tuning.ledger.outcome import TrialOutcome
from synml_dagster.tuning.ledger.owner import HEARD, OWNER, UNHEARD_SECONDS
from synml_dagster.tuning.ledger.patience import PATIENCE, patiently
from synml_dagster.tuning.ledger.record import record_of
from synml_dagster.tuning.ledger.takeover import KILLED, take_along, take_over, tell
from synml_dagster.tuning.ledger.turn import Turns
from synml_dagster.tuning.result import TrialRecord
from synml_dagster.tuning.rungs import Curve
from synml_dagster.tuning.samplers import sampler
from synml_dagster.tuning.shares import Standing

if TYPE_CHECKING:
    import optuna

BUDGET = "budget"
_NO_ANSWER = (KILLED, BUDGET)
"""Why trials ended that say nothing of their parameters."""
_SAY_SECONDS = 10.0
T = TypeVar("T")
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
    patience
        For how many seconds a database that is away, or has let this one lose a deadlock, is asked again.
    unheard
        For how many seconds a trial of another host counts as running of which nothing is heard, by the database's clock.
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
        aims: Aims | None = None,
        patience: float = PATIENCE,
        unheard: float = UNHEARD_SECONDS,
    ) -> None:
        import optuna

        self.name = name_of(key, seed)
        self._optuna, self._seed, self._sampler = optuna, seed, sampler
        self._states = optuna.trial.TrialState
        self._turns, self._patience, self._unheard = Turns(str(storage)), patience, unheard
        self.maximize, self.aims = maximize, aims or Aims()
        costs: list[Literal["maximize", "minimize"]] = ["minimize" for _ in self.aims.against]
        self._directions = ["maximize" if maximize else "minimize", *costs]
        self.families = {f.name: f for f in families}
        self._studies: dict[str, optuna.Study] = {}
        self._running: dict[int, tuple[str, optuna.trial.Trial]] = {}
        self._say_next = 0.0
        self._read: dict[str, list[optuna.trial.FrozenTrial]] | None = None
        self._forgotten: dict[str, set[int]] | None = None
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        with self.turn():
            self._database = open_database(str(storage))
            now = clock(self._database)
            for family in families:
                self._studies[family.name] = self._open_study(family)
            for study in (*self._studies.values(), *self._beside()):
                take_over(study, self._database, now, self.aims, unheard=unheard)
            self.resumed = sum(t.value is not None for t in self.trials())

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Let one sweep at a time make the database, take over what killed ones left, and begin a trial.

        Within it one reading answers whatever is asked of the ledger, since a reading takes half a dozen statements.
        """
        with self._turns.turn():
            self._read, self._forgotten = {}, {}
            try:
                yield
            finally:
                self._read = self._forgotten = None

    def patiently(self, work: Callable[[], T]) -> T:
        """Return what `work`, which may be done twice, returns; once more where the database was away or busy meanwhile.

        Within a turn it is done once: the lock may have gone with the database, and the turn has to be had again.
        """
        return work() if self._read is not None else patiently(work, self._reopen, self._patience)

    def _reopen(self) -> None:
        """Read the studies anew, and let be asked again what a try has begun whose answer was lost on its way back.

        Optuna remembers what it has begun or ended also where the database has taken it back.
        """
        for family, study in self._studies.items():
            self._studies[family] = self._optuna.load_study(
                study_name=study.study_name, storage=self._database
            )
        with self.turn():
            self.take_over()

    def _all(self, study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
        """Return the trials of a study: in a turn those that there were when it was first asked."""
        if self._read is None:
            return self.patiently(lambda: study.get_trials(deepcopy=False))
        if study.study_name not in self._read:
            self._read[study.study_name] = study.get_trials(deepcopy=False)
        return self._read[study.study_name]

    def _given_up(self, study: optuna.Study) -> set[int]:
        """Return the numbers of failed trials that are to be tried again."""
        if self._forgotten is None:
            return self.patiently(lambda: set(study.user_attrs.get(_FORGOTTEN, ())))
        if study.study_name not in self._forgotten:
            self._forgotten[study.study_name] = set(study.user_attrs.get(_FORGOTTEN, ()))
        return self._forgotten[study.study_name]

    def _beside(self) -> list[optuna.Study]:
        """Return the studies of the same key over other ranges or of other families: another sweep may have just begun one."""
        own = {study.study_name for study in self._studies.values()}
        return [
            self._optuna.load_study(study_name=name, storage=self._database)
            for name in self._optuna.study.get_all_study_names(self._database)
            if name.startswith(f"{self.name}/") and name not in own
        ]

    def say_alive(self) -> None:
        """Tell other hosts, every ten seconds, that the trials of this sweep run."""
        if time.monotonic() < self._say_next:
            return
        self._say_next = time.monotonic() + _SAY_SECONDS

        def say() -> None:
            now = clock(self._database)
            for family, trial in list(self._running.values()):
                with suppress(self._optuna.exceptions.UpdateFinishedTrialError):  # taken over: see tell
                    self._say(family, trial, {HEARD: now})

        self.patiently(say)

    def take_over(self) -> None:
        """Let trials of other sweeps whose process is gone be asked again."""
        now = clock(self._database)
        own = {f: {t.number for g, t in self._running.values() if g == f} for f in self._studies}
        for family, study in self._studies.items():
            take_over(study, self._database, now, self.aims, own[family], self._unheard)

    def forget_failures(self) -> None:
        """Let failed trials be tried again by the next sweep: where all have failed, the cause may be mended by then."""

        def forget() -> None:
            for study in self._studies.values():
                failed = [t.number for t in study.get_trials(deepcopy=False, states=[self._states.FAIL])]
                if failed:
                    study.set_user_attr(_FORGOTTEN, failed)

        self.patiently(forget)

    def _counted(self, study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
        """Return the trials that say, or may come to say, something of their parameters."""
        forgotten = self._given_up(study)
        return [
            t
            for t in self._all(study)
            if t.user_attrs.get("reason") not in _NO_ANSWER and t.number not in forgotten
        ]

    def _open_study(self, family: Family) -> optuna.Study:
        prefix = f"{self.name}/{family.name}/"
        # A range without a condition is called as it was before there were any.
        ranges = {k: v.model_dump(exclude=set() if v.when else {"when"}) for k, v in family.space.items()}
        name = prefix + _hash(ranges)
        summaries = self._optuna.study.get_all_study_names(self._database)
        if name in summaries:
            return self._optuna.load_study(study_name=name, storage=self._database)
        with at_once(self._database):  # a study that is there is not asked again what it takes along
            study = self._optuna.create_study(
                storage=self._database, study_name=name, directions=self._directions
            )
            for other in sorted(n for n in summaries if n.startswith(prefix)):
                take_along(self._optuna.load_study(study_name=other, storage=self._database), study, family)
        return study

    def waiting(self) -> Question | None:
        """Return the question that a killed sweep left, the earliest of them, as running from now on."""
        found = [
            (trial.user_attrs.get("order", 0), family, trial.user_attrs)
            for family, study in self._studies.items()
            for trial in self._all(study)
            if trial.state == self._states.WAITING
        ]
        if not found:
            return None
        _, family, told = min(found, key=lambda one: one[:2])
        return self._ask(family, told)

    def ask_candidate(self, order: int, family: str, candidate: Candidate) -> Question:
        """Return a candidate's question, as running from now on.

        It is tried as it is: a value outside its range stays, as one does whose range is not searched beside its others, and
        what it does not say is left to the family's default.
        """
        ranges = self.families[family].space
        inside = {
            k: v
            for k, v in candidate.params.items()
            if k in ranges and ranges[k].holds(v) and ranges[k].applies(candidate.params)
        }
        fixed = {k: v for k, v in candidate.params.items() if k not in inside}
        told = {
            "order": order,
            "origin": candidate.name,
            "fixed": fixed,
            "unsaid": [k for k in ranges if k not in inside],
        }
        return self._ask(family, told, inside)

    def ask_search(self, order: int, family: str) -> Question:
        """Return what the family's sampler asks next, as running from now on."""
        return self._ask(family, {"order": order, "origin": "search"})

    def _ask(self, family: str, told: Mapping[str, Any], params: Mapping[str, Any] | None = None) -> Question:
        """Begin a trial: one that waits where there is one, with `params` where they are given, and as the sampler says else."""
        study = self._studies[family]
        ended, asked, now = self._ended(study), self._asked(study), clock(self._database)
        with at_once(self._database):
            if params is not None:
                study.enqueue_trial(dict(params), skip_if_exists=False)
            study.sampler = sampler(self._sampler, self._seed, asked)
            trial = study.ask()
            for name, value in {**told, HEARD: now, OWNER: this_process()}.items():
                trial.set_user_attr(name, value)
            unsaid, chosen = told.get("unsaid", ()), dict(told.get("fixed", {}))
            for name, r in in_order(self.families[family].space).items():
                if name not in unsaid and r.applies(chosen):
                    chosen[name] = r.suggest(trial, name)
        question = Question(
            order=int(told.get("order", trial.number)),
            family=family,
            params=chosen,
            origin=str(told.get("origin", "search")),
            curves=tuple(curve for curve, _ in ended),
            pruned=tuple(pruned for _, pruned in ended),
        )
        self._running[question.order] = (family, trial)
        return question

    def _ended(self, study: optuna.Study) -> list[tuple[Curve, bool]]:
        """Return the curves of the trials that the sampler was told of, and which of them were stopped."""
        ended = (self._states.COMPLETE, self._states.PRUNED)
        done = [t for t in self._all(study) if t.state in ended]
        answers = [json.loads(t.user_attrs["outcome"]) for t in done if "outcome" in t.user_attrs]
        return [(tuple(one["curve"]), bool(one.get("pruned"))) for one in answers if one.get("curve")]

    def note(self, question: Question, outcome: TrialOutcome, seconds: float) -> None:
        """Keep an answer whose turn to be told to the sampler has not come."""
        family, trial = self._running[question.order]
        self._keep(
            lambda: self._say(family, trial, {"seconds": round(seconds, 3), "outcome": outcome.to_json()})
        )

    def tell(self, question: Question, outcome: TrialOutcome) -> None:
        """Tell the sampler an answer.

        Where this process had not been heard of for too long, another host has taken the trial over: its answer will count.
        """
        family, trial = self._running[question.order]
        self._keep(lambda: tell(self._studies[family], trial._trial_id, trial.number, outcome, self.aims))
        del self._running[question.order]

    def fail(self, question: Question, reason: str, seconds: float = 0.0) -> None:
        """Note that a question has no answer, and why."""
        family, trial = self._running[question.order]

        def keep() -> None:
            self._say(family, trial, {"reason": reason[:1000], "seconds": round(seconds, 3)})
            self._studies[family].tell(trial.number, state=self._states.FAIL)

        self._keep(keep)
        del self._running[question.order]

    def _say(self, family: str, trial: optuna.trial.Trial, told: Mapping[str, Any]) -> None:
        """Keep attributes of a trial, by the study as it was last opened."""
        for name, value in told.items():
            self._studies[family]._storage.set_trial_user_attr(trial._trial_id, name, value)

    def _keep(self, write: Callable[[], None]) -> None:
        """Write what has come of a trial, all of it or nothing; nothing where it has ended, since another process had taken it over.

        A write whose answer was lost on the way back is done again, and finds the trial as it has left it.
        """

        def once() -> None:
            with suppress(self._optuna.exceptions.UpdateFinishedTrialError), at_once(self._database):
                write()

        self.patiently(once)

    def known_answer(self, question: Question) -> TrialOutcome | None:
        """Return the answer to the same parameters of the same family, where a trial had one."""
        done = [t for t in self._all(self._studies[question.family]) if t.state == self._states.COMPLETE]
        for trial in done:
            if said({**trial.user_attrs.get("fixed", {}), **trial.params}) == said(question.params):
                answer = trial.user_attrs.get("outcome")
                return TrialOutcome.from_json(answer) if answer else TrialOutcome(trial.values[0])
        return None

    def trials(self) -> list[TrialRecord]:
        """Return all trials that have ended, and those of this process that have an answer, by number."""
        found = []
        for family, study in self._studies.items():
            for trial in self._all(study):
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
            for study in (*self._studies.values(), *self._beside())
            for t in self._all(study)
        ]
        return max(orders, default=-1) + 1

    def spent(self) -> int:
        """Return how many trials count: all that have ended but those that a kill or the budget ended."""
        return sum(t.state.is_finished() for study in self._studies.values() for t in self._counted(study))

    def begun(self) -> int:
        """Return how many trials count or may come to: those that have ended, and those that any sweep runs."""
        waits = self._states.WAITING
        return sum(t.state != waits for study in self._studies.values() for t in self._counted(study))

    def elsewhere(self) -> int:
        """Return how many trials other sweeps run."""
        return self._in(self._states.RUNNING) - len(self._running)

    def waits(self) -> bool:
        """Return whether a killed sweep has left a question."""
        return self._in(self._states.WAITING) > 0

    def _in(self, state: optuna.trial.TrialState) -> int:
        return sum(t.state == state for s in self._studies.values() for t in self._all(s))

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
        return self.patiently(lambda: self._importance(self._studies[family]))

    def _importance(self, study: optuna.Study) -> dict[str, float]:
        values = {t.values[0] for t in study.get_trials(deepcopy=False, states=[self._states.COMPLETE])}
        if len(values) < 4:
            return {}
        try:
            evaluator = self._optuna.importance.PedAnovaImportanceEvaluator()
            sign = -1.0 if self.maximize else 1.0  # with a target of its own it takes less for better
            found = self._optuna.importance.get_param_importances(
                study,
                evaluator=evaluator,
                target=(lambda t: sign * t.values[0]) if self.aims.against else None,
            )
        except (ValueError, RuntimeError):
            return {}
        return {name: float(share) for name, share in found.items()}

    def _asked(self, study: optuna.Study) -> int:
        """How many questions came before: the same in a resumed search as in an unbroken one."""
        return len(self._counted(study))


def _hash(told: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:16]
