"""One request over the wire, and its whole answer or the way in which it failed."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import (  # type: ignore[attr-defined]
    getproxies_environment,
    proxy_bypass_environment,
)

from synml_dagster.services.engine.addresses import PublicResolver, check_address
from synml_dagster.services.engine.outcome import RowError
from synml_dagster.services.engine.request import Request

if TYPE_CHECKING:
    import aiohttp

_REQUEST_IDS = ("x-request-id", "apim-request-id", "x-ms-request-id", "request-id", "x-amzn-requestid")


@dataclass(frozen=True)
class Reply:
    """An answer that came whole. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float

    @property
    def request_id(self) -> str | None:
        """What the service calls the request, for its support."""
        return next((self.headers[name][:200] for name in _REQUEST_IDS if name in self.headers), None)


class TransportError(Exception):
    """No whole answer came: `reason` is timeout or connection."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Transport:
    """An HTTP client for one service and key: connections that are kept, no redirects, no cookies, answers of bounded size.

    Parameters
    ----------
    secret
        Name and value of the header that holds the key.
    most_bytes
        The largest answer that is read, counted after decompression.
    schemes, private
        As in the description: what addresses that come from data may be.
    """

    def __init__(
        self,
        *,
        secret: tuple[str, str] | None = None,
        most_bytes: int = 64 * 2**20,
        schemes: tuple[str, ...] = ("https", "http"),
        private: bool = False,
    ) -> None:
        self._secret, self._most_bytes = secret, most_bytes
        self._schemes, self._private = schemes, private
        self._open: aiohttp.ClientSession | None = None
        self._guarded: aiohttp.ClientSession | None = None
        self._proxies = getproxies_environment()

    async def __aenter__(self) -> Transport:
        self._open = _session(None)
        self._guarded = _session(None if self._private else PublicResolver())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        for session in (self._open, self._guarded):
            if session is not None:
                await session.close()

    async def send(self, request: Request, seconds: float) -> Reply:
        """Send a request and read its answer, in `seconds` at most.

        Raises
        ------
        TransportError
            No whole answer came.
        RowError
            The address may not be asked, or the answer is too large: another try would fail the same.
        """
        import aiohttp

        if request.guarded:
            check_address(request.url, self._schemes, private=self._private)
        session = self._guarded if request.guarded else self._open
        assert session is not None
        headers = dict(request.headers)
        if self._secret is not None:
            headers[self._secret[0]] = self._secret[1]
        began = time.monotonic()
        try:
            async with (
                asyncio.timeout(seconds),
                session.request(
                    request.method,
                    _encoded(request.url),
                    data=request.body,
                    headers=headers,
                    allow_redirects=False,
                    proxy=None if request.guarded else self._proxy(request.url),
                ) as answer,
            ):
                body = await self._read(answer)
                told = {name.lower(): value for name, value in answer.headers.items()}
                return Reply(answer.status, told, body, time.monotonic() - began)
        except TimeoutError as problem:
            raise TransportError("timeout", f"no whole answer within {seconds:.3g} s") from problem
        except aiohttp.InvalidURL as problem:
            raise RowError("address", "the address cannot be read") from problem
        except (aiohttp.ClientError, OSError, ValueError) as problem:
            cause: BaseException | None = problem
            while cause is not None and not isinstance(cause, RowError):
                cause = cause.__cause__ or getattr(cause, "os_error", None)
            if isinstance(cause, RowError):
                raise cause from None
            raise TransportError("connection", _said(problem)) from problem

    async def _read(self, answer: Any) -> bytes:
        said = answer.headers.get("Content-Length", "")
        if said.isdigit() and int(said) > self._most_bytes:
            raise self._too_large(answer.status)
        body = bytearray()
        async for chunk in answer.content.iter_any():
            body += chunk
            if len(body) > self._most_bytes:
                raise self._too_large(answer.status)
        return bytes(body)

    def _too_large(self, status: int) -> RowError:
        return RowError(
            "too_large",
            f"the answer has more than {self._most_bytes} bytes (policy.most_bytes)",
            status=status,
        )

    def _proxy(self, url: str) -> str | None:
        parts = urlsplit(url)
        found = self._proxies.get(parts.scheme)
        return (
            None if found is None or proxy_bypass_environment(parts.hostname or "", self._proxies) else found
        )


def _session(resolver: Any) -> aiohttp.ClientSession:
    import aiohttp

    # The window bounds what is in flight, and each request has its own timeout: aiohttp's 100 connections and 5 minutes go.
    connector = aiohttp.TCPConnector(limit=0, ttl_dns_cache=60, resolver=resolver, keepalive_timeout=30)
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=15),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "synml-dagster", "Accept": "*/*"},
        trust_env=False,  # it would also take keys of a .netrc
    )


def _encoded(url: str) -> Any:
    from yarl import URL

    return URL(url, encoded=True) if url.isascii() and " " not in url else URL(url)


def _said(problem: Exception) -> str:
    """What went wrong, without addresses: they may hold what a row says."""
    words = {
        "ServerDisconnectedError": "the server closed the connection",
        "ClientPayloadError": "the answer was cut off",
        "ClientOSError": "the connection was reset",
        "ClientConnectorDNSError": "the host's name is not known",
        "ClientConnectorCertificateError": "the host's certificate is not trusted",
        "ClientConnectorSSLError": "no TLS connection could be made",
        "ClientConnectorError": "no connection could be made",
        "ServerTimeoutError": "no connection within 15 s",
        "ConnectionTimeoutError": "no connection within 15 s",
    }
    return words.get(type(problem).__name__, f"the connection failed ({type(problem).__name__})")
