"""One request under the policy: tried until it has an answer, or until it may be tried no more."""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import dataclass
from typing import Any

from synml_dagster.redaction import redacted
from synml_dagster.services.description import Service
from synml_dagster.services.description.paths import MISSING, find
from synml_dagster.services.description.policy import Meaning
from synml_dagster.services.engine.outcome import RowError, Tally
from synml_dagster.services.engine.pace import Gate
from synml_dagster.services.engine.request import Request
from synml_dagster.services.engine.retry_after import retry_after
from synml_dagster.services.engine.spend import Purse
from synml_dagster.services.engine.transport import Reply, Transport, TransportError

_SPLIT = frozenset({400, 413, 422})
"""Statuses that may be the fault of one document of several."""


_WITHHELD = frozenset({"content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation"})


class SplitError(RowError):
    """The service refused several documents as a whole."""


@dataclass(frozen=True)
class _Try:
    """One try: what it means, what is wrong with it, and how long the service asks to wait."""

    meaning: Meaning
    problem: RowError | None
    reply: Reply | None = None
    value: Any = None
    asked: float | None = None


@dataclass
class Clock:
    """Until when a row may take, by `time.time()`: set when its first request goes, since waiting for a quota is no fault of it."""

    run: float
    seconds: float
    row: float | None = None

    def begin(self) -> None:
        """Let the row's own time run."""
        if self.row is None:
            self.row = time.time() + self.seconds

    @property
    def end(self) -> float:
        """When it is over."""
        return self.run if self.row is None else min(self.run, self.row)


class Caller:
    """Sends the requests of one sender, under one policy, gate and purse.

    Parameters
    ----------
    secret
        The key's value, which is taken out of what services say.
    """

    def __init__(
        self,
        service: Service,
        transport: Transport,
        gate: Gate,
        purse: Purse,
        dice: random.Random,
        secret: str | None,
    ) -> None:
        self.service, self.policy = service, service.policy
        self.transport, self.gate, self.purse, self.dice = transport, gate, purse, dice
        self.secrets = (secret,) if secret else ()
        self.stopped: RowError | None = None

    async def call(
        self, request: Request, tally: Tally, clock: Clock, *, parse: bool = True, together: bool = False
    ) -> tuple[Reply, Any]:
        """Return the answer to a request and, where `parse`, its JSON; `tally` counts what it took.

        Raises
        ------
        SplitError
            Several documents, `together`, were refused as a whole.
        RowError
            There is no answer, and will be none.
        """
        failures = throttled = 0
        while True:
            tried = await self._try(request, tally, clock, parse)
            if tried.problem is None:
                assert tried.reply is not None
                return tried.reply, tried.value
            problem = tried.problem
            if tried.meaning == "stop":
                self.stopped = self.stopped or problem
                raise problem
            if tried.meaning == "final":
                if together and problem.status in _SPLIT:
                    raise SplitError(
                        problem.reason, problem.message, status=problem.status, request_id=problem.request_id
                    )
                raise problem
            if tried.meaning == "cool_down":
                throttled += 1
                tally.throttled += 1
                backing_off = self.policy.wait(throttled + 1, self.dice)
                self.gate.pause(backing_off if tried.asked is None else tried.asked)
            else:
                failures += 1
                if failures >= self.policy.attempts:
                    raise problem
                backing_off = self.policy.wait(failures, self.dice)
                await self._wait(backing_off if tried.asked is None else tried.asked, tried, clock)
            tally.retried += 1

    async def _try(self, request: Request, tally: Tally, clock: Clock, parse: bool) -> _Try:
        expected = await self._admitted(request, clock)
        used = Tally()
        tally.calls += 1
        tally.started = tally.started or time.time()
        try:
            seconds = min(self.policy.seconds_a_request, clock.end - time.time())
            reply = await self.transport.send(request, max(seconds, 0.001))
            tally.seconds = reply.seconds
            good = 200 <= reply.status < 300
            value = _json(reply.body) if parse or not good else None
            if good:
                used.answered = 1
                self.count(value, used)
            return self._judged(reply, value, parse)
        except TransportError as lost:
            return _Try("retry", RowError(lost.reason, str(lost)))
        finally:
            tally.finished = time.time()
            tally.add(used)
            tokens = used.input_tokens + used.output_tokens
            self.purse.give(expected, tokens, self._cost(used))
            self.gate.settle(expected, tokens)

    def _judged(self, reply: Reply, value: Any, parse: bool) -> _Try:
        meaning = self.policy.meaning(reply.status, self._code(value))
        asked = retry_after(reply.headers, reply.body) if meaning in ("retry", "cool_down") else None
        if meaning == "ok":
            if not parse or value is not MISSING:
                return _Try(meaning, None, reply, value)
            said = "the answer is no JSON, or was cut off"
            return _Try(
                "retry", RowError("malformed", said, status=reply.status, request_id=reply.request_id)
            )
        if meaning == "retry" and reply.headers.get("x-should-retry") == "false":
            meaning = "final"
        return _Try(meaning, self.problem(reply, value), reply, value, asked)

    async def _admitted(self, request: Request, clock: Clock) -> int:
        if self.stopped is not None:
            raise self.stopped
        await self.gate.enter(request.tokens, clock.end)
        if self.stopped is not None:
            raise self.stopped
        await self.purse.take(request.tokens)
        clock.begin()
        return request.tokens

    async def _wait(self, seconds: float, tried: _Try, clock: Clock) -> None:
        problem = tried.problem
        assert problem is not None
        if time.time() + seconds >= clock.end:
            asked = f"; the service asks to wait {tried.asked:.0f} s" if tried.asked is not None else ""
            raise RowError(
                "deadline" if tried.asked is None else "rate_limited",
                f"the deadline comes before the next try{asked}. The last one: {problem.message}",
                status=problem.status,
                request_id=problem.request_id,
            )
        await asyncio.sleep(seconds)

    def problem(self, reply: Reply, value: Any) -> RowError:
        """Return what an answer that is none says, whose JSON is `value`."""
        reason = "unavailable" if reply.status >= 500 or reply.status in self.policy.retry else "invalid"
        if reply.status in self.policy.cool_down:
            reason = "rate_limited"
        code = self._code(value)
        if self.policy.meaning(reply.status, code) == "stop":
            reason = "key" if reply.status in (401, 403) else "quota"
        elif code in _WITHHELD:
            reason = "content_filter"
        if 300 <= reply.status < 400:
            return RowError(
                reason,
                "the service redirects, which is not followed: say the address it means",
                status=reply.status,
            )
        said = self._said(value, reply)
        message = f"HTTP {reply.status}" + (f" ({code})" if code else "") + (f": {said}" if said else "")
        return RowError(reason, message, status=reply.status, request_id=reply.request_id)

    def _said(self, value: Any, reply: Reply) -> str:
        """What the service says about an error, short and without the key."""
        told = find(value, self.service.answer.error) if value is not MISSING else MISSING
        if not isinstance(told, str):
            for path in ("error.message", "message", "error_description", "detail", "error", "title"):
                told = find(value, path) if value is not MISSING else MISSING
                if isinstance(told, str):
                    break
        return self.shown(told) if isinstance(told, str) else ""

    def shown(self, text: str) -> str:
        """Return what a service says in a form that may stand in a table: one line, short, without the key."""
        return redacted(" ".join(text.split())[:400], self.secrets)

    def _code(self, value: Any) -> str | None:
        for path in (self.service.answer.code, "error.type"):
            code = find(value, path) if value is not MISSING else MISSING
            if isinstance(code, str | int) and not isinstance(code, bool):
                return redacted(str(code)[:80], self.secrets)
        return None

    def count(self, value: Any, used: Tally) -> None:
        """Add the tokens that an answer says it took."""
        usage = self.service.usage
        if usage is not None and value is not MISSING and value is not None:
            used.input_tokens = _tokens(value, usage.input)
            used.output_tokens = _tokens(value, usage.output)
            used.cached_tokens = min(_tokens(value, usage.cached), used.input_tokens)

    def _cost(self, used: Tally) -> float:
        return used.cost(self.service.prices)


def _tokens(value: Any, path: str | None) -> int:
    found = find(value, path) if path else MISSING
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else 0


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return MISSING
