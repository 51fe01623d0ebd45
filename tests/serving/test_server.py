"""The server under load, its health and its figures, its start and its end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from synml_dagster.errors import ModelError, SetupError
from synml_dagster.serving import create_app
from synml_dagster.serving.server import bind
from tests.servers import free_port
from tests.serving.conftest import Client, as_json, running

ROOT = Path(__file__).parents[2]


def test_health_version_and_figures_are_told(serve, bundles, table):
    client = serve(bundles["accepted"])
    for path in ("/ping", "/health"):
        assert (client.get(path).status, client.get(path).body) == (200, b"\n")
    assert client.get("/v2/health/live").json == {"live": True}
    assert client.get("/v2/health/ready").json == {"ready": True}
    assert client.get("/v2/models/by_accepted/ready").json == {"ready": True}
    told = client.get("/version").json
    assert (told["model"], set(told)) == ("by_accepted", {"synml_dagster", "model", "version"})
    client.post("/invocations", {"instances": as_json(table.slice(0, 3))})
    client.post("/invocations", {"instances": [{"age": "old"}]})
    assert client.metric("synml_rows_total") == 3
    assert client.metric("synml_requests_total", path="/invocations", status="200") == 1
    assert client.metric("synml_requests_total", path="/invocations", status="400") == 1
    assert client.metric("synml_request_seconds_count", path="/invocations") == 2
    assert client.metric("synml_model_info", name="by_accepted", version=told["version"]) == 1
    text = client.get("/metrics")
    assert text.headers["content-type"].startswith("text/plain; version=0.0.4")
    for line in text.body.decode().splitlines():
        assert line.startswith("#") or float(line.rpartition(" ")[2]) >= 0


def test_requests_that_wait_are_scored_together_and_each_gets_its_own_rows(bundles, exported, table):
    from synml_dagster.onnx import Scorer

    want = Scorer(exported["accepted"]).score(table).to_pylist()
    told = as_json(table)
    with running(create_app(bundles["accepted"], max_queue=64)) as client:

        def ask(worker: int) -> None:
            with Client(client.port) as mine:
                for i in range(worker, 600, 16):
                    rows = told[i : i + 1 + i % 3]
                    found = mine.post("/invocations", {"instances": rows}).json["predictions"]
                    assert found == want[i : i + len(rows)]

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(ask, range(16)))
        assert client.metric("synml_rows_total") > client.metric("synml_batch_rows_count")


def test_a_single_client_waits_for_nobody(serve, bundles, table):
    """There is no timer: each request of one connection is a batch of its own, at once."""
    body = {"instances": as_json(table.slice(0, 1))}
    with serve(bundles["accepted"]) as client:
        for _ in range(50):
            client.post("/invocations", body)
        assert client.metric("synml_batch_rows_count") == 50
        assert client.metric("synml_batch_rows_bucket", le="1") == 50


def test_a_full_server_says_so_at_once_and_answers_those_that_are_in(bundles, table):
    app = create_app(bundles["accepted"], max_queue=4, threads=1)
    gate = threading.Event()
    model = app.deployment.current
    slow = type(model).score

    class Slow(type(model)):
        def score(self, rows):
            gate.wait(30)
            return slow(self, rows)

    object.__setattr__(model, "__class__", Slow)
    large = {"instances": as_json(table) * 2}  # in the thread, so that the loop goes on
    with running(app) as client, ThreadPoolExecutor(16) as pool:
        first = [pool.submit(client.post, "/invocations", large) for _ in range(4)]
        _until(lambda: client.metric("synml_in_flight") == 4)
        began = time.monotonic()
        refused = [client.post("/invocations", large) for _ in range(12)]
        assert time.monotonic() - began < 10
        assert {a.status for a in refused} == {503}
        assert {a.headers["retry-after"] for a in refused} == {"1"}
        assert client.get("/ping").status == 200
        gate.set()
        assert [f.result().status for f in first] == [200] * 4
        assert client.metric("synml_rejected_total", reason="queue") == 12
        assert client.post("/invocations", large).status == 200


def test_bodies_together_have_a_limit_too(bundles):
    """Four bodies of the largest size may be in; a fifth is turned away before it is read."""
    with running(create_app(bundles["accepted"], max_body=100_000)) as client:
        head = b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-type: text/csv\r\ntransfer-encoding: chunked\r\n\r\n"
        chunk = b"x" * 99_000
        held = []
        for _ in range(4):
            s = socket.create_connection(("127.0.0.1", client.port), 30)
            s.sendall(head + b"%x\r\n%s\r\n" % (len(chunk), chunk))
            held.append(s)
        _until(lambda: client.metric("synml_in_flight") == 4)
        _until(lambda: client.post("/invocations", b"age\n" + b"3\n" * 20_000, "text/csv").status == 503)
        assert client.metric("synml_rejected_total", reason="bytes") >= 1
        for s in held:
            s.close()
        _until(lambda: client.post("/invocations", b"age\n3\n", "text/csv").status == 200)
        assert client.metric("synml_in_flight") == 0


def test_it_can_be_mounted_in_an_application_of_ones_own(bundles, table):
    """A server that tells a mounted application nothing of its start, as Starlette's Mount does."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.routing import Mount

    app = create_app(bundles["accepted"])
    listening = bind("127.0.0.1", 0)
    outer = Starlette(routes=[Mount("/models/adult", app=app)])
    server = uvicorn.Server(uvicorn.Config(outer, log_level="warning", log_config=None))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    _until(lambda: server.started)
    client = Client(listening.getsockname()[1])
    body = {"instances": as_json(table.slice(0, 1))}
    assert client.post("/models/adult/invocations", body).status == 200
    assert client.get("/models/adult/v2/health/ready").status == 200
    large = {"instances": as_json(table.slice(0, 600))}
    assert len(client.post("/models/adult/invocations", large).json["predictions"]) == 600
    server.should_exit = True
    thread.join(20)
    app.stop()


def test_a_port_that_is_taken_is_told_before_the_model_is_opened():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SetupError, match=f"Port {port} of 127.0.0.1 is taken"):
            bind("127.0.0.1", port)
    with pytest.raises(SetupError, match=r"no address of this machine"):
        bind("192.0.2.1", 0)
    with pytest.raises(SetupError, match="is no address"):
        bind("no such host", 0)


def test_models_that_do_not_open_are_told(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match="is not an ONNX model"):
        create_app(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="There is no ONNX model at"):
        create_app(tmp_path / "empty")


def synml(*arguments: object, **more: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "synml_dagster.cli", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | more,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_the_command_serves_and_ends_in_order(bundles, table):
    port = free_port()
    process = synml(
        "serve", bundles["accepted"], "--port", port, "--max-queue", 500, "--shutdown-seconds", 10
    )
    try:
        client = Client(port)
        _until(lambda: _answers(client), 60)
        body = {"instances": as_json(table.slice(0, 1))}
        assert client.post("/invocations", body).status == 200
        assert client.metric("synml_in_flight_limit") == 500
        # A request that is in when the server is told to end is answered.
        with socket.create_connection(("127.0.0.1", port), 30) as s:
            s.sendall(
                b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-type: text/csv\r\ncontent-length: 8\r\n\r\nage\n"
            )
            _until(lambda: client.metric("synml_in_flight") == 1)
            process.send_signal(signal.SIGTERM)
            _until(lambda: not _answers(client), 20)
            s.sendall(b"39\n\n")
            assert s.recv(65536).startswith(b"HTTP/1.1 200")
        assert process.wait(20) in (0, -signal.SIGTERM)
        assert f"is served on http://127.0.0.1:{port}" in process.stderr.read()
    finally:
        process.kill()
        process.communicate()


def test_the_command_says_in_one_line_what_is_wrong(bundles, tmp_path):
    wrong = {
        (): "the following arguments are required: model",
        (tmp_path / "nothing",): "There is no model at",
        ("models:/adult",): "write models:/name@alias",
        (bundles["accepted"], "--port", 70_000): "--port 70000 is none",
        (bundles["accepted"], "--max-queue", 0): "--max-queue 0: Input should be greater than or equal to 1",
    }
    started = {arguments: synml("serve", *arguments) for arguments in wrong}
    for arguments, process in started.items():
        _, told = process.communicate(timeout=120)
        assert process.returncode == 2, told
        assert wrong[arguments] in told, told
        assert "Traceback" not in told


def _answers(client: Client) -> bool:
    try:
        return client.get("/ping").status == 200
    except OSError:
        return False


def _until(true, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.02)


@pytest.mark.parametrize("pieces", [1, 2])
def test_a_burst_beyond_what_a_turn_can_score_is_refused_at_once(bundles, table, exported, pieces):
    """Requests that come in one piece are refused unread, those in two after they are whole; connections stay usable."""
    from synml_dagster.onnx import Scorer

    body = json.dumps({"instances": as_json(table.slice(0, 1))}).encode()
    request = (
        b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
        % (len(body), body)
    )
    want = json.dumps({"predictions": Scorer(exported["accepted"]).score(table.slice(0, 1)).to_pylist()})
    cut = len(request) if pieces == 1 else len(request) - 20
    with running(create_app(bundles["accepted"], max_wait=1e-9)) as client:
        held = [socket.create_connection(("127.0.0.1", client.port), 30) for _ in range(150)]
        statuses: Counter = Counter()
        for _ in range(20):
            for part in (request[:cut], request[cut:]):
                for s in held:
                    s.sendall(part)
            for s in held:
                status, answer = _read_answer(s)
                statuses[status] += 1
                assert (json.loads(answer) == json.loads(want)) is (status == 200)
            if set(statuses) == {200, 503}:
                break
        assert set(statuses) == {200, 503}
        assert client.metric("synml_rejected_total", reason="wait") == statuses[503]
        told = sum(
            client.metric("synml_requests_total", path="/invocations", status=s) for s in ("200", "503")
        )
        assert told == statuses.total()
        for s in held:  # one by one there is room
            s.sendall(request)
            assert _read_answer(s)[0] == 200
            s.close()
        assert client.metric("synml_in_flight") == 0


def _read_answer(s: socket.socket) -> tuple[int, bytes]:
    seen = b""
    while b"\r\n\r\n" not in seen:
        seen += s.recv(65536)
    head, _, body = seen.partition(b"\r\n\r\n")
    length = int(next(h for h in head.lower().split(b"\r\n") if h.startswith(b"content-length:"))[15:])
    while len(body) < length:
        body += s.recv(65536)
    assert len(body) == length
    if b" 503 " in head:
        assert b"retry-after: 1" in head.lower()
    return int(head[9:12]), body
