"""The Batch API on a real socket: each row in one batch, once, whatever is killed; a value or an error for each in the end."""

from __future__ import annotations

import email
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from aiohttp import web

from synml_dagster.errors import ConfigError, SetupError
from synml_dagster.services import Policy, Prices, batches, call_service, openai
from synml_dagster.services.batches.client import Client, asked
from synml_dagster.services.batches.records import Record, Records
from synml_dagster.services.batches.sending import Sending
from synml_dagster.services.description import Budget
from synml_dagster.services.journal.place import Place
from synml_dagster.services.run import Run
from tests.services.server import Server, fault, reset
from tests.services.test_openai import completion, sdk

QUICK = Policy(first_wait=0.01, longest_wait=0.05, deadline=600)


def parts(seen):
    """The parts of a multipart body: name -> (file name, content)."""
    message = email.message_from_bytes(
        b"Content-Type: " + seen.headers["content-type"].encode() + b"\r\n\r\n" + seen.body
    )
    return {
        part.get_param("name", header="content-disposition"): (
            part.get_filename(),
            part.get_payload(decode=True),
        )
        for part in message.get_payload()
    }


class Service:
    """Batches as the API has them: they end when `end` says so."""

    def __init__(self):
        self.files, self.batches, self.lost, self.ended = {}, {}, 0, "completed"

    def __call__(self, seen, nth):
        path = seen.path.removeprefix("/v1")
        if (seen.method, path) == ("POST", "/files"):
            told = parts(seen)
            assert told["purpose"][1] == b"batch"
            name = f"file-{len(self.files)}"
            self.files[name] = told["file"][1]
            return {
                "id": name,
                "object": "file",
                "purpose": "batch",
                "filename": told["file"][0],
                "bytes": 1,
                "created_at": 1,
                "status": "processed",
            }
        if (seen.method, path) == ("POST", "/batches"):
            told = seen.json
            name = f"batch_{len(self.batches)}"
            self.batches[name] = {
                "id": name, "object": "batch", "status": "validating", "created_at": 1, "output_file_id": None, "error_file_id": None,
            } | told  # fmt: skip
            if self.lost:
                self.lost -= 1
                return reset  # the batch is there, and nobody is told
            return self.batches[name]
        if path == "/batches":
            names = sorted(self.batches, reverse=True)
            start = names.index(seen.query["after"]) + 1 if "after" in seen.query else 0
            return {
                "object": "list",
                "data": [self.batches[n] for n in names[start : start + 1]],
                "has_more": start + 1 < len(names),
            }
        if path.startswith("/batches/"):
            return self.batches[path.rpartition("/")[2]]
        return web.Response(body=self.files[path.split("/")[2]])

    def rows(self):
        return [
            line["body"]["messages"][0]["content"]
            for one in self.batches.values()
            for line in self.requests(one)
        ]

    def requests(self, batch):
        return [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]

    def end(self, name, answer, status="completed"):
        batch, good, bad = self.batches[name], [], []
        for line in self.requests(batch):
            made = answer(line["body"]["messages"][0]["content"])
            if made is None:
                continue
            code, body = made if isinstance(made, tuple) else (200, made)
            told = {
                "id": "r",
                "custom_id": line["custom_id"],
                "response": {"status_code": code, "request_id": "q1", "body": body},
                "error": None,
            }
            (good if code == 200 else bad).append(told)
        for kind, lines in (("output", good), ("error", bad)):
            if lines:
                self.files[f"{kind}-{name}"] = "\n".join(map(json.dumps, lines[::-1])).encode() + b"\n"
                batch[f"{kind}_file_id"] = f"{kind}-{name}"
        batch["status"] = status


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("SYNML_OPENAI_TEST", "sk-test")


def chat(server, **more):
    told = {
        "model": "m",
        "prompt": "Sum up: {text}",
        "base_url": f"{server.url}/v1",
        "key": "SYNML_OPENAI_TEST",
        "policy": QUICK,
    }
    return openai.chat(**(told | more))


def answer(prompt):
    text = prompt.removeprefix("Sum up: ")
    if text == "bad":
        return 400, {"error": {"message": "no such text", "code": "bad_text"}}
    return (
        None
        if text == "lost"
        else completion("half", finish="length")
        if text == "long"
        else completion(text.upper())
    )


def test_rows_go_into_batches_once_and_each_ends_with_a_value_or_an_error(spark, tmp_path):
    service, journal = Service(), str(tmp_path)
    texts = [f"t{i % 20}" for i in range(40)] + ["bad", "long", "lost", None]
    frame = spark.createDataFrame([(i, text) for i, text in enumerate(texts)], "id int, text string")
    with Server(service) as server:
        told = chat(server, prices=Prices(input=1e6, output=0))
        sent = batches.submit(frame, told, journal=journal, most_requests=10)
        assert (sent.rows, sent.distinct, sent.finished, sent.waiting, sent.rejected) == (44, 24, 0, 0, 1)
        assert [one.requests for one in sent.batches] == [10, 10, 3]
        assert sorted(service.rows()) == sorted({f"Sum up: {text}" for text in texts if text})
        first = service.requests(service.batches["batch_0"])[0]
        assert (first["method"], first["url"], len(first["custom_id"])) == (
            "POST",
            "/v1/chat/completions",
            32,
        )
        assert first["body"]["model"] == "m"
        again = batches.submit(frame, told, journal=journal)
        assert (again.waiting, again.batches, len(service.batches)) == (23, (), 3)
        assert [one.status for one in batches.look(told, journal=journal)] == ["validating"] * 3

        service.end("batch_0", answer)
        part = batches.collect(frame, told, output="short", journal=journal)
        assert part.report.reasons["waiting"] == 13
        service.end("batch_1", answer, "expired")
        service.end("batch_2", answer, "cancelled")
        got = batches.collect(frame, told, output="short", journal=journal, usage=True)
        assert batches.look(told, journal=journal) == []
        rows = got.frame.collect()
        assert len(rows) == 44
        for row in rows:
            assert (row["short"] is None) != (row["short_error"] is None)
            if str(row["text"]).startswith("t"):
                assert row["short"] == row["text"].upper()
                assert row["short_usage"]["input_tokens"] == 10
                assert row["short_usage"]["cost"] == 5  # a batch costs half
        said = {row["text"]: row["short_error"] for row in rows if row["short_error"]}
        assert {text: error["reason"] for text, error in said.items()} == {
            "bad": "invalid", "long": "length", "lost": "failed", None: "input",
        }  # fmt: skip
        assert said["bad"]["message"] == "HTTP 400 (bad_text): no such text"
        assert "without an answer" in said["lost"]["message"]
        assert (got.report.distinct, got.report.reasons) == (
            24,
            {"input": 1, "invalid": 1, "length": 1, "failed": 1},
        )
        # Further looks and calls ask nothing about what is answered, and what has failed goes once more.
        assert (
            batches.collect(frame, told, output="short", journal=journal)
            .frame.where("short IS NOT NULL")
            .count()
            == 40
        )
        before = len(service.rows())
        rest = batches.submit(frame, told, journal=journal)
        assert (rest.finished, rest.requests, len(service.rows()) - before) == (20, 3, 3)
        assert (
            call_service(frame.where("text LIKE 't%'"), told, output="short", journal=journal).report.calls
            == 0
        )


def records_of(service, folder):
    records = Records(Place.of(str(folder), service, ""))
    record = Record("d1", 1, 1.0)
    records.plan(record, pa.table({"key": ["k"]}), b'{"custom_id":"k"}\n')
    return records, record


def test_a_batch_that_was_submitted_before_the_crash_is_found_and_not_sent_again(tmp_path):
    service = Service()
    with Server(service) as server:
        told = chat(server)
        records, record = records_of(told, tmp_path)
        sending = Sending(told, records, "r", "24h")
        sending.send(record, new=True)
        records.plan(
            record, pa.table({"key": ["k"]}), b'{"custom_id":"k"}\n'
        )  # the crash came before it was written down
        for other in ("a", "b"):
            asked(told, lambda client, other=other: client.create("file-0", other, "24h"))
        done = sending.send(record, new=False)
        assert (done.state, done.batch, len(service.batches), len(service.files)) == (
            "submitted",
            "batch_0",
            3,
            1,
        )
        assert records.all() == [done]
        assert not list(tmp_path.rglob("*.jsonl"))


def test_an_answer_that_is_lost_on_the_way_makes_no_second_batch(tmp_path):
    service = Service()
    service.lost = 1
    with Server(service) as server:
        made = asked(chat(server), lambda client: client.create("file-0", "d1", "24h"))
        assert (made["id"], len(service.batches)) == ("batch_0", 1)


def test_requests_are_what_the_sdk_sends(tmp_path):
    service = Service()
    with Server(service) as server:
        theirs = sdk(server)
        theirs.files.create(file=("synml-d1.jsonl", b"{}\n", "application/jsonl"), purpose="batch")
        theirs.batches.create(
            input_file_id="file-0",
            endpoint="/v1/chat/completions",
            completion_window="24h",
            metadata={"synml_digest": "d1"},
        )
        theirs.batches.retrieve("batch_0")
        theirs.batches.list(limit=100)
        theirs.files.content("file-0")

        async def ours(client: Client):
            await client.upload(b"{}\n", "synml-d1.jsonl")
            await client.create("file-0", "d1", "24h")
            await client.batch("batch_0")
            await client.find("d1")
            assert await client.content("file-0") == b"{}\n"

        asked(chat(server), ours)
        half = len(server.seen) // 2
        for one, other in zip(server.seen[:half], server.seen[half:], strict=True):
            assert (other.method, other.path, other.query) == (one.method, one.path, one.query)
            assert other.headers["authorization"] == one.headers["authorization"]
            if one.path == "/v1/files":
                assert parts(other) == parts(one)
            elif one.body:
                assert other.json == one.json


def test_what_cannot_be_is_refused(classic_spark, tmp_path, monkeypatch):
    frame = classic_spark.createDataFrame([("a",)], "text string")
    with Server(lambda seen, nth: fault(401, {"error": {"message": "wrong key"}})) as server:
        with pytest.raises(SetupError, match="wrong key"):
            batches.submit(frame, chat(server), journal=str(tmp_path))
        with pytest.raises(ConfigError, match="1 to 50000 requests, and not 0"):
            batches.submit(frame, chat(server), journal=str(tmp_path), most_requests=0)
        monkeypatch.delenv("SYNML_OPENAI_TEST")
        before = server.calls
        with pytest.raises(ConfigError, match="SYNML_OPENAI_TEST is not set"):
            batches.submit(frame, chat(server), journal=str(tmp_path / "other"))
        assert server.calls == before
    from synml_dagster.services import Service as Described

    with pytest.raises(ConfigError, match="no service of OpenAI's protocol"):
        batches.submit(
            frame, Described(name="x", url="https://e.org", body={"t": "{text}"}), journal=str(tmp_path)
        )


def test_an_asset_submits_and_a_sensor_has_the_answers_fetched(classic_spark, tmp_path, monkeypatch):
    import dagster as dg

    from synml_dagster import ServiceColumn
    from synml_dagster.io_managers import SparkTableIOManager
    from synml_dagster.resources import SparkResource
    from synml_dagster.tables import open_table

    monkeypatch.setenv("SYNML_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "reviews.csv").write_text("id,text\n1,a\n2,b\n3,a\n4,bad\n")
    spark = SparkResource(master="local[2]")
    resources = {"spark": spark, "spark_tables": SparkTableIOManager(spark=spark)}
    service = Service()
    with Server(service) as server:
        told = {
            "type": "openai.chat",
            "model": "m",
            "prompt": "Sum up: {text}",
            "base_url": f"{server.url}/v1",
            "key": "SYNML_OPENAI_TEST",
        }
        column = ServiceColumn(
            name="short",
            source=str(tmp_path / "reviews.csv"),
            service=told,
            batch={},
            errors={"at_most": 0.5},
            output="short",
        )
        definitions = column.definitions(resources=resources)
        dg.Definitions.validate_loadable(definitions)
        for name, value in {
            "deadline": "2h",
            "limits": {"in_flight": 3},
            "senders": 1,
        }.items():
            with pytest.raises(ValueError, match=f"{name} does not go with batch"):
                ServiceColumn(**(column.model_dump(exclude_unset=True) | {name: value}))
        for budget, why in (({"money": 1}, "no prices"), ({"tokens": 9}, "longest answer has to be known")):
            with pytest.raises(ValueError, match=why):
                ServiceColumn(**(column.model_dump(exclude_unset=True) | {"budget": budget}))
        (sensor,) = definitions.sensors

        def tick():
            return sensor.evaluate_tick(dg.build_sensor_context(instance=instance, definitions=definitions))

        def materialize(name):
            selection = dg.AssetSelection.assets(["short", name])
            return dg.materialize(
                column.assets(), selection=selection, resources=resources, instance=instance
            )

        instance = dg.DagsterInstance.ephemeral()
        assert "No batch is waited for" in tick().skip_message
        (made,) = materialize("batch").asset_materializations_for_node("short__batch")
        assert (made.metadata["submitted"].value, made.metadata["rows"].value) == (3, 4)
        assert "1 of 1 batches are at work: batch_0 is validating" in tick().skip_message
        service.end("batch_0", answer)
        assert len(tick().run_requests) == 1
        assert materialize("answers").success
        rows = open_table(tmp_path / "data" / "short" / "answers").dataframe(classic_spark).collect()
        assert sorted((row["id"], row["short"]) for row in rows) == [(1, "A"), (2, "B"), (3, "A")]
        assert "No batch is waited for" in tick().skip_message
        assert len(service.batches) == 1

        few = column.model_copy(update={"name": "few", "budget": Budget(requests=2)})
        run = dg.materialize(
            few.assets(), selection=dg.AssetSelection.assets(["few", "batch"]), resources=resources
        )
        (made,) = run.asset_materializations_for_node("few__batch")
        assert (made.metadata["submitted"].value, made.metadata["left by the budget"].value) == (2, 1)


SCHEMA = {
    "title": "mark",
    "type": "object",
    "properties": {"stars": {"type": "integer"}},
    "required": ["stars"],
    "additionalProperties": False,
}


def marks(broken):
    """Answers whose first one has words in place of stars for what is in `broken`, and so has the second for "hopeless"."""

    def answer(prompt):
        text = prompt.removeprefix("Sum up: ")
        return completion('{"stars": "many"}' if text in broken else f'{{"stars": {len(text)}}}')

    return answer


def test_answers_that_break_the_schema_are_asked_for_once_more_in_a_batch_of_their_own(spark, tmp_path):
    service, journal = Service(), str(tmp_path)
    texts = ["a", "bb", "ccc", "hopeless", "bb"]
    frame = spark.createDataFrame([(t,) for t in texts], "text string")
    with Server(service) as server:
        told = chat(server, schema=SCHEMA, prices=Prices(input=1e6, output=0))

        def collect():
            return batches.collect(frame, told, output="mark", journal=journal, usage=True)

        batches.submit(frame, told, journal=journal)
        service.end("batch_0", marks({"bb", "hopeless"}))
        first = collect()
        assert (first.report.calls, first.report.reasons) == (4, {"waiting": 2})
        waiting = first.frame.where("text = 'bb'").first()
        assert waiting["mark_error"]["message"] == "the repair of its answer, in batch batch_1, has not ended"
        (record,) = batches.look(told, journal=journal)
        assert (record.batch, record.requests, record.repair) == ("batch_1", 2, 1)
        for line in service.requests(service.batches["batch_1"]):
            asked_again = line["body"]["messages"]
            assert [one["role"] for one in asked_again] == ["user", "assistant", "user"]
            assert asked_again[1]["content"] == '{"stars": "many"}'
            assert "stars" in asked_again[2]["content"]
        # Neither a further look nor a further submission sends them again while they are out.
        collect()
        assert batches.submit(frame, told, journal=journal).batches == ()
        assert len(service.batches) == 2

        service.end("batch_1", marks({"hopeless"}))
        second = collect()
        assert (second.report.calls, second.report.reasons) == (2, {"schema": 1})
        rows = {row["text"]: row for row in second.frame.collect()}
        assert {t: row["mark"] and row["mark"]["stars"] for t, row in rows.items()} == {
            "a": 1, "bb": 2, "ccc": 3, "hopeless": None,
        }  # fmt: skip
        # What the first answer took is part of the price of the second.
        assert [rows[t]["mark_usage"]["input_tokens"] for t in ("a", "bb")] == [10, 20]
        assert [rows[t]["mark_usage"]["cost"] for t in ("a", "bb")] == [5, 10]
        collect()
        assert len(service.batches) == 2
        # The next submission begins with it from the start.
        (again,) = batches.submit(frame, told, journal=journal).batches
        (line,) = service.requests(service.batches["batch_2"])
        assert (again.requests, again.repair, len(line["body"]["messages"])) == (1, 0, 1)


def test_a_repair_that_was_planned_before_a_crash_goes_out_once(classic_spark, tmp_path, monkeypatch):
    service, journal = Service(), str(tmp_path)
    frame = classic_spark.createDataFrame([("bb",), ("c",)], "text string")
    with Server(service) as server:
        told = chat(server, schema=SCHEMA)
        batches.submit(frame, told, journal=journal)
        service.end("batch_0", marks({"bb"}))
        send = Sending.send

        def killed(self, record, *, new):
            raise KeyboardInterrupt

        monkeypatch.setattr(Sending, "send", killed)
        with pytest.raises(KeyboardInterrupt):
            batches.collect(frame, told, output="mark", journal=journal)
        monkeypatch.setattr(Sending, "send", send)
        assert len(service.batches) == 1
        assert batches.collect(frame, told, output="mark", journal=journal).report.reasons == {"waiting": 1}
        assert len(service.batches) == 2
        service.end("batch_1", marks({}))
        got = batches.collect(frame, told, output="mark", journal=journal).frame
        assert sorted(row["mark"]["stars"] for row in got.collect()) == [1, 2]
        assert len(service.batches) == 2


def test_a_budget_stops_the_submission_and_the_next_one_goes_on(spark, tmp_path):
    service, journal = Service(), str(tmp_path)
    frame = spark.createDataFrame([(f"t{i}",) for i in range(10)], "text string")
    with Server(service) as server:
        told = chat(server, max_tokens=100, prices=Prices(input=1e6, output=2e6))

        def submit(**budget):
            return batches.submit(frame, told, journal=journal, budget=Budget(**budget))

        one = submit(requests=3)
        assert (one.requests, one.left, one.rejected, one.finished) == (3, 7, 0, 0)
        line = service.requests(service.batches["batch_0"])[0]
        prompt = -(-len(json.dumps(line["body"], separators=(",", ":"))) // 4)
        assert one.expected_tokens == 3 * (prompt + 100)
        assert one.expected_cost == pytest.approx(3 * (prompt + 2 * 100) / 2)
        each = (prompt + 200) / 2
        two = submit(money=2.5 * each)
        assert (two.requests, two.waiting, two.left) == (2, 3, 5)
        three = submit(tokens=prompt + 100)
        assert (three.requests, three.left) == (1, 4)
        got = batches.collect(frame, told, output="short", journal=journal).report
        assert got.reasons == {"waiting": 6, "budget": 4}
        nothing = submit(tokens=prompt + 99)
        assert (nothing.requests, nothing.batches, nothing.left) == (0, (), 4)
        rest = submit(requests=100)
        assert (rest.requests, rest.left) == (4, 0)
        for name in service.batches:
            service.end(name, answer)
        done = batches.collect(frame, told, output="short", journal=journal).report
        assert (done.answered, done.reasons) == (10, {})
        assert sorted(service.rows()) == sorted(f"Sum up: t{i}" for i in range(10))
        (record, *_) = Records(Place.of(journal, told, "")).all()
        assert (record.took_tokens, record.took_cost) == (3 * 15, 3 * (10 + 2 * 5) / 2)


def test_repairs_are_paid_from_the_budget_that_paid_for_the_rows(classic_spark, tmp_path):
    """By what the first answers took, and not by what was expected of them."""
    frame = classic_spark.createDataFrame([(t,) for t in ("aa", "bb", "cc")], "text string")
    service = Service()
    with Server(service) as server:
        told = chat(server, schema=SCHEMA, max_tokens=1000)
        for tokens, repaired in ((45 + 1200, 1), (3300, 2)):
            journal = str(tmp_path / f"{tokens}")
            before = len(service.batches)
            budget = Budget(tokens=4000)
            assert batches.submit(frame, told, journal=journal, budget=budget).requests == 3
            service.end(f"batch_{before}", marks({"aa", "bb"}))
            got = batches.collect(frame, told, output="mark", journal=journal, budget=Budget(tokens=tokens))
            assert got.report.reasons.get("waiting") == repaired
            assert got.report.reasons.get("schema", 0) == 2 - repaired
            assert len(service.batches) == before + 2
        with pytest.raises(ConfigError, match="a batch cannot be stopped once it is sent"):
            batches.submit(frame, chat(server), journal=str(tmp_path / "x"), budget=Budget(tokens=5))


def test_what_batches_took_is_reported_once_and_waiting_is_no_error(classic_spark, tmp_path, monkeypatch):
    service, journal = Service(), str(tmp_path)
    frame = classic_spark.createDataFrame([(t,) for t in ("aa", "hopeless", "cc", "dd")], "text string")
    with Server(service) as server:
        told = chat(server, schema=SCHEMA, prices=Prices(input=1e6, output=0))

        def collect(rows=frame):
            return batches.collect(rows, told, output="mark", journal=journal, usage=True)

        batches.submit(frame, told, journal=journal)
        service.end("batch_0", marks({"hopeless"}))
        report = collect().report
        assert (report.answered, report.failed, report.waiting, report.share_of_errors) == (3, 0, 1, 0)
        assert (report.calls, report.cost) == (4, 20)
        service.end("batch_1", marks({"hopeless"}))
        # A call that fetched it and fell before its report leaves the report to the next one.
        with monkeypatch.context() as broken:
            broken.setattr(Run, "told", lambda self, lines: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                collect()
        report = collect().report
        assert (report.failed, report.waiting, report.share_of_errors) == (1, 0, 0.25)
        assert (report.calls, report.cost, report.input_tokens) == (1, 5, 10)
        again = collect()
        assert (again.report.failed, again.report.reasons) == (1, {"schema": 1})
        assert (again.report.calls, again.report.cost, again.report.input_tokens) == (0, 0, 0)
        assert (again.report.sending_seconds, again.report.p50) == (0, None)
        # The row still says what its last answer took.
        assert again.frame.where("text = 'hopeless'").first()["mark_usage"]["cost"] == 5
        # A row that has left the table is no error of it.
        left = collect(frame.where("text != 'hopeless'")).report
        assert (left.distinct, left.resumed, left.failed, left.reasons) == (3, 3, 0, {})


def test_two_submissions_at_once_send_each_row_once(classic_spark, tmp_path):
    service = Service()
    frame = classic_spark.createDataFrame([(f"t{i}",) for i in range(20)], "text string")
    with Server(service) as server:
        told = chat(server)

        def submit(_):
            return batches.submit(frame, told, journal=str(tmp_path))

        with ThreadPoolExecutor(2) as pool:
            both = list(pool.map(submit, range(2)))
        assert sorted((one.requests, one.waiting) for one in both) == [(0, 20), (20, 0)]
        assert sorted(service.rows()) == sorted(f"Sum up: t{i}" for i in range(20))
        records = Records(Place.of(str(tmp_path), told, ""))
        with records.turn(), pytest.raises(SetupError, match=r"another run sends or collects .* for 0\.1 s"):
            records.turn(0.1).__enter__()


def test_a_batch_that_the_service_forgot_is_named_with_what_to_do(classic_spark, tmp_path):
    service = Service()
    frame = classic_spark.createDataFrame([("a",)], "text string")

    def forgets(seen, nth):
        if seen.path.endswith("/batches/batch_0") and service.batches["batch_0"]["status"] == "gone":
            return fault(404)
        return service(seen, nth)

    with Server(forgets) as server:
        told = chat(server)
        batches.submit(frame, told, journal=str(tmp_path))
        service.batches["batch_0"]["status"] = "gone"
        with pytest.raises(SetupError, match=r"batch_0: .*Remove (.*\.json)") as problem:
            batches.collect(frame, told, output="short", journal=str(tmp_path))
        Path(re.search(r"Remove (\S+\.json)", str(problem.value))[1]).unlink()
        assert batches.submit(frame, told, journal=str(tmp_path)).requests == 1
        service.end("batch_1", answer)
        assert batches.collect(frame, told, output="short", journal=str(tmp_path)).report.answered == 1


def test_a_file_that_cannot_be_fetched_leaves_the_journal_to_others(classic_spark, tmp_path):
    service, broken = Service(), [True]
    many = 2_001  # more answers than are kept at once
    frame = classic_spark.createDataFrame([(f"a{i}",) for i in range(many)] + [("bad",)], "text string")

    def breaks(seen, nth):
        if seen.path.endswith("/error-batch_0/content") and broken:
            return fault(403)
        return service(seen, nth)

    with Server(breaks) as server:
        told = chat(server)
        batches.submit(frame, told, journal=str(tmp_path))
        service.end("batch_0", answer)
        with pytest.raises(SetupError, match=r"chat m: batch_0: HTTP 403"):
            batches.collect(frame, told, output="short", journal=str(tmp_path))
        assert [path.name for path in tmp_path.rglob("_*.log")] == []
        broken.clear()
        report = batches.collect(frame, told, output="short", journal=str(tmp_path)).report
        assert (report.answered, report.reasons, report.calls) == (many, {"invalid": 1}, many + 1)
