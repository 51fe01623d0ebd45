"""The Batch API over the wire: files and batches, under the policy of any request."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from synml_dagster.errors import ConfigError, SetupError
from synml_dagster.services.description import Part, Service
from synml_dagster.services.engine.caller import Caller, Clock
from synml_dagster.services.engine.conversation import conversation
from synml_dagster.services.engine.outcome import RowError, Tally
from synml_dagster.services.engine.request import Request, multipart
from synml_dagster.services.secrets import key_here

_ENDPOINTS = ("/chat/completions", "/responses", "/embeddings")
_MARK = "synml_digest"
_MOST = 2**30
_PAGES = 100
_FILES = 1500.0
"""Seconds that a file of 200 MB may take."""

_DOUBTFUL = ("timeout", "connection", "unavailable", "malformed")
"""Errors after which a batch may be there all the same."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Address:
    """Where batches of a service go: the API's root, and the endpoint that the requests are for."""

    root: str
    endpoint: str

    @classmethod
    def of(cls, service: Service) -> Address:
        """Return where the batches of a service go.

        Raises
        ------
        ConfigError
            There is no Batch API for it.
        """
        for path in _ENDPOINTS:
            if service.url.endswith(path):
                return cls(service.url.removesuffix(path), f"/v1{path}")
        raise ConfigError(
            f"batch: {service.name} is no service of OpenAI's protocol; batches are for openai.chat, openai.responses and openai.embeddings"
        )


class Client:
    """Asks the Batch API, one request at a time."""

    def __init__(self, service: Service, caller: Caller) -> None:
        self.address, self.caller, self.service = Address.of(service), caller, service
        self.tally = Tally()

    async def upload(self, content: bytes, name: str) -> str:
        """Send a file of requests, and return its id."""
        parts: list[tuple[Part, bytes, str | None]] = [
            (Part(name="purpose", text="batch"), b"batch", None),
            (Part(name="file", text="-", content_type="application/jsonl"), content, name),
        ]
        body, kind = multipart(parts)
        told = await self._asked("POST", "/files", body, {"Content-Type": kind}, timeout=_FILES)
        return _text(told, "id")

    async def create(self, file: str, digest: str, window: str) -> dict[str, Any]:
        """Make a batch of a file.

        After an answer that did not come nobody knows whether the batch is there: then it is looked for by its mark before
        it is made once more.
        """
        body = {
            "input_file_id": file, "endpoint": self.address.endpoint, "completion_window": window, "metadata": {_MARK: digest},
        }  # fmt: skip
        for tried in range(self.service.policy.attempts):
            if tried and (there := await self.find(digest)) is not None:
                return there
            try:
                content, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
                told = await self._asked("POST", "/batches", content, headers, attempts=1)
                _text(told, "id")
                return told
            except RowError as problem:
                if problem.reason not in _DOUBTFUL or tried + 1 == self.service.policy.attempts:
                    raise
                await asyncio.sleep(self.service.policy.wait(tried + 1, self.caller.dice))
        raise AssertionError("the last try returns or raises")

    async def find(self, digest: str) -> dict[str, Any] | None:
        """Return the batch that has this mark, if there is one."""
        after = ""
        for _ in range(_PAGES):
            told = await self._asked("GET", f"/batches?limit=100{after}")
            batches = told.get("data") or []
            for one in batches:
                if isinstance(one, dict) and (one.get("metadata") or {}).get(_MARK) == digest:
                    return one
            if not told.get("has_more") or not batches:
                return None
            after = f"&after={_text(batches[-1], 'id')}"
        return None

    async def batch(self, id: str) -> dict[str, Any]:
        """Return a batch as it is now."""
        return await self._asked("GET", f"/batches/{id}")

    async def content(self, file: str) -> bytes:
        """Return a file's content."""
        request = Request("GET", f"{self.address.root}/files/{file}/content", {}, None)
        with self._under(timeout=_FILES):
            reply, _ = await self.caller.call(request, self.tally, self._clock(), parse=False)
        return reply.body

    @contextmanager
    def _under(self, **changed: Any) -> Iterator[None]:
        """Let the policy be another one for a request."""
        policy = self.caller.policy
        self.caller.policy = policy.model_copy(update=changed)
        try:
            yield
        finally:
            self.caller.policy = policy

    async def _asked(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        **changed: Any,
    ) -> dict[str, Any]:
        request = Request(method, self.address.root + path, headers or {}, body)
        with self._under(**changed):
            _, told = await self.caller.call(request, self.tally, self._clock())
        if not isinstance(told, dict):
            raise RowError("malformed", f"the answer to {method} {path.partition('?')[0]} is no object")
        return told

    def _clock(self) -> Clock:
        policy = self.service.policy
        return Clock(time.time() + policy.seconds_a_row, policy.seconds_a_row)


def asked(service: Service, work: Callable[[Client], Awaitable[Result]]) -> Result:
    """Return what `work` does with a client of the service.

    Raises
    ------
    ConfigError
        The key is not there.
    SetupError
        The service refuses, or cannot be reached.
    """
    secret = key_here(service.key)
    try:
        return conversation(service, secret, lambda caller: work(Client(service, caller)), most_bytes=_MOST)
    except RowError as problem:
        raise SetupError(f"batch: {service.name}: {problem.message}") from None


def _text(told: dict[str, Any], name: str) -> str:
    found = told.get(name)
    if not isinstance(found, str) or not found:
        raise RowError("malformed", f"the answer has no {name!r}")
    return found
