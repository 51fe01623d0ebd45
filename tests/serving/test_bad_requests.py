"""What is wrong with a request is said with a 4xx that names the column, and the server goes on."""

from __future__ import annotations

import io
import json
import socket
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synml_dagster.serving import create_app
from tests.serving.conftest import as_json, running

JSON, CSV, PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"
INFER = "/v2/models/by_accepted/infer"


def parquet(columns: dict, **options) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, **options)
    return out.getvalue()


def tensor(**changes) -> bytes:
    told = {"name": "age", "shape": [1], "datatype": "INT32", "data": [30]} | changes
    return json.dumps({"inputs": [{k: v for k, v in told.items() if v is not None}]}).encode()


def record(**values) -> bytes:
    return json.dumps({"dataframe_records": [values]}).encode()


WHOLE = parquet({"age": list(range(1000))})

# path, media type, body, status, what the message says
MALFORMED = {
    "empty": ("/invocations", JSON, b"", 400, "no JSON"),
    "no json": ("/invocations", JSON, b"age=39", 400, "no JSON: Expecting value at line 1, column 1"),
    "cut short": ("/invocations", JSON, b'{"instances": [{"age": 3', 400, "no JSON"),
    "two documents": ("/invocations", JSON, b'{"instances": [{"age": 3}]} {}', 400, "Extra data"),
    "single quotes": ("/invocations", JSON, b"{'instances': [{'age': 3}]}", 400, "no JSON"),
    "no utf-8": ("/invocations", JSON, b'{"instances": [{"city": "\xff\xfe"}]}', 400, "no UTF-8"),
    "half a character": ("/invocations", JSON, b'{"instances": [{"city": "\\ud800"}]}', 400, "'city' is text with half"),
    "a list": ("/invocations", JSON, b"[1, 2]", 400, "no JSON object"),
    "a number": ("/invocations", JSON, b"7", 400, "no JSON object"),
    "null": ("/invocations", JSON, b"null", 400, "no JSON object"),
    "deep": ("/invocations", JSON, b'{"instances": ' + b"[" * 60_000, 400, "nested too deep"),
    "long number": ("/invocations", JSON, b'{"instances": [{"age": ' + b"9" * 5000 + b"}]}", 400, "can be read"),
    "name twice": ("/invocations", JSON, b'{"instances": [{"age": 3, "age": 4}]}', 400, "'age' is twice"),
    "no form": ("/invocations", JSON, b'{"rows": []}', 400, "none of them"),
    "no key at all": ("/invocations", JSON, b"{}", 400, "none of them"),
    "two forms": ("/invocations", JSON, b'{"instances": [], "inputs": {}}', 400, "instances and inputs"),
    "more beside": ("/invocations", JSON, b'{"instances": [{"age": 3}], "signature": 1}', 400, "'signature' beside"),
    "params": ("/invocations", JSON, b'{"instances": [{"age": 3}], "params": {"a": 1}}', 400, "no params"),
    "no rows": ("/invocations", JSON, b'{"instances": []}', 400, "no rows"),
    "empty columns": ("/invocations", JSON, b'{"inputs": {"age": []}}', 400, "no rows"),
    "no columns": ("/invocations", JSON, b'{"inputs": {}}', 400, "no rows"),
    "rows without names": ("/invocations", JSON, b'{"instances": [[1, 2]]}', 400, "object of column to value"),
    "inputs without names": ("/invocations", JSON, b'{"inputs": [[1, 2]]}', 400, "object of column to its values"),
    "mixed rows": ("/invocations", JSON, b'{"dataframe_records": [{"age": 1}, 2]}', 400, "row 1 is no object"),
    "records an object": ("/invocations", JSON, b'{"dataframe_records": {"age": 1}}', 400, "a list of rows"),
    "column no list": ("/invocations", JSON, b'{"inputs": {"age": 3}}', 400, "'age' is no list"),
    "uneven columns": ("/invocations", JSON, b'{"inputs": {"age": [3], "visits": [1, 2]}}', 400, "'visits' has 2 values where 'age' has 1"),
    "split no object": ("/invocations", JSON, b'{"dataframe_split": []}', 400, "an object with 'columns' and 'data'"),
    "split no columns": ("/invocations", JSON, b'{"dataframe_split": {"data": [[1]]}}', 400, "'columns' is a list"),
    "split no data": ("/invocations", JSON, b'{"dataframe_split": {"columns": ["age"]}}', 400, "'data' is a list"),
    "split more": ("/invocations", JSON, b'{"dataframe_split": {"columns": ["age"], "data": [[1]], "dtypes": []}}', 400, "'dtypes' is unknown"),
    "split twice": ("/invocations", JSON, b'{"dataframe_split": {"columns": ["age", "age"], "data": [[1, 2]]}}', 400, "'age' is there twice"),
    "split numbers": ("/invocations", JSON, b'{"dataframe_split": {"columns": [1], "data": [[1]]}}', 400, "names of columns are text"),
    "split wide": ("/invocations", JSON, b'{"dataframe_split": {"columns": ["age"], "data": [[1], [1, 2]]}}', 400, "row 1 has 2 values for 1 columns"),
    "split flat": ("/invocations", JSON, b'{"dataframe_split": {"columns": ["age"], "data": [1]}}', 400, "row 0 is no list"),
    "word for number": ("/invocations", JSON, record(age="old"), 400, "row 0: 'age' is not a number"),
    "fraction for whole": ("/invocations", JSON, record(age=3.5), 400, "'age' is not a whole number"),
    "too large": ("/invocations", JSON, record(age=2**70), 400, "'age' is out of the range of bigint"),
    "list for number": ("/invocations", JSON, record(age=[3]), 400, "'age' is a list where the model takes a number"),
    "object for text": ("/invocations", JSON, record(city={"name": "Oslo"}), 400, "'city' is an object"),
    "no truth": ("/invocations", JSON, record(member="perhaps"), 400, "'member' is not true or false"),
    "no date": ("/invocations", JSON, record(joined="tomorrow"), 400, "'joined' is not a date"),
    "number for date": ("/invocations", JSON, record(joined=18_000), 400, "'joined' is a number where the model takes a date"),
    "no moment": ("/invocations", JSON, record(seen="2021-02-30 10:00:00"), 400, "'seen' is not a timestamp"),
    "unknown columns": ("/invocations", JSON, record(colour="red"), 400, "lack 9 columns"),
    "misspelt": ("/invocations", JSON, record(age=3, wieght=3), 400, "no column 'wieght', and the rows lack 8 that it takes. Did you mean"),
    "csv empty": ("/invocations", CSV, b"", 400, "without a line of names"),
    "csv names alone": ("/invocations", CSV, b"age,city\n", 400, "no rows"),
    "csv ragged": ("/invocations", CSV, b"age,city\n3,Oslo\n3\n", 400, "row 1 has 1 values for 2 columns"),
    "csv quote": ("/invocations", CSV, b'age,city\n3,"Oslo\n', 400, "no CSV"),
    "csv latin": ("/invocations", CSV, b"age,city\n3,Troms\xf8\n", 400, "no UTF-8"),
    "csv word": ("/invocations", CSV, b"age\nold\n", 400, "'age' is not a number"),
    "parquet empty": ("/invocations", PARQUET, b"", 400, "no Parquet"),
    "parquet cut short": ("/invocations", PARQUET, WHOLE[: len(WHOLE) // 2], 400, "no Parquet"),
    "parquet torn": ("/invocations", PARQUET, WHOLE[:40] + b"\xff" * 400 + WHOLE[440:], 400, ""),
    "parquet of lists": ("/invocations", PARQUET, parquet({"age": [[1, 2]]}), 400, "'age' is a list"),
    "media type": ("/invocations", "application/xml", b"<a/>", 415, "application/json or text/csv or"),
    "charset": ("/invocations", "application/json; charset=latin-1", b"{}", 415, "UTF-8"),
    "v2 nothing": (INFER, JSON, b"{}", 400, "'inputs' is a list of tensors"),
    "v2 more": (INFER, JSON, b'{"inputs": [], "model": 1}', 400, "'model' is unknown"),
    "v2 no tensor": (INFER, JSON, b'{"inputs": [7]}', 400, "an object with 'name'"),
    "v2 no shape": (INFER, JSON, tensor(shape=None), 400, "'age': 'shape' is"),
    "v2 shape": (INFER, JSON, tensor(shape=[1, 2, 3]), 400, "'age': 'shape' is"),
    "v2 negative": (INFER, JSON, tensor(shape=[-1]), 400, "'age': 'shape' is"),
    "v2 too few": (INFER, JSON, tensor(shape=[2]), 400, "'age': 1 values do not fill"),
    "v2 datatype": (INFER, JSON, tensor(datatype="INT7"), 400, "datatype 'INT7' is none of"),
    "v2 no data": (INFER, JSON, tensor(data=None), 400, "'age': 'data' is a list"),
    "v2 other data": (INFER, JSON, tensor(data=["x"]), 400, "'age': value 0 is no INT32"),
    "v2 width": (INFER, JSON, tensor(shape=[1, 2], data=[1, 2]), 400, "'age' is a list"),
    "v2 id": (INFER, JSON, tensor()[:-1] + b', "id": 7}', 400, "'id' is text"),
    "v2 output": (INFER, JSON, tensor()[:-1] + b', "outputs": [{"name": "probabilty"}]}', 400, "Did you mean 'probability'?"),
    "v2 csv": (INFER, CSV, b"age\n3\n", 415, "application/json"),
    "v2 other model": ("/v2/models/other/infer", JSON, tensor(), 404, "no model 'other' here; 'by_accepted' is"),
    "v2 other version": ("/v2/models/by_accepted/versions/77/infer", JSON, tensor(), 404, "'77' of 'by_accepted' does not serve"),
    "v2 no such path": ("/v2/models/by_accepted/other/infer", JSON, tensor(), 404, "There is nothing at"),
    "elsewhere": ("/predict", JSON, b"{}", 405, "GET"),
}  # fmt: skip


@pytest.fixture(scope="module")
def client(bundles):
    with running(create_app(bundles["accepted"], max_body=200_000, max_rows=5000)) as found:
        yield found


@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_body_is_a_4xx_that_says_why(client, what):
    path, kind, body, status, told = MALFORMED[what]
    answer = client.post(path, body, kind)
    message = answer.json["error" if path.startswith("/v2") else "message"]
    assert (answer.status, told in message) == (status, True), (answer.status, message)
    assert len(message) < 600


def test_there_are_sixty_and_more_of_them_and_the_server_lives_and_its_memory_is_flat(client, table):
    assert len(MALFORMED) >= 60
    good = {"instances": as_json(table.slice(0, 1))}
    want = client.post("/invocations", good).json

    def round_trip():
        with client:
            for path, kind, body, status, _ in MALFORMED.values():
                assert client.post(path, body, kind).status == status
            assert client.post("/invocations", good).json == want

    for _ in range(5):
        round_trip()
    before = resident()
    for _ in range(20):
        round_trip()
    assert resident() - before < 16 * 2**20
    assert client.metric("synml_in_flight") == 0


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def test_limits_of_body_and_rows_are_413(client):
    large = b'{"instances": [{"city": "' + b"x" * 300_000 + b'"}]}'
    answer = client.post("/invocations", large)
    assert (answer.status, "300029 bytes, and 200000 are allowed" in answer.json["message"]) == (413, True)
    many = b"age\n" + b"3\n" * 5001
    for body, kind in ((many, CSV), (parquet({"age": [1] * 5001}), PARQUET), (json.dumps({"inputs": {"age": [1] * 5001}}).encode(), JSON)):  # fmt: skip
        answer = client.post("/invocations", body, kind)
        assert answer.status == 413, answer.body
        assert "5000" in answer.json["message"]


def test_a_parquet_file_that_unpacks_to_far_more_is_refused(client):
    bomb = parquet({"age": [1] * 4000, "city": ["x" * 100_000] * 4000}, compression="zstd")
    assert len(bomb) < 200_000
    answer = client.post("/invocations", bomb, PARQUET)
    assert answer.status == 413
    assert "'city' holds more text than a request may" in answer.json["message"]


def test_a_body_in_chunks_is_counted_as_it_comes(client):
    def raw(*chunks: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", client.port), 30) as s:
            s.sendall(b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-type: text/csv\r\ntransfer-encoding: chunked\r\n\r\n")  # fmt: skip
            try:
                for chunk in chunks:
                    s.sendall(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                s.sendall(b"0\r\n\r\n")
            except OSError:
                pass  # the server has said enough
            return s.recv(65536)

    assert raw(b"age,ci", b"ty\n39,Oslo\n").startswith(b"HTTP/1.1 200")
    assert raw(b"age\n", *[b"3\n" * 20_000] * 10).startswith(b"HTTP/1.1 413")
    assert client.metric("synml_in_flight") == 0


def test_a_client_that_stalls_is_given_up_and_one_that_leaves_is_forgotten(bundles):
    with running(create_app(bundles["accepted"], body_seconds=0.3)) as client:
        head = b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-type: text/csv\r\ncontent-length: 10\r\n\r\nage"
        with socket.create_connection(("127.0.0.1", client.port), 30) as s:
            s.sendall(head)
            began = time.monotonic()
            assert s.recv(65536).startswith(b"HTTP/1.1 408")
            assert time.monotonic() - began < 5
        with socket.create_connection(("127.0.0.1", client.port), 30) as s:
            s.sendall(head)
        for beginning in (
            b"",
            b"POST /invoc",
            head[:40],
        ):  # headers have their time, too, also behind another request
            with socket.create_connection(("127.0.0.1", client.port), 30) as s:
                s.sendall(b"GET /ping HTTP/1.1\r\nhost: x\r\n\r\n" + beginning if beginning else b"")
                seen = b"".join(iter(lambda s=s: s.recv(65536), b""))
                assert seen.count(b"HTTP/1.1 200") == bool(beginning)
        for _ in range(100):
            if client.metric("synml_requests_total", path="/invocations", status="499"):
                break
            time.sleep(0.02)
        assert client.metric("synml_requests_total", path="/invocations", status="499") == 1
        assert client.metric("synml_in_flight") == 0


def test_methods_and_paths_that_are_not_there_are_told(client):
    answer = client.get("/invocations")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert client.ask("DELETE", "/ping").status == 405
    told = client.get("/nothing")
    assert told.status == 404
    assert "/invocations and /v2/models/by_accepted/infer" in told.json["message"]
    assert client.ask("HEAD", "/ping").status == 200
    compressed = client.post("/invocations", b"\x1f\x8b", JSON, **{"content-encoding": "gzip"})
    assert (compressed.status, "'gzip'" in compressed.json["message"]) == (415, True)


def test_an_error_inside_says_nothing_of_the_row_and_fails_no_other(bundles, table, caplog, monkeypatch):
    """A graph that fails on some rows: its own request gets 500, those that were scored with it get answers."""
    from synml_dagster.onnx import RowScorer

    exact = RowScorer.score

    def fails(self, rows):
        if "secret" in rows.columns[3]:
            raise RuntimeError("boom")
        return exact(self, rows)

    with running(create_app(bundles["accepted"])) as client:
        monkeypatch.setattr(RowScorer, "score", fails)
        good = {"instances": as_json(table.slice(0, 1))}
        bad = {"instances": [as_json(table.slice(0, 1))[0] | {"city": "secret"}]}
        answers = _together(client, [good, bad] * 8)
    assert [a.status for a in answers] == [200, 500] * 8
    assert b"secret" not in answers[1].body
    assert "secret" not in caplog.text.replace('"secret" in rows', "")


def _together(client, bodies):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(lambda body: client.post("/invocations", body), bodies))
