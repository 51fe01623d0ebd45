"""From rows to outcomes: one request a row, or several rows in one that is halved where it is refused."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from synml_dagster.services.answers.reading import Reader, SchemaMisfitError
from synml_dagster.services.answers.repair import Repairer
from synml_dagster.services.description import Documents, InputError, Service
from synml_dagster.services.description.paths import MISSING, find
from synml_dagster.services.engine.caller import Caller, Clock, SplitError
from synml_dagster.services.engine.outcome import AgainError, Outcome, RowError, Tally
from synml_dagster.services.engine.polling import finished
from synml_dagster.services.engine.request import Renderer, Request
from synml_dagster.services.engine.transport import Reply

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass
class Item:
    """What goes into one request: rows with their keys, and their documents where they share it."""

    keys: list[str]
    rows: list[Mapping[str, Any]]
    documents: list[Any] = field(default_factory=list)
    """One each, or the `InputError` of a row that has none."""
    weights: list[int] = field(default_factory=list)
    """Each document's part in what the request takes."""

    def part(self, places: Sequence[int]) -> Item:
        """Return the rows at some places."""

        def chosen(values: list[Any]) -> list[Any]:
            return [values[i] for i in places]

        return Item(chosen(self.keys), chosen(self.rows), chosen(self.documents), chosen(self.weights))

    def halves(self) -> tuple[Item, Item]:
        """Return the first half of the rows and the second."""
        middle = len(self.keys) // 2
        return self.part(range(middle)), self.part(range(middle, len(self.keys)))


class Asker:
    """Asks a service about rows.

    Parameters
    ----------
    service
        Its description.
    kind
        The type of the answers' column.
    caller
        What sends the requests.
    run_end
        When the run is over, by `time.time()`.
    """

    def __init__(self, service: Service, kind: pa.DataType, caller: Caller, run_end: float) -> None:
        self.service, self.caller, self.run_end = service, caller, run_end
        self.renderer = Renderer(service)
        self.reader = Reader(service.answer, kind)
        self.binary = service.answer.type == "binary"
        self._repairer = Repairer(service.answer.repair)

    async def ask(self, item: Item) -> list[Outcome]:
        """Return the outcome of each row of an item, in its order; nothing is raised for what happens to a row."""
        try:
            if self.service.documents:
                return await self._askable(item)
            return [await self._row(item.keys[0], item.rows[0])]
        except RowError as problem:  # of several documents as a whole
            return [Outcome(key, error=problem) for key in item.keys]

    async def _row(self, key: str, row: Mapping[str, Any]) -> Outcome:
        tally, clock = Tally(), Clock(self.run_end, self.service.policy.seconds_a_row)
        outcome = Outcome(key, tally=tally)
        try:
            request = self.renderer.request(row)
            reply, body = await self._answer(request, tally, clock)
            outcome.request_id = reply.request_id
            outcome.value = await self._value(request, reply, body, tally, clock)
        except InputError as problem:
            outcome.error = RowError("input", str(problem))
        except RowError as problem:
            outcome.error = problem
            problem.request_id = problem.request_id or outcome.request_id
        outcome.attempts = tally.calls
        return outcome

    async def _answer(self, request: Request, tally: Tally, clock: Clock) -> tuple[Reply, Any]:
        poll = self.service.poll
        # What begins an operation may have an empty body; a text is a text.
        parse = not self.binary and not (poll and poll.header) and not self._takes_text
        reply, body = await self.caller.call(request, tally, clock, parse=parse)
        if poll is not None:
            if poll.header:
                body = _json(reply.body)
            reply, body = await finished(self.caller, request, poll, reply, body, tally, clock)
        elif self._takes_text:
            body = _json(reply.body) if "json" in reply.headers.get("content-type", "") else _text(reply)
            if body is MISSING:
                raise RowError("malformed", "the answer is no JSON, or was cut off", status=reply.status)
        return reply, body

    @property
    def _takes_text(self) -> bool:
        answer = self.service.answer
        return (
            answer.path == "" and answer.type == "string" and not answer.fails and answer.json_schema is None
        )

    async def _value(self, request: Request, reply: Reply, body: Any, tally: Tally, clock: Clock) -> Any:
        if self.binary:
            if not reply.body:
                raise RowError("malformed", "the answer is empty", status=reply.status)
            return reply.body
        for tries_left in range(self._repairer.tries, -1, -1):
            try:
                return self.reader.value(body)
            except SchemaMisfitError as problem:
                if not tries_left:
                    raise
                asked = self._repairer.body(request.json, self._repairer.added(problem))
                request = self.renderer.again(request, asked)
                reply, body = await self.caller.call(request, tally, clock)
        raise AssertionError("the last try returns or raises")

    async def _askable(self, item: Item) -> list[Outcome]:
        """Ask about the rows that have a document; the others have their error already."""
        good = [i for i, one in enumerate(item.documents) if not isinstance(one, InputError)]
        asked = iter(await self._documents(item.part(good))) if good else iter(())
        return [
            Outcome(key, error=RowError("input", str(one))) if isinstance(one, InputError) else next(asked)
            for key, one in zip(item.keys, item.documents, strict=True)
        ]

    async def _documents(self, item: Item) -> list[Outcome]:
        """Ask about documents, and once more about those whose own status says so."""
        policy, caller = self.service.policy, self.caller
        clock = Clock(self.run_end, policy.seconds_a_row)
        outcomes = await self._together(item, clock)
        for tried in range(1, policy.attempts):
            places = [i for i, one in enumerate(outcomes) if isinstance(one.error, AgainError)]
            seconds = policy.wait(tried, caller.dice)
            if not places or time.time() + seconds >= clock.end:
                break
            if any(one.error and one.error.status in policy.cool_down for one in outcomes):
                caller.gate.pause(seconds)
                outcomes[places[0]].tally.throttled += 1
            else:
                await asyncio.sleep(seconds)
            for i, again in zip(places, await self._together(item.part(places), clock), strict=True):
                again.tally = _continued(outcomes[i].tally, again.tally)
                again.attempts += outcomes[i].attempts
                outcomes[i] = again
        return outcomes

    async def _together(self, item: Item, clock: Clock) -> list[Outcome]:
        tally = Tally()
        try:
            request = self.renderer.together(item.documents, item.rows[0])
            reply, body = await self.caller.call(request, tally, clock, together=len(item.keys) > 1)
            outcomes = self._each(item, reply, body)
        except InputError as problem:
            outcomes = [Outcome(key, error=RowError("input", str(problem))) for key in item.keys]
        except SplitError:
            # One of them is at fault. The halves are asked one after the other: this item has one place in the window.
            left, right = item.halves()
            first, second = await self._together(left, clock), await self._together(right, clock)
            first[0].tally = _sum(first[0].tally, tally)
            return first + second
        except RowError as problem:
            if problem.reason == "never_fits" and len(item.keys) > 1:
                return [one for half in item.halves() for one in await self._together(half, clock)]
            outcomes = [Outcome(key, error=problem) for key in item.keys]
        for outcome, part in zip(outcomes, _parts(tally, item.weights), strict=True):
            outcome.tally, outcome.attempts = part, tally.calls
        return outcomes

    def _each(self, item: Item, reply: Reply, body: Any) -> list[Outcome]:
        told = self.service.documents
        assert told is not None
        answers = find(body, told.answers)
        if not isinstance(answers, list):
            raise RowError(
                "malformed",
                f"the answer has no list at {told.answers!r}",
                status=reply.status,
                request_id=reply.request_id,
            )
        by_name, errors = self._named(answers, told, len(item.keys), reply), dict[str, Any]()
        names = [
            str(i + 1) if told.key is None else str(one[told.key]) for i, one in enumerate(item.documents)
        ]
        if told.id and told.errors and isinstance(listed := find(body, told.errors), list):
            errors = {str(one.get(told.id)): one for one in listed if isinstance(one, dict)}
        outcomes = []
        for name, key in zip(names, item.keys, strict=True):
            outcome = Outcome(key, request_id=reply.request_id)
            try:
                if name in errors:
                    raise self._refused(errors[name], reply)
                if name not in by_name:
                    raise RowError("malformed", "the document was not answered", status=reply.status)
                if told.status is not None:
                    self._check_status(by_name[name], told.status, reply)
                outcome.value = self.reader.value(by_name[name])
            except RowError as problem:
                outcome.error = problem
            outcomes.append(outcome)
        return outcomes

    def _check_status(self, answer: Any, path: str, reply: Reply) -> None:
        """Raise what a document's own status says."""
        status = find(answer, path)
        if not isinstance(status, int):
            raise RowError(
                "malformed", f"the document's answer has no status at {path!r}", status=reply.status
            )
        meaning = self.service.policy.meaning(status)
        if meaning == "ok":
            return
        problem = self._refused(answer, reply)
        kind = AgainError if meaning in ("retry", "cool_down") else RowError
        reason = {"retry": "unavailable", "cool_down": "rate_limited"}.get(meaning, "invalid")
        raise kind(reason, problem.message, status=status, request_id=problem.request_id)

    def _named(self, answers: list[Any], told: Documents, sent: int, reply: Reply) -> dict[str, Any]:
        """Return each answer by its document's key, or its number, which begins at 1."""
        if told.key:
            name = told.answer_key or told.key
            return {str(one.get(name)): one for one in answers if isinstance(one, dict)}
        if told.id:
            return {str(one.get(told.id)): one for one in answers if isinstance(one, dict)}
        if told.index:
            named = [one.get(told.index) for one in answers if isinstance(one, dict)]
            places = [place for place in named if isinstance(place, int)]
            if sorted(places) == list(range(sent)) and len(answers) == sent:
                return {str(place + 1): one for place, one in zip(places, answers, strict=True)}
        elif len(answers) == sent:
            return {str(i + 1): one for i, one in enumerate(answers)}
        raise RowError(
            "malformed",
            f"{sent} documents were sent, and {len(answers)} were answered",
            status=reply.status,
            request_id=reply.request_id,
        )

    def _refused(self, told: Any, reply: Reply) -> RowError:
        said = next(
            (
                m
                for p in ("error.innererror.message", "error.message", "message", "errorMessage")
                if isinstance(m := find(told, p), str)
            ),
            "",
        )
        code = next(
            (
                c
                for p in ("error.innererror.code", "error.code", "code")
                if isinstance(c := find(told, p), str)
            ),
            None,
        )
        text = (f"({code}) " if code else "") + self.caller.shown(said)
        return RowError(
            "invalid", f"the document was refused: {text}", status=reply.status, request_id=reply.request_id
        )


def _parts(whole: Tally, weights: Sequence[int]) -> list[Tally]:
    """Cut what a request took into its documents' parts, which add up to it; calls and times are the first one's."""
    total = sum(weights) or len(weights)
    parts = []
    for weight in weights:
        share = (weight or (0 if sum(weights) else 1)) / total
        parts.append(
            Tally(
                started=whole.started, finished=whole.finished, seconds=whole.seconds,
                input_tokens=int(whole.input_tokens * share),
                output_tokens=int(whole.output_tokens * share),
                cached_tokens=int(whole.cached_tokens * share),
            )
        )  # fmt: skip
    first = parts[0]
    first.calls, first.retried, first.throttled, first.answered = (
        whole.calls,
        whole.retried,
        whole.throttled,
        whole.answered,
    )
    for name in ("input_tokens", "output_tokens", "cached_tokens"):
        rest = getattr(whole, name) - sum(getattr(part, name) for part in parts)
        setattr(first, name, getattr(first, name) + rest)
    return parts


def _sum(one: Tally, other: Tally) -> Tally:
    one.calls += other.calls
    one.retried += other.retried + other.calls
    one.throttled += other.throttled
    one.add(other)
    one.started = min((t for t in (one.started, other.started) if t is not None), default=None)
    return one


def _continued(before: Tally, after: Tally) -> Tally:
    """Return what a document took with its further tries."""
    after.retried += after.calls + before.retried
    after.calls += before.calls
    after.throttled += before.throttled
    after.add(before)
    after.started = min((t for t in (after.started, before.started) if t is not None), default=None)
    return after


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return MISSING


def _text(reply: Reply) -> str:
    kind = reply.headers.get("content-type", "")
    charset = kind.partition("charset=")[2].split(";")[0].strip(' "') or "utf-8"
    try:
        return reply.body.decode(charset)
    except (LookupError, UnicodeDecodeError):
        raise RowError("malformed", "the answer is no text", status=reply.status) from None
