"""Requests that come whole take a shorter way, and are answered as those that take the usual one."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator

import pytest

from synml_dagster.serving import create_app
from synml_dagster.serving.server import bind, listeners, uvicorn_server
from tests.serving import conftest
from tests.serving.conftest import as_json, running

ONE_PIECE = b"POST %s HTTP/1.1\r\nhost: x\r\n%scontent-length: %d\r\n\r\n%s"
CHUNKED = b"POST %s HTTP/1.1\r\nhost: x\r\n%stransfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
INFER = b"/v2/models/by_accepted/infer"


@pytest.fixture(scope="module")
def served(bundles):
    with running(create_app(bundles["accepted"])) as client:
        yield client


@pytest.fixture
def connection(served) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", served.port), 30) as opened:
        yield opened


def plain(path: bytes, body: bytes, headers: bytes = b"content-type: application/json\r\n") -> bytes:
    return ONE_PIECE % (path, headers, len(body), body)


def read_answer(s: socket.socket, seen: bytes = b"") -> tuple[int, dict[str, str], bytes, bytes]:
    """Status, headers and body of one answer, and what came behind it."""
    while b"\r\n\r\n" not in seen:
        seen += (got := s.recv(65536))
        assert got, "the connection was closed"
    head, _, body = seen.partition(b"\r\n\r\n")
    line, *fields = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (f.partition(":") for f in fields)}
    length = int(headers["content-length"])
    while len(body) < length:
        body += s.recv(65536)
    return int(line.split()[1]), headers, body[:length], body[length:]


def rows(table, count: int = 1) -> bytes:
    return json.dumps({"instances": as_json(table.slice(0, count))}).encode()


CASES = {
    "one row": (b"/invocations", None, b""),
    "no media type": (b"/invocations", None, b"x-other: 1\r\n"),
    "kept alive": (b"/invocations", None, b"Connection: Keep-Alive\r\nContent-Type: Application/JSON; charset=UTF-8\r\n"),
    "an id": (b"/invocations", None, b"X-Request-ID: a\xe9b\r\n"),
    "tensors": (INFER, b'{"inputs": [{"name": "age", "shape": [1], "datatype": "INT32", "data": [30]}], "id": "7"}', b""),
    "no such model": (b"/v2/models/other/infer", b"{}", b""),
    "a word for a number": (b"/invocations", b'{"instances": [{"age": "old"}]}', b""),
    "no json": (b"/invocations", b"age=39", b""),
    "csv": (b"/invocations", b"age\n39\n", b"content-type: text/csv\r\n"),
    "compressed": (b"/invocations", b"...", b"content-encoding: gzip\r\n"),
    "another character set": (b"/invocations", b"{}", b"content-type: application/json; charset=utf-16\r\n"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_answer_is_that_of_the_usual_way(served, table, connection, case):
    path, body, headers = CASES[case]
    body = rows(table) if body is None else body
    connection.sendall(ONE_PIECE % (path, headers, len(body), body))
    found = read_answer(connection)
    connection.sendall(CHUNKED % (path, headers, len(body), body))
    usual = read_answer(connection)
    for answer in (found, usual):
        assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT", answer[1].pop("date"))
    assert found == usual
    assert found[0] in (200, 400, 404, 415)


def test_a_head_and_its_body_may_come_apart(served, table, connection):
    """As http.client, requests and urllib3 send them; and slower than that, byte by byte, too."""
    body = rows(table)
    whole = plain(b"/invocations", body)
    end = whole.index(b"\r\n\r\n") + 4
    answers = []
    for pieces, pause in (
        ([whole], 0),
        ([whole[:end], whole[end:]], 0.001),
        ([whole[:end], whole[end:-9], whole[-9:]], 0.02),
        ([whole[:20], whole[20:end], whole[end:]], 0.02),
    ):
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause)
        answers.append(read_answer(connection)[2])
    assert len(set(answers)) == 1


def test_requests_sent_without_waiting_are_answered_in_their_order(served, table, connection):
    bodies = [rows(table.slice(i), 1 + i % 3) for i in range(12)]
    alone = []
    for body in bodies:
        connection.sendall(plain(b"/invocations", body))
        alone.append(read_answer(connection)[2])
    connection.sendall(b"".join(plain(b"/invocations", body) for body in bodies))
    seen = b""
    for want in alone:
        _, _, found, seen = read_answer(connection, seen)
        assert found == want
    for body in bodies:  # each by itself, while those before it are scored
        connection.sendall(plain(b"/invocations", body))
    for want in alone:
        _, _, found, seen = read_answer(connection, seen)
        assert found == want


@pytest.mark.parametrize(
    "headers",
    [
        b"content-length: 5\r\n",
        b"transfer-encoding: chunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"x-a: 1\nx-b: 2\r\n",
        b" folded: 1\r\n",
        b"x-nul: \x00\r\n",
        b"x y: 1\r\n",
    ],
)
def test_a_request_that_two_servers_might_read_differently_is_never_taken_for_a_plain_one(
    served, table, connection, headers
):
    before = served.metric("synml_rows_total")
    connection.sendall(plain(b"/invocations", rows(table), headers) + plain(b"/invocations", rows(table)))
    seen = b""
    while got := connection.recv(65536):
        seen += got
    assert seen.startswith(b"HTTP/1.1 400")
    assert seen.count(b"HTTP/1.1") == 1
    assert served.metric("synml_rows_total") == before


def test_what_goes_wrong_while_it_is_scored_is_answered_by_the_usual_way(bundles, table, monkeypatch, caplog):
    app = create_app(bundles["accepted"])
    model = app.deployment.current

    def fails(self, parts):
        raise RuntimeError("out of tune")

    monkeypatch.setattr(type(model), "score_all", fails)
    with running(app) as client, socket.create_connection(("127.0.0.1", client.port), 30) as s:
        for _ in range(2):  # the connection goes on
            s.sendall(plain(b"/invocations", rows(table)))
            status, _, body, _ = read_answer(s)
            assert (status, json.loads(body)["error_code"]) == (500, "INTERNAL_ERROR")
        monkeypatch.undo()
        s.sendall(plain(b"/invocations", rows(table)))
        assert read_answer(s)[0] == 200
        assert client.metric("synml_in_flight") == 0
        assert client.metric("synml_requests_total", path="/invocations", status="500") == 2


def test_many_connections_are_accepted_in_a_turn(bundles, table):
    """uvloop takes one for each handle of the socket; the others would wait for as many turns."""
    pytest.importorskip("uvloop")
    opened = listeners(bind("127.0.0.1", 0))
    assert len(opened) == 16
    assert len({s.getsockname() for s in opened}) == 1
    for s in opened:
        s.close()


@pytest.mark.slow
def test_a_client_that_reads_no_answers_is_not_answered_without_end(served, table):
    """What it does not take waits with it, not in the server."""
    request = plain(b"/invocations", rows(table, 50))
    before = served.metric("synml_rows_total")
    with socket.socket() as s:
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            s.setsockopt(socket.SOL_SOCKET, option, 4096)
        s.connect(("127.0.0.1", served.port))
        s.setblocking(False)
        sent, stalled = 0, 0
        while stalled < 10:
            try:
                sent += s.send(request[sent % len(request) :])
                stalled = 0
            except BlockingIOError:
                stalled += 1
                time.sleep(0.03)
        assert served.metric("synml_rows_total") - before < 50 * sent / len(request)
    assert served.post("/invocations", rows(table)).status == 200


def test_a_body_larger_than_allowed_is_refused_however_small_it_is(serve, bundles, table):
    client = serve(bundles["accepted"], max_body=100)
    body = rows(table)
    assert len(body) > 100
    with socket.create_connection(("127.0.0.1", client.port), 30) as s:
        s.sendall(plain(b"/invocations", body))
        status, _, said, _ = read_answer(s)
    assert status == 413
    assert b"100 are allowed" in said


@pytest.mark.slow
def test_a_request_that_comes_as_its_connection_would_be_closed_is_answered(bundles, table, monkeypatch):
    """The timer of an idle connection runs out while the request is read, or while its body is waited for."""

    def short(app, seconds):
        server = uvicorn_server(app, seconds, moment=3)
        server.config.timeout_keep_alive = 0.6
        return server

    monkeypatch.setattr(conftest, "uvicorn_server", short)
    app = create_app(bundles["accepted"])
    read, slow = app.scoring.read, []

    def slowly(*told):
        time.sleep(0.8 if slow else 0)
        return read(*told)

    monkeypatch.setattr(app.scoring, "read", slowly)
    whole = plain(b"/invocations", rows(table))
    end = whole.index(b"\r\n\r\n") + 4
    usual = b"GET /ping HTTP/1.1\r\nhost: x\r\n\r\n"
    with running(app) as client:
        for before in (usual, whole):
            with socket.create_connection(("127.0.0.1", client.port), 30) as s:
                s.sendall(before)
                read_answer(s)
                slow.append(1)
                s.sendall(whole)
                assert read_answer(s)[0] == 200
                slow.clear()
                s.sendall(before)
                read_answer(s)
                time.sleep(0.3)
                s.sendall(whole[:end])
                time.sleep(0.7)
                s.sendall(whole[end:])
                assert read_answer(s)[0] == 200
                assert s.recv(1) == b""  # and is closed in the end


def test_what_holds_too_many_bytes_is_refused_and_counted_once(bundles, table, monkeypatch):
    app = create_app(bundles["accepted"])
    monkeypatch.setattr(app.gate, "_max_bytes", 10)
    with running(app) as client:
        assert client.post("/invocations", rows(table)).status == 503
        assert client.metric("synml_rejected_total", reason="bytes") == 1
        assert client.metric("synml_requests_total", path="/invocations", status="503") == 1
        assert client.metric("synml_in_flight") == 0
        monkeypatch.undo()
        assert client.post("/invocations", rows(table)).status == 200


@pytest.mark.parametrize("blanks", [0, 1, 1500])
def test_blanks_in_and_around_a_header_are_read_as_a_parser_reads_them(served, table, connection, blanks):
    headers = b"x-request-id:\t " + b"a" + b" " * blanks + b"b" + b" \t\r\n"
    body = rows(table)
    for form in (ONE_PIECE, CHUNKED):
        connection.sendall(form % (b"/invocations", headers, len(body), body))
        status, told, _, _ = read_answer(connection)
        assert (status, told["x-request-id"]) == (200, ("a" + " " * blanks + "b")[:128].strip())


@pytest.mark.parametrize("apart", [False, True])
def test_a_wish_for_another_protocol_is_left_alone_and_the_body_is_the_requests(
    served, table, connection, apart
):
    """As Java's HttpClient asks for HTTP/2 in its first request; a body that is a request itself is none."""
    wish = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n"
    request = plain(b"/invocations", rows(table), wish)
    inside = plain(b"/invocations", plain(b"/invocations", rows(table)), wish)
    other = b"GET /ping HTTP/1.1\r\nhost: x\r\n\r\n"
    for sent, wanted in ((request, 200), (request + other, 200), (inside, 400), (request, 200)):
        end = sent.index(b"\r\n\r\n") + 4
        pieces = [sent[:30], sent[30:end], sent[end:]] if apart else [sent]
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.05 * apart)
        status, _, body, rest = read_answer(connection)
        assert status == wanted
        assert (b"predictions" in body) == (wanted == 200)
        if other in sent:
            status, _, _, rest = read_answer(connection, rest)
            assert status == 200
        connection.settimeout(0.3)
        assert rest == b""
        with pytest.raises(TimeoutError):  # one answer for one request
            connection.recv(1)
        connection.settimeout(30)
