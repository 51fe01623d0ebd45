"""The little of HTTP that an ASGI application has to do by itself: bodies with a limit and a deadline, and answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from synml_dagster.serving.gate import Gate
from synml_dagster.serving.rows import RequestError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class ClientGoneError(Exception):
    """The client closed the connection before its request was whole."""


def header(scope: Scope, name: bytes) -> str | None:
    """Return the value of a request's header, `name` in small letters; None where it is not there."""
    for key, value in scope["headers"]:
        if key == name:
            return value.decode("latin-1")
    return None


def media_type(scope: Scope, default: str) -> str:
    """Return the media type of a request's body in small letters, without its parameters.

    Raises
    ------
    RequestError
        The text is of a character set other than UTF-8, or the body is compressed.
    """
    if (encoding := header(scope, b"content-encoding")) not in (None, "identity"):
        raise RequestError(f"Bodies compressed as {encoding!r} are not taken.", 415)
    given = header(scope, b"content-type")
    if given is None:
        return default
    kind, *parameters = given.split(";")
    for parameter in parameters:
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "charset" and value.strip('"').lower() not in ("utf-8", "utf8", "us-ascii"):
            raise RequestError(f"Text in {value!r} is not taken; send UTF-8.", 415)
    return kind.strip().lower()


def content_length(scope: Scope) -> int | None:
    """Return how long the body says that it is."""
    given = header(scope, b"content-length")
    return int(given) if given is not None and given.isdigit() else None


async def read_whole(scope: Scope, receive: Receive, gate: Gate, most: int, seconds: float) -> bytes:
    """Return a request's body; the gate holds its bytes, for the caller to let go of.

    Raises
    ------
    RequestError
        413: it has more than `most` bytes. 408: it was not there in `seconds`. 503: the server holds too many bytes.
    ClientGoneError
        The client is gone.
    """
    told = content_length(scope)
    if told is not None and told > most:
        raise RequestError(f"The body has {told} bytes, and {most} are allowed.", 413)
    message = None
    try:
        async with asyncio.timeout(seconds):
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body"):
                body: bytes = message.get("body", b"")
                if len(body) > most:
                    raise RequestError(f"The body has more than the {most} bytes that are allowed.", 413)
                gate.hold(len(body))
                return body
            return await _read_parts(message, receive, gate, most)
    except TimeoutError:
        raise RequestError(
            f"The body was not there within {seconds:g} s.", 408, [("connection", "close")]
        ) from None


async def _read_parts(message: Message, receive: Receive, gate: Gate, most: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    try:
        while True:
            if message["type"] != "http.request":
                raise ClientGoneError
            part = message.get("body", b"")
            if size + len(part) > most:
                raise RequestError(
                    f"The body has more than the {most} bytes that are allowed.",
                    413,
                    [("connection", "close")],
                )
            gate.hold(len(part))
            size += len(part)
            parts.append(part)
            if not message.get("more_body"):
                return b"".join(parts)
            message = await receive()
    except BaseException:
        gate.bytes -= size
        raise


async def answer(
    send: Send,
    status: int,
    body: bytes,
    kind: str = "application/json",
    headers: Sequence[tuple[str, str]] = (),
    head: bool = False,
) -> None:
    """Send a whole answer; of a HEAD request without its body."""
    fields = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    fields += [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": b"" if head else body})
