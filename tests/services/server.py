"""A small HTTP server whose answers and faults a test scripts, on a real socket and a thread of its own."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class Seen:
    """A request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Answer = Callable[[Seen, int], Awaitable[web.StreamResponse] | web.StreamResponse | Any]


@dataclass
class Server:
    """Answers with what `answer(seen, nth)` returns: a response, or a value as JSON; `nth` counts equal requests from 1."""

    answer: Answer
    seen: list[Seen] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    url: str = ""

    def __enter__(self) -> Server:
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    @property
    def calls(self) -> int:
        return len(self.seen)

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve(ready))

    async def _serve(self, ready: threading.Event) -> None:
        self._stop = asyncio.Event()
        self._nth: dict[bytes, int] = {}
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{rest:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
        ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        seen = Seen(
            request.method,
            request.path,
            dict(request.query),
            {k.lower(): v for k, v in request.headers.items()},
            body,
        )
        self.seen.append(seen)
        name = request.method.encode() + request.path_qs.encode() + body
        self._nth[name] = self._nth.get(name, 0) + 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            made = self.answer(seen, self._nth[name])
            if asyncio.iscoroutine(made):
                made = await made
            if callable(made):
                return await made(request)
            return made if isinstance(made, web.StreamResponse) else web.json_response(made)
        finally:
            self.in_flight -= 1


def fault(status: int, body: Any = None, **headers: str) -> web.Response:
    """An answer of this status; `retry_after="1"` is the header `Retry-After: 1`."""
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    text = body if isinstance(body, str) else json.dumps(body or {"error": {"message": f"status {status}"}})
    return web.Response(status=status, text=text, headers=told, content_type="application/json")


async def reset(request: web.Request) -> web.StreamResponse:
    """The connection breaks before an answer."""
    request.transport.abort()
    return web.Response()


async def truncated(request: web.Request) -> web.StreamResponse:
    """The answer says that it is longer than it is."""
    answer = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
    await answer.prepare(request)
    await answer.write(b'{"answer": "half')
    request.transport.close()
    return answer


async def hanging(request: web.Request) -> web.StreamResponse:
    """The answer begins and does not end."""
    answer = web.StreamResponse(headers={"Content-Type": "application/json"})
    await answer.prepare(request)
    await answer.write(b'{"answer": ')
    await asyncio.sleep(60)
    return answer
