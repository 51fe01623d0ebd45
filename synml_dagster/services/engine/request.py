"""Requests as they go out, made of a description and a row, or of several rows that share one."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode, urlsplit
from xml.sax.saxutils import escape

from synml_dagster.services.description import InputError, Part, Service
from synml_dagster.services.description.paths import MISSING, find, put
from synml_dagster.services.description.template import as_text, compiled, compiled_address, host_from_data

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """One request without its key; `tokens` is what limits count for it before its answer is there."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None
    tokens: int = 0
    guarded: bool = False
    """Whether data says which host is asked."""
    json: Any = None
    """The body as it was before it became bytes, for a repair."""


class Renderer:
    """Makes the requests of one service.

    Parameters
    ----------
    service
        Its description.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self._url = compiled_address(service.url)
        self._guarded = host_from_data(service.url)
        self._query = [(name, compiled(value)) for name, value in service.query.items()]
        self._headers = [(name, compiled(value)) for name, value in service.headers.items()]
        self._body = None if service.body is None else compiled(service.body)
        self._bytes = None if service.bytes is None else compiled(service.bytes)
        self._xml = None if service.xml is None else compiled(service.xml)
        self._parts = [_part(part) for part in service.multipart or ()]
        told = service.documents
        self._document = compiled(told.each, nulls=told.nulls) if told else None

    def document(self, row: Row) -> tuple[Any, int, int]:
        """Return a row's document, its bytes and its tokens.

        Raises
        ------
        InputError
            The row holds nothing where something is needed.
        """
        assert self._document is not None
        made = self._document(row)
        if made == "":
            raise InputError("the text is empty")
        told = self.service.documents
        if told is not None and told.key is not None and made[told.key] in (None, ""):
            raise InputError(f"column {told.key_column!r} holds nothing, and it is the document's key")
        size = len(_encoded(made))
        return made, size, tokens_in(size)

    def together(self, documents: Sequence[Any], row: Row) -> Request:
        """Return the request for several documents; `row` is one of theirs, for what else the description takes of rows."""
        told = self.service.documents
        assert told is not None
        assert self._body is not None
        body = copy.deepcopy(self._body(row))
        if told.id:
            documents = [{told.id: str(i + 1), **one} for i, one in enumerate(documents)]
        put(body, told.at, list(documents))
        return self._request(row, body)

    def request(self, row: Row) -> Request:
        """Return the request for one row.

        Raises
        ------
        InputError
            The row holds nothing where something is needed, or what no request can hold.
        """
        if self._body is not None:
            return self._request(row, self._body(row))
        if self._bytes is not None:
            value = self._bytes(row)
            content = value.encode() if isinstance(value, str) else value
            if not isinstance(content, bytes):
                raise InputError(f"bytes or a text are needed, and this is a {type(value).__name__}")
            if not content:
                raise InputError("there are no bytes to send")
            return self._finished(row, content, self.service.content_type or "application/octet-stream")
        if self._xml is not None:
            text = self._xml(
                {name: escape(as_text(value)) if value is not None else None for name, value in row.items()}
            )
            return self._finished(row, text.encode(), self.service.content_type or "application/xml")
        if self._parts:
            content, kind = multipart([make(row) for make in self._parts])
            return self._finished(row, content, kind)
        return self._finished(row, None, None)

    def _request(self, row: Row, body: Any) -> Request:
        content = _encoded(body)
        made = self._finished(row, content, self.service.content_type or "application/json")
        return replace(made, json=body, tokens=self._tokens(body, content))

    def again(self, request: Request, body: Any) -> Request:
        """Return `request` with another body."""
        content = _encoded(body)
        return replace(request, body=content, json=body, tokens=self._tokens(body, content))

    def _tokens(self, body: Any, content: bytes) -> int:
        return (
            0 if self.service.usage is None else tokens_in(len(content)) + longest_answer(self.service, body)
        )

    def _finished(self, row: Row, content: bytes | None, kind: str | None) -> Request:
        headers = {name: _header(make(row)) for name, make in self._headers}
        if kind is not None:
            headers.setdefault("Content-Type", kind)
        url = self._url(row)
        if self._query:
            query = urlencode([(name, _header(make(row))) for name, make in self._query])
            url += ("&" if urlsplit(url).query else "?") + query
        limit = self.service.policy.most_sent
        if content is not None and len(content) > limit:
            raise InputError(
                f"the request has {len(content)} bytes, and {limit} are sent at most (policy.most_sent)"
            )
        return Request(self.service.method, url, headers, content, guarded=self._guarded)


def tokens_in(size: int) -> int:
    """Return about how many tokens so many bytes of text are: a quarter, as services estimate it, too."""
    return -(-size // 4)


def longest_answer(service: Service, body: Any) -> int:
    """Return the tokens of the longest answer that a request's body asks for, 0 where it does not say."""
    asked = (find(body, path) for path in (service.usage.longest if service.usage else ()))
    return next((n for n in asked if n is not MISSING and isinstance(n, int)), 0)


def _encoded(value: Any) -> bytes:
    try:
        return json.dumps(
            value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_base64
        ).encode()
    except (TypeError, ValueError) as problem:
        # NaN and halves of characters are no JSON. The message of the problem would repeat the value.
        raise InputError(f"the input is no JSON: it holds {_unencodable(value)}") from problem


def _base64(value: Any) -> str:
    """JSON has no bytes, and services that take them in it take them so."""
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    raise TypeError(type(value).__name__)


def _unencodable(value: Any) -> str:
    if isinstance(value, dict | list):
        return next(
            (
                found
                for one in (value.values() if isinstance(value, dict) else value)
                if (found := _unencodable(one))
            ),
            "",
        )
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return "a number that is none, or is infinite"
    return ""


def _header(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    if any(ord(c) < 32 for c in text):
        raise InputError("a header cannot hold a line break")
    return text


def _part(part: Part) -> Callable[[Row], tuple[Part, bytes, str | None]]:
    name = compiled(part.filename) if part.filename else None
    make = compiled(part.bytes or part.text or part.json_)

    def made(row: Row) -> tuple[Part, bytes, str | None]:
        value = make(row)
        if part.json_ is not None:
            content = _encoded(value)
        else:
            content = value.encode() if isinstance(value, str) else value
        if not isinstance(content, bytes):
            raise InputError(f"part {part.name!r} needs bytes or a text")
        return part, content, None if name is None else str(name(row))

    return made


def multipart(parts: list[tuple[Part, bytes, str | None]]) -> tuple[bytes, str]:
    """Return a body of parts and its content type. The same parts give the same bytes: the boundary comes from their content."""
    boundary = "synml-" + hashlib.sha256(b"".join(content for _, content, _ in parts)).hexdigest()[:32]
    made = bytearray()
    for part, content, filename in parts:
        said = f'form-data; name="{_quoted(part.name)}"'
        if filename is not None:
            said += f'; filename="{_quoted(filename)}"'
        kind = part.content_type or ("application/json" if part.json_ is not None else None)
        made += f"--{boundary}\r\nContent-Disposition: {said}\r\n".encode()
        made += f"Content-Type: {kind}\r\n".encode() if kind else b""
        made += b"\r\n" + content + b"\r\n"
    made += f"--{boundary}--\r\n".encode()
    return bytes(made), f"multipart/form-data; boundary={boundary}"


def _quoted(text: str) -> str:
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
