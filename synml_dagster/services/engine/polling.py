"""Submit and poll: asks an operation until it has ended, within the row's time."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from synml_dagster.services.description.paths import MISSING, find
from synml_dagster.services.engine.caller import Caller, Clock
from synml_dagster.services.engine.outcome import RowError, Tally
from synml_dagster.services.engine.request import Request
from synml_dagster.services.engine.retry_after import retry_after

if TYPE_CHECKING:
    from synml_dagster.services.description import Poll
    from synml_dagster.services.engine.transport import Reply

_LONGEST = 15.0


async def finished(
    caller: Caller, request: Request, told: Poll, reply: Reply, value: Any, tally: Tally, clock: Clock
) -> tuple[Reply, Any]:
    """Return the answer of the operation that `reply` to `request` has begun, once it has succeeded.

    Raises
    ------
    RowError
        It ended without success, is not done in time, or the answer names no operation.
    """
    address = reply.headers.get(told.header.lower()) if told.header else find(value, told.path or "")
    if not isinstance(address, str):
        if reply.status == 200 and _state(value, told) in told.done:
            return reply, value  # it was done at once
        raise RowError(
            "malformed",
            "the answer names no operation to wait for",
            status=reply.status,
            request_id=reply.request_id,
        )
    ask = _get(request, address)
    wait = told.interval
    while True:
        asked = retry_after(reply.headers)
        # A service that asks for patience is given it, and one that says 0 is not hammered.
        pause = max(0.05, min(asked, 300.0)) if asked is not None else wait
        if time.time() + pause >= clock.end:
            raise RowError(
                "deadline", "the deadline comes before the operation is done", request_id=reply.request_id
            )
        await asyncio.sleep(pause)
        wait = min(_LONGEST, wait * 1.5)
        reply, value = await caller.call(ask, tally, clock)
        state = _state(value, told)
        if state in told.failed:
            said = next(
                (
                    m
                    for p in ("error.message", "error.innererror.message", "message", "errors[0].message")
                    if isinstance(m := find(value, p), str)
                ),
                "",
            )
            raise RowError(
                "failed",
                f"the operation is {state}" + (f": {caller.shown(said)}" if said else ""),
                request_id=reply.request_id,
            )
        if state in told.done:
            break
        if state is None:
            raise RowError(
                "malformed",
                f"the operation has no state at {told.status!r}",
                status=reply.status,
                request_id=reply.request_id,
            )
    if told.result:
        address = find(value, told.result)
        if not isinstance(address, str):
            raise RowError(
                "malformed", f"the operation has no result at {told.result!r}", request_id=reply.request_id
            )
        return await caller.call(_get(request, address), tally, clock)
    return reply, value


def _state(value: Any, told: Poll) -> str | None:
    found = find(value, told.status)
    return found.strip().casefold() if isinstance(found, str) and found is not MISSING else None


def _get(request: Request, address: str) -> Request:
    """The request for an address that the service names, which gets the key and so has to be the service's own."""
    url = urljoin(request.url, address)
    own, named = urlsplit(request.url), urlsplit(url)
    if (own.scheme, own.netloc.lower()) != (named.scheme, named.netloc.lower()):
        raise RowError("address", "the operation's address is on another host, which must not get the key")
    headers = {name: value for name, value in request.headers.items() if name.lower() != "content-type"}
    return Request("GET", url, headers, None, guarded=request.guarded)
