"""A column of answers on classic Spark and on Connect: each distinct input once, and never again."""

from __future__ import annotations

import base64
import logging
import os
from pathlib import Path

import pytest

from synml_dagster.errors import ConfigError, DataError
from synml_dagster.services import Budget, Key, Limits, Policy, Service, call_service
from tests.services.server import Server, fault


def service(server, **more):
    told = {
        "name": "upper",
        "url": f"{server.url}/v1/upper",
        "body": {"t": "{text}"},
        "answer": {"path": "answer"},
    }
    return Service(**(told | {"policy": Policy(first_wait=0.02, deadline=60)} | more))


def upper(seen, nth):
    text = seen.json["t"]
    return fault(400, {"error": {"message": "bad text"}}) if text == "bad" else {"answer": text.upper()}


def test_equal_inputs_are_sent_once_and_finished_ones_never_again(spark, tmp_path):
    rows = [(i, "bad" if i % 50 == 7 else f"t{i % 50}") for i in range(400)]
    frame = spark.createDataFrame([*rows, (400, None)], "id int, text string")
    with Server(upper) as server:
        asked = service(server)
        first = call_service(frame, asked, output="loud", journal=str(tmp_path), senders=2, usage=True)
        assert first.report.rows == 401
        assert first.report.distinct == 51
        assert first.report.calls == server.calls == 50
        assert (first.report.answered, first.report.failed) == (49, 2)
        assert first.report.reasons == {"input": 1, "invalid": 1}
        found = {row["id"]: row for row in first.frame.collect()}
        assert (
            first.frame.where("loud IS NOT NULL").count() == 392
        )  # an action more, and a filter on the answers
        assert server.calls == 50
        assert len(found) == 401
        for i, text in rows:
            value, error = found[i]["loud"], found[i]["loud_error"]
            assert (value is None) != (error is None)
            assert value == (None if text == "bad" else text.upper())
        assert found[7]["loud_error"].asDict() | {"request_id": None} == {
            "reason": "invalid", "status": 400, "message": "HTTP 400: bad text", "attempts": 1, "request_id": None,
        }  # fmt: skip
        assert found[400]["loud_error"]["reason"] == "input"
        second = call_service(frame, asked, output="loud", journal=str(tmp_path))
        assert server.calls == 51  # the one that had an error
        assert second.report.resumed == 49
        assert second.frame.where("loud IS NOT NULL").count() == 392
        # Another parameter is another service; another name, key or limit is the same one.
        other = service(server, name="upper", body={"t": "{text}", "how": "very"})
        assert other.fingerprint() != asked.fingerprint()
        assert (
            service(server, name="else", limits=Limits(in_flight=2), key=Key(env="X")).fingerprint()
            == asked.fingerprint()
        )


def test_inputs_of_every_type_go_out_as_they_are(classic_spark, tmp_path):
    import datetime as dt
    from decimal import Decimal

    schema = "`a.b` string, n bigint, x double, ok boolean, d date, m decimal(10,2), l array<string>, s struct<k:int>, t timestamp"
    told = (
        "q{}é",
        2**60,
        0.1,
        True,
        dt.date(2026, 1, 2),
        Decimal("1.50"),
        ["a", None],
        (3,),
        dt.datetime(2026, 1, 2, 3, 4, 5, 6, dt.UTC),
    )
    with Server(lambda seen, nth: {"n": 1}) as server:
        asked = Service(
            name="types", url=server.url, answer={"path": "n", "type": "bigint"},
            body={"text": "<{a.b}> {n} {ok}", "each": ["{n}", "{x}", "{ok}", "{d}", "{m}", "{l}", "{s}", "{t}", "{a.b}"]},
        )  # fmt: skip
        got = call_service(
            classic_spark.createDataFrame([told], schema), asked, output="one", journal=str(tmp_path)
        )
        assert got.frame.first()["one"] == 1
        sent = server.seen[0].json
    assert sent["text"] == f"<q{{}}é> {2**60} true"
    *others, time, dotted = sent["each"]
    assert others == [2**60, 0.1, True, "2026-01-02", "1.50", ["a", None], {"k": 3}]
    assert time.startswith("2026-01-02T03:04:05.000006")
    assert dotted == "q{}é"


def test_bytes_go_in_and_come_out(classic_spark, tmp_path):
    from aiohttp import web

    frame = classic_spark.createDataFrame([(bytes([i, 0, 255]),) for i in range(5)], "image binary")
    with Server(lambda seen, nth: web.Response(body=seen.body[::-1])) as server:
        asked = Service(
            name="flip", url=server.url, bytes="{image}", content_type="image/png", answer={"type": "binary"}
        )
        got = call_service(frame, asked, output="flipped", journal=str(tmp_path))
        assert sorted(bytes(row["flipped"]) for row in got.frame.collect()) == [
            bytes([255, 0, i]) for i in range(5)
        ]
        assert server.seen[0].headers["content-type"] == "image/png"


def test_a_key_reaches_the_service_and_nothing_else(spark, tmp_path, monkeypatch, capfd, caplog):
    """The workers were started without the variable: the key travels in two halves."""
    caplog.set_level(logging.DEBUG)
    secret = "sk-vErYs3cr3t0123456789"
    monkeypatch.setenv("SYNML_TEST_KEY", secret)
    frame = spark.createDataFrame([("a",), ("bad",)], "text string")
    echoes = fault(400, {"error": {"message": f"the key {secret} may not"}})
    with Server(lambda seen, nth: echoes if seen.json["t"] == "bad" else upper(seen, nth)) as server:
        asked = service(server, key={"env": "ANOTHER_ONE", "header": "api-key", "prefix": ""})
        # The variable's name alone leaves the header as the service wants it.
        got = call_service(frame, asked, output="loud", journal=str(tmp_path), key=Key(env="SYNML_TEST_KEY"))
        shown = repr(got.frame.collect())
        assert server.seen[0].headers["api-key"] == secret
    got.frame.explain(True)
    said = capfd.readouterr()
    kept = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    everywhere = "".join(
        [said.out, said.err, caplog.text, shown, repr(asked), asked.model_dump_json(), repr(got.report)]
    )
    for form in (secret, base64.b64encode(secret.encode()).decode()):
        assert form not in everywhere
        assert form.encode() not in kept


def test_a_missing_key_is_named_before_any_request(spark, tmp_path, monkeypatch):
    monkeypatch.delenv("SYNML_NO_SUCH_KEY", raising=False)
    with Server(upper) as server:
        asked = service(server, key="SYNML_NO_SUCH_KEY")
        with pytest.raises(ConfigError, match="SYNML_NO_SUCH_KEY is not set"):
            call_service(
                spark.createDataFrame([("a",)], "text string"), asked, output="x", journal=str(tmp_path)
            )
        assert server.calls == 0


REFUSED = {
    "no column 'txt'.*Did you mean 'text'": {"input": "txt"},
    "no input 'txet'.*Did you mean 'text'": {"input": {"txet": "text"}},
    "has a column 'id' already": {"output": "id"},
    "senders is 9.*in_flight is 4": {"senders": 9, "limits": Limits(in_flight=4)},
    "senders is 5, and Spark runs 2": {"senders": 5},
    "does not say what takes tokens": {"limits": Limits(tokens_per_minute=5)},
    "budget.tokens": {"budget": Budget(tokens=5)},
}


@pytest.mark.parametrize("said", REFUSED)
def test_what_cannot_be_is_refused_before_any_request(classic_spark, said, tmp_path):
    frame = classic_spark.createDataFrame([(1, "a")], "id int, text string")
    with Server(upper) as server:
        with pytest.raises(ConfigError, match=said):
            call_service(
                frame, service(server), **({"output": "x", "journal": str(tmp_path)} | REFUSED[said])
            )
        assert server.calls == 0


def test_a_column_that_no_request_can_hold_is_named(classic_spark, tmp_path):
    frame = classic_spark.sql("SELECT map('a', 1) AS text")
    with Server(upper) as server, pytest.raises(DataError, match="'text' holds map"):
        call_service(frame, service(server), output="x", journal=str(tmp_path))


def test_a_type_that_is_none_is_refused(classic_spark, tmp_path):
    frame = classic_spark.createDataFrame([("a",)], "text string")
    with Server(upper) as server, pytest.raises(ConfigError, match="no type of a column"):
        call_service(
            frame, service(server, answer={"path": "a", "type": "strnig"}), output="x", journal=str(tmp_path)
        )


def test_a_killed_worker_costs_what_it_had_in_flight(classic_spark, tmp_path):
    """The job is begun again, and what the worker had finished is not sent again."""
    state = {"killed": False}
    here = os.getpid()

    async def answer(seen, nth):
        import asyncio

        await asyncio.sleep(0.005)
        if server.calls >= 150 and not state["killed"]:
            state["killed"] = True
            kill_worker(here)
        return upper(seen, nth)

    frame = classic_spark.createDataFrame([(f"t{i}",) for i in range(300)], "text string")
    with Server(answer) as server:
        got = call_service(
            frame, service(server), output="loud", journal=str(tmp_path), limits=Limits(in_flight=8)
        )
        assert state["killed"]
        assert got.frame.where("loud IS NULL").count() == 0
        assert 300 <= server.calls <= 300 + 8


def kill_worker(ancestor):
    """Kill the Python workers that hold a log of the journal open: those that send."""
    import signal

    for folder in Path("/proc").glob("[0-9]*"):
        try:
            held = [os.readlink(one) for one in (folder / "fd").iterdir()]
        except OSError:
            continue
        if int(folder.name) != ancestor and any(
            path.endswith(".log") and "/answers/run=" in path for path in held
        ):
            os.kill(int(folder.name), signal.SIGKILL)
