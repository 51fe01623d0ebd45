"""Says no to a request of a full server as it arrives, for a tenth of what it costs to take it in."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synml_dagster.serving.app import ServingApp

_SCORING = (b"POST /invocations ", b"POST /v2/models/")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*\r\n", re.IGNORECASE)
_TRANSFER = re.compile(rb"\r\n(?:transfer-encoding|expect|connection)[ \t]*:", re.IGNORECASE)
_BODY = b'{"error_code":"TEMPORARILY_UNAVAILABLE","message":"The server is full; try again later."}'
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\ncontent-length: %d\r\n\r\n%s"
    % (len(_BODY), _BODY)
)


def early_protocol(app: ServingApp) -> type[Any]:
    """Return uvicorn's protocol of httptools, with a look at each request before it is parsed.

    A server that could only refuse after it has parsed a request, made a task and run the application would spend its whole time
    on that at three times its load. A request that came as one piece, on a connection with none before it unanswered, is
    answered here where the gate is shut; all others take the usual way. Headers, too, have to be there in `body_seconds`.
    """
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    gate, metrics, seconds = app.gate, app.metrics, app.options.body_seconds

    class EarlyProtocol(HttpToolsProtocol):
        _partial = False
        _heading = False
        _timer: asyncio.TimerHandle | None = None
        _refused = 0.0

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._timer = self.loop.call_later(seconds, self._give_up)

        def data_received(self, data: bytes) -> None:
            if data.startswith(_SCORING) and not self._partial:
                if gate.is_shut() and self._is_alone(data):
                    self.transport.write(_FULL)
                    self._stay()
                    path = "/invocations" if data.startswith(_SCORING[0]) else "/v2/infer"
                    metrics.add("synml_rejected_total", reason="wait")
                    metrics.add("synml_requests_total", path=path, status="503")
                    return
                gate.came()
            super().data_received(data)
            if self._heading and self._timer is None:
                self._timer = self.loop.call_later(seconds, self._give_up)

        def on_message_begin(self) -> None:
            self._partial = self._heading = True
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._heading = False
            self._no_timer()
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self._partial = False
            super().on_message_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self._no_timer()
            super().connection_lost(exc)

        def _no_timer(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _stay(self) -> None:
            """Keep the connection of a refused request open as long as one that waits for its first."""
            self._refused = self.loop.time()
            self._unset_keepalive_if_required()
            if self._timer is None:
                self._timer = self.loop.call_later(seconds, self._give_up)

        def _give_up(self) -> None:
            """Close a connection whose request has not had its headers in time, or that nothing came on since a refusal."""
            self._timer = None
            left = self._refused + seconds - self.loop.time()
            if left > 0 and self._refused and not self._heading:
                self._timer = self.loop.call_later(left, self._give_up)
            elif not self.transport.is_closing():
                self.transport.close()

        def _is_alone(self, data: bytes) -> bool:
            """Whether `data` is one whole request, and no other of this connection is unanswered."""
            if self.cycle is not None and not self.cycle.response_complete:
                return False
            end = data.find(b"\r\n\r\n")
            head = data[: end + 2]
            length = _LENGTH.search(head)
            return (
                end >= 0
                and length is not None
                and len(data) == end + 4 + int(length[1])
                and _TRANSFER.search(head) is None
                and b" HTTP/1.1\r\n" in head
            )

    return EarlyProtocol
