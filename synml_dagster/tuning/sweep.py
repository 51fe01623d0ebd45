"""A sweep: candidates of each family first, then Optuna's questions, several trials at a time, every answer on disk."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from synml_dagster.errors import ConfigError, TrainingError
from synml_dagster.tuning.aims import Aims
from synml_dagster.tuning.families import DEFAULT, Family, Question, first_questions
from synml_dagster.tuning.ledger import BUDGET, PATIENCE, Ledger, TrialOutcome, typed
from synml_dagster.tuning.result import SweepResult, TrialRecord
from synml_dagster.tuning.shares import next_family

_FAILURES_AT_FIRST = 3
_LET_GO_SECONDS = 5.0
"""How long a cancelled trial is waited for."""
_CANCEL_SECONDS = 0.5
_OTHERS_SECONDS = 1.0


def run_sweep(
    train: Callable[[Question], TrialOutcome],
    *,
    families: Sequence[Family],
    storage: str | Path,
    key: Mapping[str, Any],
    metric: str,
    maximize: bool,
    trials: int,
    minutes: float,
    seed: int = 0,
    sampler: str = "tpe",
    aims: Aims | None = None,
    parallel: int = 1,
    cancel: Callable[[Question], None] | None = None,
    on_trial: Callable[[TrialRecord, TrialRecord | None], None] | None = None,
    patience: float = PATIENCE,
) -> SweepResult:
    """Search the families for the parameters that `train` scores best.

    First come the families' candidates, the default of the first family before all; then each next trial goes to the
    family that is furthest below its share (`next_family`), whose sampler asks. What is asked depends on the seed and on
    the answers before, never on which of several trials at a time ends first: a question waits for the answers to all
    but the last `2 * parallel - 1` before it, and sees no later ones.

    Trials live in `storage` under a name made of `key`: the same key goes on where an interrupted sweep stopped, another
    starts afresh. Trials that a killed process left running are asked again with their parameters. More trials, another
    family or other ranges keep the trials that still fit. Two sweeps over one key at the same time share its trials: together
    they try as many as each is to, and the one that has none left waits for those of the other.

    Parameters
    ----------
    train : callable
        Trains what a question says and returns the metric on held-out rows; called from threads, as many as `parallel`.
    storage
        A file for SQLite, or a database's address.
    aims
        What the metric is weighed against, and the limits that the winner holds.
    cancel : callable, optional
        Stops the training of a question, from another thread; called when the minutes are over.
    on_trial : callable, optional
        Called with each trial that ended or failed, and the best one so far, None before the first.
    patience
        For how many seconds a database that is away in the midst of the sweep is asked again.

    Raises
    ------
    ConfigError
        There is nothing to search and nothing to try.
    TrainingError
        The first three trials failed, or all; the last one's error is named and chained.
    SetupError
        The database cannot be reached at first, or later for longer than `patience`, or a sampler's package is missing.
    """
    if not any(f.space or f.portfolio for f in families):
        raise ConfigError(
            "sweep: there is nothing to search: every parameter of sweep.space is fixed in train"
        )
    with typed(str(storage)) if "://" in str(storage) else nullcontext():
        ledger = Ledger(
            storage,
            families,
            key,
            maximize=maximize,
            seed=seed,
            sampler=sampler,
            aims=aims,
            patience=patience,
        )
        resumed = ledger.resumed
        _Search(
            train, families, ledger, trials, time.monotonic() + 60 * minutes, parallel, cancel, on_trial
        ).run()
        return _result(ledger, metric, resumed)


class _Search:
    """The loop of one sweep: asks in this thread, trains in others."""

    def __init__(
        self,
        train: Callable[[Question], TrialOutcome],
        families: Sequence[Family],
        ledger: Ledger,
        trials: int,
        deadline: float,
        parallel: int,
        cancel: Callable[[Question], None] | None,
        on_trial: Callable[[TrialRecord, TrialRecord | None], None] | None,
    ) -> None:
        self.train, self.families, self.ledger, self.trials = train, families, ledger, trials
        self.deadline, self.parallel, self.cancel, self.on_trial = deadline, parallel, cancel, on_trial
        self.window = 1 if parallel == 1 else 2 * parallel
        self.untold: deque[Question] = deque()
        self.answers: dict[int, TrialOutcome | Exception] = {}
        self.seconds: dict[int, float] = {}
        self.running: dict[int, Question] = {}
        self.ended: queue.SimpleQueue[tuple[Question, TrialOutcome | BaseException, float]] = (
            queue.SimpleQueue()
        )
        self.failures: list[str] = []
        self.succeeded = ledger.resumed > 0

    def run(self) -> None:
        """Ask and wait until there are enough trials, or no time is left."""
        try:
            while True:
                while len(self.running) < self.parallel and self._ask():
                    pass
                if not self.running:
                    if not self._waits_for_others():
                        break
                    continue
                self._wait()
                if self._over() and self.ledger.spent() + len(self.answers) > 0:
                    self._let_go()
            while self.untold:
                self._tell_first()
        except BaseException:
            # Whoever interrupts the sweep wants its jobs gone; what they were is asked again by the next one.
            with suppress(Exception):  # the session may be gone, and is not what is to be said
                deque(self._cancelled(), maxlen=0)
            raise

    def _over(self) -> bool:
        return time.monotonic() >= self.deadline

    def _ask(self) -> bool:
        """Start the next trial; False where it has to wait, or there is none."""
        while len(self.untold) >= self.window:
            if self.untold[0].order not in self.answers:
                return False
            self._tell_first()
        asked = self.ledger.patiently(self._begin)
        if asked is None:
            return False
        question, known = asked
        self.untold.append(question)
        if known is not None:
            self._note(question, known, 0.0)
            return True
        self.running[question.order] = question
        threading.Thread(
            target=self._work, args=(question,), name=f"trial-{question.order}", daemon=True
        ).start()
        return True

    def _begin(self) -> tuple[Question, TrialOutcome | None] | None:
        """Begin the next trial, and return it with what is known of its answer; None where there is none to begin."""
        # Alone: sweeps over one study together try as many as each is to, and never give two trials one number.
        with self.ledger.turn():
            counted = self.ledger.begun()
            if counted >= self.trials or (self._over() and self.ledger.spent() + len(self.untold) > 0):
                return None
            question = self._next_question()
            return (question, self.ledger.known_answer(question)) if question is not None else None

    def _next_question(self) -> Question | None:
        if (left := self.ledger.waiting()) is not None:
            return left
        asked, order = self.ledger.asked(), self.ledger.next_order()
        for family, candidate in first_questions(self.families):
            if (family, candidate.name) not in asked:
                return self.ledger.ask_candidate(order, family, candidate)
        if not any(f.space for f in self.families):
            return None
        chosen = next_family(self.families, self.ledger.standings(), self.ledger.maximize)
        return self.ledger.ask_search(order, chosen.name)

    def _waits_for_others(self) -> bool:
        """Wait a second where other sweeps over this study run trials that this one counts on; False where none do, or time is over."""
        while self.untold:  # they may be waiting for these
            self._tell_first()
        if self._over() and self.ledger.spent():
            return False

        def look() -> bool | None:
            with self.ledger.turn():
                self.ledger.take_over()
                if self.ledger.elsewhere():
                    return None
                return self.ledger.begun() < self.trials and self.ledger.waits()

        if (left := self.ledger.patiently(look)) is not None:
            return left
        time.sleep(_OTHERS_SECONDS)
        return True

    def _work(self, question: Question) -> None:
        began = time.monotonic()
        try:
            answer: TrialOutcome | BaseException = self.train(question)
        except BaseException as problem:
            answer = problem
        self.ended.put((question, answer, time.monotonic() - began))

    def _wait(self) -> None:
        """Take the next trial that ends; come back without one where the time is over first."""
        self.ledger.say_alive()
        left = self.deadline - time.monotonic()
        finished = left < 1 and self.ledger.spent() + len(self.answers) > 0
        try:
            # A wait without an end could not be interrupted by a signal on every platform.
            timeout = min(1.0, left) if finished and left > 0 else 1.0
            question, answer, seconds = self.ended.get(timeout=timeout)
        except queue.Empty:
            return
        self._take(question, answer, seconds)

    def _take(self, question: Question, answer: TrialOutcome | BaseException, seconds: float) -> None:
        self.running.pop(question.order, None)
        if isinstance(answer, TrialOutcome) and not math.isfinite(answer.value):
            answer = TrainingError(
                f"the metric is {answer.value}: the answers are not finite, or nothing that is held out counts"
            )
        if isinstance(answer, Exception):
            self.answers[question.order] = answer
            self.seconds[question.order] = seconds
            self.failures.append(str(answer))
            self._say_failed(question, answer, seconds)
            if not self.succeeded and len(self.failures) >= min(_FAILURES_AT_FIRST, self.trials):
                self._end_all_failed(question, answer)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            self._note(question, answer, seconds)

    def _say_failed(self, question: Question, answer: Exception, seconds: float) -> None:
        if self.on_trial is not None:
            record = TrialRecord(
                number=question.order,
                params=dict(question.params),
                value=None,
                seconds=round(seconds, 3),
                state="fail",
                learner=question.family,
                origin=question.origin,
                reason=str(answer)[:1000],
            )
            self.on_trial(record, self._best(self.ledger.trials()))

    def _best(self, records: Sequence[TrialRecord]) -> TrialRecord | None:
        sign = -1 if self.ledger.maximize else 1
        done = [r for r in records if r.value is not None and self.ledger.aims.held_by(r)]
        return min(done, key=lambda r: (sign * (r.value or 0.0), r.number), default=None)

    def _end_all_failed(self, question: Question, answer: Exception) -> None:
        for left in list(self.untold):
            if left.order in self.answers:
                self.ledger.fail(left, str(self.answers[left.order]), self.seconds.get(left.order, 0.0))
        self.ledger.forget_failures()
        raise TrainingError(
            f"sweep: {len(self.failures)} trials in a row failed, the last one, {question.order}, "
            f"{question.family} with {dict(question.params)}: {answer}"
        ) from answer

    def _note(self, question: Question, outcome: TrialOutcome, seconds: float) -> None:
        self.succeeded = True
        self.ledger.note(question, outcome, seconds)
        self.answers[question.order] = outcome
        if self.on_trial is None:
            return
        records = self.ledger.trials()
        for mine in [r for r in records if r.number == question.order][:1]:
            self.on_trial(mine, self._best(records))

    def _tell_first(self) -> None:
        question = self.untold.popleft()
        answer = self.answers.pop(question.order)
        if isinstance(answer, Exception):
            self.ledger.fail(question, str(answer) or type(answer).__name__, self.seconds[question.order])
        else:
            self.ledger.tell(question, answer)

    def _cancelled(self) -> Iterator[tuple[Question, TrialOutcome | BaseException, float]]:
        """Cancel what runs until all of it has ended, or too long; yield what ends.

        Again and again, because a trial whose thread has not come to starting its job has nothing to cancel yet.
        """
        end = time.monotonic() + (_LET_GO_SECONDS if self.cancel is not None else 1e9)
        again = 0.0
        while self.running and (now := time.monotonic()) < end:
            if self.cancel is not None and now >= again:
                again = now + _CANCEL_SECONDS
                for question in list(self.running.values()):
                    self.cancel(question)
            try:
                question, answer, seconds = self.ended.get(timeout=0.1)
            except queue.Empty:
                continue
            self.running.pop(question.order, None)
            yield question, answer, seconds

    def _let_go(self) -> None:
        """End what runs: the time is over, and a trial that was cut off says nothing of its parameters."""
        for question, answer, seconds in self._cancelled():
            if isinstance(answer, TrialOutcome):
                self._take(question, answer, seconds)
        untold = [q for q in self.untold if q.order not in self.answers]
        for question in untold:
            self.untold.remove(question)
            self.running.pop(question.order, None)
            self.ledger.fail(question, BUDGET)


def _result(ledger: Ledger, metric: str, resumed: int) -> SweepResult:
    records = ledger.trials()
    result = SweepResult(
        metric=metric,
        direction="maximize" if ledger.maximize else "minimize",
        trials=records,
        resumed=resumed,
        study=ledger.name,
        against=list(ledger.aims.against),
        most_kilobytes=ledger.aims.most_kilobytes,
        most_milliseconds=ledger.aims.most_milliseconds,
    )
    board = result.leaderboard()
    if not board:
        ledger.forget_failures()
        reasons = [f"{r.learner} with {r.params}: {r.reason}" for r in records if r.reason]
        raise TrainingError(f"sweep: no trial succeeded{'; the last one, ' + reasons[-1] if reasons else ''}")
    if not (able := result.eligible()):
        nearest = min(board, key=lambda t: max(ledger.aims.excess(t).values()))
        raise TrainingError(
            f"sweep: none of {len(board)} trials holds the limits, {ledger.aims.said()}; the nearest, {nearest.number} ({nearest.learner}), has {nearest.kilobytes} kB and takes {nearest.milliseconds} ms for 1,000 rows. Raise sweep.most_kilobytes or sweep.most_milliseconds, search smaller models (sweep.space), or more trials."
        )
    best = able[0]
    return result.model_copy(
        update={
            "learner": best.learner,
            "best_params": best.params,
            "best_value": best.value,
            "best_trial": best.number,
            "importance": ledger.importance(best.learner),
        }
    )


def default_of(result: SweepResult, family: str) -> TrialRecord | None:
    """Return the trial of a family's defaults, where it has a value."""
    done = [t for t in result.trials if t.origin == DEFAULT and t.learner == family and t.value is not None]
    return min(done, key=lambda t: t.number, default=None)
