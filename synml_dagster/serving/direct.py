"""uvicorn's protocol with a shorter way for requests that come whole: answered, or refused, in the turn of the loop that reads them."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from synml_dagster.serving.invocations import JSON
from synml_dagster.serving.rows import RequestError
from synml_dagster.serving.scoring import INFER, INVOCATIONS, Answers, Asked
from synml_dagster.serving.whole import Head, plain_head

if TYPE_CHECKING:
    from synml_dagster.serving.app import ServingApp

log = logging.getLogger("synml_dagster.serving")

_BODY = b'{"error_code":"TEMPORARILY_UNAVAILABLE","message":"The server is full; try again later."}'
_FULL = b"HTTP/1.1 503 Service Unavailable\r\n%scontent-type: application/json\r\nretry-after: 1\r\ncontent-length: %d\r\n\r\n%s"
_GOOD = b"HTTP/1.1 200 OK\r\n%scontent-type: application/json\r\ncontent-length: %d\r\n%s\r\n%s"

MOMENT = 0.005
"""Seconds that a head waits for its body before it takes the usual way."""


def direct_protocol(app: ServingApp, moment: float = MOMENT) -> type[Any]:
    """Return uvicorn's protocol of httptools, with a look at each request before it is parsed.

    A request that goes through the ASGI application waits for the event loop three times: for its task, for its batch, and for its
    answer; under load each of these turns first reads and refuses all that has come meanwhile. A plain request for scores that is
    whole within a `moment` of seconds, on a connection with none before it unanswered, is read here as it arrives, and written out as its batch is
    scored. Where the gate is shut it is refused here, for a tenth of what it costs to take it in. All others, and all with which
    something is wrong, take the usual way, which says what. Headers have to be there in `body_seconds`.
    """
    from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    late = app.metrics.counter("synml_rejected_total", reason="wait")
    refused = {
        form: app.metrics.counter("synml_requests_total", path=form, status="503")
        for form in (INVOCATIONS, INFER)
    }

    class DirectProtocol(HttpToolsProtocol):
        _partial = False
        _heading = False
        _taken: _Taken | None = None
        _held = b""
        _hand_on: asyncio.TimerHandle | None = None
        _ends = False
        _again: bytes | None = None
        _timer: asyncio.TimerHandle | None = None
        _by = 0.0

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._later: list[bytes] = []
            self._expect_headers()

        def data_received(self, data: bytes) -> None:
            if self._taken is not None:  # answers come in order; the next request waits for its turn
                self._later.append(data)
                self.transport.pause_reading()
                return
            self._unset_keepalive_if_required()  # as uvicorn does, and now: it would close while the request waits or is scored
            if self._held:
                data, self._held = self._held + data, b""
            if not self._partial and data.startswith(b"POST /") and self._is_free():
                head = plain_head(data)
                missing = 0 if head is None else head.size + head.length - len(data)
                if head is not None and missing > 0:
                    self._hold(data)
                    return
                self._hold_no_more()
                admitted = app.gate.admits()
                if head is not None and missing == 0:
                    if not admitted:
                        self._refuse(head)
                        return
                    if head.length <= app.options.max_body and self._take(head, data):
                        return
            self._go_the_usual_way(data)

        def _hold(self, data: bytes) -> None:
            """Wait a moment for the body, which many clients send behind the head and not with it."""
            self._held = data
            if self._hand_on is None:
                self._hand_on = self.loop.call_later(moment, self._release)

        def _hold_no_more(self) -> None:
            self._held = b""
            if self._hand_on is not None:
                self._hand_on.cancel()
                self._hand_on = None

        def _release(self) -> None:
            held = self._held
            self._hold_no_more()
            if held:
                self._go_the_usual_way(held)

        def _go_the_usual_way(self, data: bytes) -> None:
            if self.transport.is_closing():
                return
            in_head = self._heading and self._timer is not None
            self._parse(data)
            if self._heading and not in_head:
                self._expect_headers()

        def _parse(self, data: bytes) -> None:
            """Give bytes to the parser.

            Where a head asks for another protocol, which there is none of here, the parser takes the request to end with it: its body
            would be lost, or be read as a request. So a new one reads it, without that wish. Java's client asks so for HTTP/2.
            """
            try:
                self.parser.feed_data(data)
            except HttpParserUpgrade as met:
                again, self._again = self._again, None
                if again is not None:
                    self.parser = HttpRequestParser(self)
                    self._parse(again + data[met.args[0] :])
            except HttpParserError:
                self.logger.warning("Invalid HTTP request received.")
                self.send_400_response("Invalid HTTP request received.")

        def _is_free(self) -> bool:
            """Whether all requests of this connection are answered, and their answers on their way."""
            return (self.cycle is None or self.cycle.response_complete) and not self.flow.write_paused

        def _take(self, head: Head, data: bytes) -> bool:
            """Have a request scored with the others of this turn; False where it is one for the usual way."""
            began = time.perf_counter()
            app.start()
            try:
                app.gate.enter(False, app.batcher.waited(began))
            except RequestError:
                self._refuse(head, told=True)
                return True
            try:
                app.gate.hold(head.length)
            except RequestError:
                app.gate.leave(0, False)
                self._refuse(head, told=True)
                return True
            try:
                model = app.model_at(head.path)
                read = app.scoring.read(model, data[head.size :], JSON, head.form == INFER)
                if read.ready.rows > app.batcher.most_rows:
                    raise RequestError("goes to a thread")
            except Exception:  # the usual way tells the client what is wrong
                app.gate.leave(head.length, False)
                return False
            self._taken = _Taken(head, read, data, began)
            app.batcher.put(model, read.ready, began, self._settle)
            return True

        def _settle(self, found: Answers | Exception) -> None:
            taken = self._taken
            assert taken is not None
            self._taken = None
            app.gate.leave(taken.read.size, False)
            try:
                if isinstance(found, Exception):
                    self._go_the_usual_way(taken.data)
                    if self._ends:
                        super().shutdown()
                else:
                    self._answer(taken, found)
            except Exception:
                log.exception("a request for %s failed", taken.head.form)  # its body is not logged
                self.transport.abort()
            if self._later:
                self.loop.call_soon(self._go_on)

        def _answer(self, taken: _Taken, answers: Answers) -> None:
            reply = taken.read.write(answers)
            headers = app.scoring.answered(taken.read, answers, taken.head.request)
            gone = self.transport.is_closing()
            if not gone:
                lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
                self.transport.write(
                    _GOOD % (self._dated(), len(reply), lines.encode("latin-1", "replace"), reply)
                )
                self._stay()
            app.scoring.count(taken.head.form, 499 if gone else 200, time.perf_counter() - taken.began)

        def _refuse(self, head: Head, told: bool = False) -> None:
            self.transport.write(_FULL % (self._dated(), len(_BODY), _BODY))
            self._stay()
            if not told:
                late.add()
            refused[head.form].add()

        def _go_on(self) -> None:
            """Take what came while a request was being scored."""
            came, self._later = b"".join(self._later), []
            if not self.transport.is_closing():
                self.transport.resume_reading()
                self.data_received(came)

        def _dated(self) -> bytes:
            """Return the headers that are in all answers: the date."""
            return b"".join([b"%s: %s\r\n" % pair for pair in self.server_state.default_headers])

        def on_message_begin(self) -> None:
            self._partial = self._heading = True
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            kept = [pair for pair in self.headers if pair[0] != b"upgrade"]
            if self.parser.should_upgrade() and len(kept) < len(self.headers):
                version = self.parser.get_http_version().encode()
                first = b"%s %s HTTP/%s\r\n" % (self.parser.get_method(), self.url, version)
                self._again = first + b"".join([b"%s: %s\r\n" % pair for pair in kept]) + b"\r\n"
                return
            self._heading = False
            self._no_timer()
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            if self._again is not None:
                return
            self._partial = False
            super().on_message_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self._no_timer()
            self._hold_no_more()
            super().connection_lost(exc)

        def shutdown(self) -> None:
            self._release()
            if self._taken is None:
                super().shutdown()
            else:
                self._ends = True

        def _stay(self) -> None:
            """Keep the connection open for as long as after any answer, unless the server ends."""
            self.server_state.total_requests += 1
            if self._ends:
                self.transport.close()
                return
            self._unset_keepalive_if_required()
            # A timer that runs is left to run, and is then set to what is left: one for each request costs more than to refuse it.
            self._by = self.loop.time() + self.timeout_keep_alive
            if self._timer is None:
                self._timer = self.loop.call_later(self.timeout_keep_alive, self._give_up)

        def _expect_headers(self) -> None:
            """Close the connection unless a request's headers are there in time."""
            self._no_timer()
            self._by = self.loop.time() + app.options.body_seconds
            self._timer = self.loop.call_later(app.options.body_seconds, self._give_up)

        def _no_timer(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _give_up(self) -> None:
            self._timer = None
            left = self._by - self.loop.time()
            if self._taken is not None or self._held:
                return  # what becomes of the request sets the next one
            if left > 0:
                self._timer = self.loop.call_later(left, self._give_up)
            elif not self.transport.is_closing():
                self.transport.close()

    return DirectProtocol


class _Taken:
    """A request that is being scored: its head, what was read of it, as it came, and when by `time.perf_counter`."""

    __slots__ = ("began", "data", "head", "read")

    def __init__(self, head: Head, read: Asked, data: bytes, began: float) -> None:
        self.head, self.read, self.data, self.began = head, read, data, began
