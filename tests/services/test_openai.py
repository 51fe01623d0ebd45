"""OpenAI's protocol: requests as its own SDK sends them, and answers that are none told from those that are."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from pydantic import BaseModel, Field

from synml_dagster.errors import ConfigError
from synml_dagster.services import Limits, Policy, Prices, openai
from tests.services.driving import drive
from tests.services.server import Server, fault

QUICK = Policy(first_wait=0.01, longest_wait=0.05, deadline=20)


class Address(BaseModel):
    """Where it is."""

    city: str = Field(description="In capitals, such as {PARIS}")
    zip: str | None = None


class Person(BaseModel):
    name: str
    age: int
    home: Address
    tags: list[str]


PERSON = {"name": "Ann", "age": 40, "home": {"city": "PARIS", "zip": None}, "tags": ["x"]}


def completion(content, finish="stop", refusal=None, **usage):
    return {
        "id": "c", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content, "refusal": refusal}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "prompt_tokens_details": {"cached_tokens": 4}} | usage,
    }  # fmt: skip


def response(text, **more):
    told = {
        "id": "r", "object": "response", "created_at": 1, "model": "m", "status": "completed", "error": None, "incomplete_details": None,
        "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
        "output": [
            {"id": "o", "type": "reasoning", "summary": []},
            {"id": "p", "type": "message", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": text, "annotations": []}]},
        ],
        "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15, "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}},
    }  # fmt: skip
    return told | more


def sdk(server):
    from openai import OpenAI

    return OpenAI(base_url=f"{server.url}/v1", api_key="sk-test", max_retries=0)


def same(server):
    """The last two requests, field by field."""
    theirs, ours = server.seen[-2:]
    assert (ours.method, ours.path, ours.query) == (theirs.method, theirs.path, theirs.query)
    told = theirs.json
    told.pop("stream", None)  # `parse` says that it is false, which is the default
    assert ours.json == told
    for name in ("authorization", "content-type"):
        assert ours.headers[name] == theirs.headers[name]


def ours(server, service, tmp_path, rows, kind=None, **more):
    from synml_dagster.services.secrets import SecretReference

    return drive(service, rows, tmp_path, kind=kind, secret=SecretReference("SYNML_OPENAI_TEST"), **more)


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("SYNML_OPENAI_TEST", "sk-test")


def where(server, **more):
    return {"base_url": f"{server.url}/v1", "key": "SYNML_OPENAI_TEST", "policy": QUICK} | more


def test_chat_is_what_the_sdk_sends(tmp_path):
    with Server(lambda seen, nth: completion("fine")) as server:
        sdk(server).chat.completions.create(
            model="m", messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": 'Sum up: a "b" {c}'}],
            max_completion_tokens=50, temperature=0.0, seed=1,
        )  # fmt: skip
        asked = openai.chat(
            model="m", system="Be brief.", prompt="Sum up: {text} {{c}}", max_tokens=50, more={"temperature": 0.0, "seed": 1}, **where(server)
        )  # fmt: skip
        got = ours(server, asked, tmp_path, [{"text": 'a "b"'}])
        same(server)
    assert got.values == {"0": "fine"}
    line = got.lines[0]
    assert (line["input_tokens"], line["output_tokens"], line["cached_tokens"]) == (10, 5, 4)


def test_a_schema_is_what_the_sdk_makes_of_the_model(tmp_path):
    kind = pa.struct(
        [
            ("name", pa.string()),
            ("age", pa.int64()),
            ("home", pa.struct([("city", pa.string()), ("zip", pa.string())])),
            ("tags", pa.list_(pa.string())),
        ]
    )
    with Server(lambda seen, nth: completion(json.dumps(PERSON))) as server:
        sdk(server).chat.completions.parse(
            model="m", messages=[{"role": "user", "content": "x"}], response_format=Person
        )
        asked = openai.chat(model="m", prompt="{text}", schema=Person, **where(server))
        got = ours(server, asked, tmp_path, [{"text": "x"}], kind)
        same(server)
        assert got.values == {"0": PERSON}


def test_responses_is_what_the_sdk_sends(tmp_path):
    kind = pa.struct([("city", pa.string()), ("zip", pa.string())])
    with Server(lambda seen, nth: response('{"city": "ROME", "zip": "1"}')) as server:
        sdk(server).responses.parse(
            model="m",
            input="Where? x",
            instructions="Be brief.",
            max_output_tokens=9,
            store=False,
            text_format=Address,
        )
        asked = openai.responses(
            model="m",
            prompt="Where? {text}",
            system="Be brief.",
            max_tokens=9,
            schema=Address,
            **where(server),
        )
        got = ours(server, asked, tmp_path, [{"text": "x"}], kind)
        same(server)
        assert got.values == {"0": {"city": "ROME", "zip": "1"}}


def test_embeddings_is_what_the_sdk_sends(tmp_path):
    def answer(seen, nth):
        texts = seen.json["input"]
        data = [
            {"index": i, "object": "embedding", "embedding": [float(len(text)), 0.5]}
            for i, text in enumerate(texts)
        ]
        return {
            "object": "list",
            "model": "m",
            "data": data[::-1],
            "usage": {"prompt_tokens": 3 * len(texts), "total_tokens": 0},
        }

    with Server(answer) as server:
        sdk(server).embeddings.create(model="m", input=["a", "bcd"], encoding_format="float", dimensions=2)
        asked = openai.embeddings(model="m", text="t", dimensions=2, **where(server))
        got = ours(server, asked, tmp_path, [{"t": "a"}, {"t": "bcd"}], pa.list_(pa.float32()))
        same(server)
        assert got.values == {"0": [1.0, 0.5], "1": [3.0, 0.5]}  # by their index, whatever order they come in
        assert got.total("input_tokens") == 6


def test_a_picture_goes_along(tmp_path):
    with Server(lambda seen, nth: completion("a cat")) as server:
        ours(
            server,
            openai.chat(model="m", prompt="What is it?", image="photo", **where(server)),
            tmp_path,
            [{"photo": b"\x89PNG"}],
        )
        assert (
            server.seen[0].json["messages"][0]["content"][1]["image_url"]["url"]
            == "data:image/png;base64,iVBORw=="
        )


def test_answers_that_are_none_are_errors(tmp_path):
    cases = {
        "refused": completion(None, refusal="I cannot"), "length": completion("half", finish="length"),
        "content_filter": completion("", finish="content_filter"), "malformed": completion(None),
    }  # fmt: skip
    with Server(lambda seen, nth: cases[seen.json["messages"][0]["content"]]) as server:
        got = ours(
            server,
            openai.chat(model="m", prompt="{text}", **where(server)),
            tmp_path,
            [{"text": name} for name in cases],
        )
        assert got.reasons == list(cases)
        assert got.values == {}
        assert got.total("input_tokens") == 40  # they were paid for
    told = {
        "refused": response("", output=[{"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}]),
        "length": response("half", status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
        "failed": response("", status="failed", error={"code": "server_error", "message": "oh"}),
    }  # fmt: skip
    with Server(lambda seen, nth: told[seen.json["input"]]) as server:
        got = ours(
            server,
            openai.responses(model="m", prompt="{text}", **where(server)),
            tmp_path,
            [{"text": name} for name in told],
        )
        assert got.reasons == list(told)


def test_an_answer_that_does_not_fit_is_asked_for_once_more(tmp_path):
    kind = pa.struct([("city", pa.string()), ("zip", pa.string())])

    def answer(seen, nth):
        messages = seen.json["messages"]
        if len(messages) == 1:
            return completion('{"town": "ROME"}')
        assert messages[1] == {"role": "assistant", "content": '{"town": "ROME"}'}
        assert "city is missing" in messages[2]["content"]
        return completion('{"city": "ROME", "zip": null}' if messages[0]["content"] == "good" else "no JSON")

    with Server(answer) as server:
        asked = openai.chat(
            model="m", prompt="{text}", schema=Address, prices=Prices(input=1e6, output=0), **where(server)
        )
        got = ours(server, asked, tmp_path, [{"text": "good"}, {"text": "bad"}], kind)
    assert got.values == {"0": {"city": "ROME", "zip": None}}
    assert got.reasons == [None, "schema"]
    assert got.total("input_tokens") == 40
    assert got.total("cost") == 40
    assert [line["attempts"] for line in got.lines] == [2, 2]


def test_ten_thousand_texts_take_ten_requests_and_one_bad_text_fails_alone(tmp_path):
    def answer(seen, nth):
        texts = seen.json["input"]
        if "bad" in texts:
            return fault(400, {"error": {"message": "input is invalid"}})
        return {
            "data": [{"index": i, "embedding": [float(t)]} for i, t in enumerate(texts)],
            "usage": {"prompt_tokens": 2 * len(texts)},
        }

    with Server(answer) as server:
        asked = openai.embeddings(model="m", **where(server))
        got = ours(server, asked, tmp_path, [{"text": str(i)} for i in range(10_000)], pa.list_(pa.float32()))
        assert server.calls == got.total("calls") <= 10
        assert len(got.values) == 10_000
        assert all(got.values[str(i)] == [float(i)] for i in range(0, 10_000, 77))
        assert got.total("input_tokens") == 20_000
        told = [{"text": "bad" if i == 700 else "" if i == 3 else str(i)} for i in range(1000)]
        got = ours(server, asked, tmp_path / "b", told, pa.list_(pa.float32()))
        assert {i: line["reason"] for i, line in enumerate(got.lines) if line["reason"]} == {
            3: "input",
            700: "invalid",
        }
        assert len(got.values) == 998
        assert got.values["999"] == [999.0]


def test_tokens_are_counted_as_the_limits_ask(tmp_path):
    with Server(lambda seen, nth: completion("x")) as server:
        asked = openai.chat(model="m", prompt="{text}", max_tokens=10_000, **where(server))
        got = ours(server, asked, tmp_path, [{"text": "a"}], limits=Limits(tokens_per_minute=9000))
        assert got.reasons == ["never_fits"]
        assert server.calls == 0


REFUSED = {
    "no parameter 'modle'.*Did you mean 'model'": {"modle": "x"},
    "brace of its own": {"prompt": 'Answer {"a": 1'},
    "asks for a format": {"prompt": "{a:b}"},
    "NAME of an environment variable": {"key": "sk-abc-123"},
    "schema: .*no type of JSON": {"schema": {"type": "dinosaur"}},
    "schema.n: an array needs items": {"schema": {"type": "object", "properties": {"n": {"type": "array"}}}},
    "^chat: schema: a pydantic model or a JSON schema": {"schema": 3},
    "it takes .* schema, schema_name, .*Did you mean 'schema'": {"shema": {}},
    "no address": {"base_url": "api.example.org"},
    "shorter than one request": {"policy": {"deadline": 5, "timeout": 60}},
    "limits.requests_per_minute": {"limits": {"requests_per_minute": 0}},
}


@pytest.mark.parametrize("said", REFUSED)
def test_what_cannot_be_is_refused_with_its_name(said):
    with pytest.raises(ConfigError, match=said) as refused:
        openai.chat(**({"model": "m", "prompt": "{text}"} | REFUSED[said]))
    assert "sk-abc-123" not in str(refused.value)
