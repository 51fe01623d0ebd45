"""Azure's services as descriptions: requests and answers as the examples of its specifications have them."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from synml_dagster.errors import ConfigError
from synml_dagster.services import Policy, azure, service_of
from tests.services.driving import drive
from tests.services.server import Server, fault

QUICK = Policy(first_wait=0.01, longest_wait=0.05, deadline=20)


def service(server, name, **more):
    return azure.service(name, endpoint=f"{server.url}/", **({"key": None, "policy": QUICK} | more))


def ask(server, name, rows, tmp_path, kind=None, **more):
    return drive(service(server, name, **more), rows, tmp_path, kind=kind)


@pytest.mark.parametrize("name", [name for name in azure.names() if not name.startswith("azure.search.")])
def test_every_description_holds_together(name, classic_spark):
    from pyspark.sql.types import StructType

    offer = azure.OFFERS[name]
    given = {key: "x" for key, told in offer.parameters.items() if told.default is ...}
    made = azure.service(name, endpoint="https://example.cognitiveservices.azure.com", **given)
    assert len(made.inputs) == 1
    assert made.key.header == "Ocp-Apim-Subscription-Key"
    assert azure.service(name, endpoint="https://e.org", key="MINE", **given).key.header == made.key.header
    StructType.fromDDL(f"value {made.answer.type}")
    assert "${" not in made.model_dump_json()


def test_sentiment_goes_ten_texts_a_request_and_each_has_its_own_answer(tmp_path):
    kind = pa.struct(
        [("sentiment", pa.string()), ("confidenceScores", pa.struct([("positive", pa.float64())]))]
    )

    def answer(seen, nth):
        documents = seen.json["analysisInput"]["documents"]
        good = [
            {"id": d["id"], "sentiment": d["text"], "confidenceScores": {"positive": 1, "neutral": 0, "negative": 0}, "warnings": [], "sentences": []}
            for d in documents if d["text"] != "bad"
        ]  # fmt: skip
        bad = [
            {"id": d["id"], "error": {"code": "InvalidArgument", "message": "Invalid document."}}
            for d in documents
            if d["text"] == "bad"
        ]
        return {
            "kind": "SentimentAnalysisResults",
            "results": {"documents": good[::-1], "errors": bad, "modelVersion": "m"},
        }

    with Server(answer) as server:
        got = ask(
            server,
            "azure.language.sentiment",
            [{"text": "bad" if i == 5 else f"t{i}"} for i in range(25)],
            tmp_path,
            kind,
            language="de",
        )
        assert server.calls == 3
        first = server.seen[0]
        assert (first.path, first.query) == ("/language/:analyze-text", {"api-version": "2025-11-01"})
        assert first.json["kind"] == "SentimentAnalysis"
        assert first.json["parameters"] == {"modelVersion": "latest", "opinionMining": False}
        assert len(first.json["analysisInput"]["documents"]) == 10
        assert {"id": "1", "text": "t0", "language": "de"} in [
            d for s in server.seen for d in s.json["analysisInput"]["documents"]
        ]
    assert got.reasons[5] == "invalid"
    assert got.lines[5]["message"] == "the document was refused: (InvalidArgument) Invalid document."
    assert [got.values[str(i)]["sentiment"] for i in range(25) if i != 5] == [
        f"t{i}" for i in range(25) if i != 5
    ]


def test_translation_is_what_the_specification_shows(tmp_path):
    def answer(seen, nth):
        made = [
            {"translations": [{"language": "cs", "text": one["text"].upper()}]} for one in seen.json["inputs"]
        ]
        return {"value": made}

    with Server(answer) as server:
        got = ask(
            server,
            "azure.translator.translate",
            [{"text": "This is a test."}],
            tmp_path,
            to="cs",
            from_language="en",
            model="gpt-4o-mini",
            tone="formal",
        )
        assert got.values == {"0": "THIS IS A TEST."}
        (seen,) = server.seen
        assert (seen.path, seen.query) == ("/translate", {"api-version": "2026-06-06"})
        assert seen.json == {
            "inputs": [
                {"text": "This is a test.", "language": "en", "textType": "Plain", "targets": [{"language": "cs", "deploymentName": "gpt-4o-mini", "tone": "formal"}]}
            ]
        }  # fmt: skip
        assert "ocp-apim-subscription-region" not in seen.headers


def test_a_document_is_submitted_and_polled(tmp_path):
    states = ["notStarted", "running", "Succeeded"]

    def answer(seen, nth):
        if seen.method == "POST":
            return fault(
                202,
                " ",
                Operation_Location=f"{server.url}/documentintelligence/results/1?api-version=2024-11-30",
            )
        return {"status": states[nth - 1], "analyzeResult": {"content": "PAGE"}}

    with Server(answer) as server:
        asked = service(server, "azure.document.read", pages="1-2")
        asked = asked.model_copy(update={"poll": asked.poll.model_copy(update={"interval": 0.02})})
        got = drive(asked, [{"document": b"%PDF"}], tmp_path)
        assert got.values == {"0": "PAGE"}
        assert server.seen[0].json == {"base64Source": "JVBERg=="}
        assert server.seen[0].path == "/documentintelligence/documentModels/prebuilt-read:analyze"
        assert server.seen[0].query["pages"] == "1-2"
        assert "locale" not in server.seen[0].query
        assert [s.method for s in server.seen] == ["POST", "GET", "GET", "GET"]
        assert got.total("calls") == 4


@pytest.mark.parametrize("state", ["failed", "Cancelled", "ValidationFailed"])
def test_an_operation_that_fails_is_an_error(state, tmp_path):
    def answer(seen, nth):
        if seen.method == "POST":
            return fault(202, " ", Operation_Location="/results/1")
        return {"status": state, "error": {"code": "Invalid", "message": "The file is corrupted."}}

    with Server(answer) as server:
        asked = service(server, "azure.document.read")
        asked = asked.model_copy(update={"poll": asked.poll.model_copy(update={"interval": 0.02})})
        got = drive(asked, [{"document": b"x"}], tmp_path)
    assert got.reasons == ["failed"]
    assert got.lines[0]["message"] == f"the operation is {state.lower()}: The file is corrupted."


def test_the_key_goes_to_no_other_host(tmp_path):
    with Server(lambda seen, nth: fault(202, " ", Operation_Location="http://127.0.0.1:9/steal")) as server:
        got = ask(server, "azure.document.read", [{"document": b"x"}], tmp_path)
        assert got.reasons == ["address"]
        assert server.calls == 1


def test_an_operation_that_never_ends_ends_at_the_deadline(tmp_path):
    def answer(seen, nth):
        return (
            fault(202, " ", Operation_Location="/results/1")
            if seen.method == "POST"
            else {"status": "running"}
        )

    with Server(answer) as server:
        asked = service(server, "azure.document.read", policy=Policy(deadline=1))
        asked = asked.model_copy(update={"poll": asked.poll.model_copy(update={"interval": 0.1})})
        got = drive(asked, [{"document": b"x"}], tmp_path)
        assert got.reasons == ["deadline"]
        assert got.seconds < 2


def test_audio_goes_in_as_parts_and_comes_out_as_bytes(tmp_path):
    from aiohttp import web

    with Server(lambda seen, nth: {"combinedPhrases": [{"text": "hello"}], "phrases": []}) as server:
        got = ask(server, "azure.speech.transcribe", [{"audio": b"RIFF\r\n--x"}], tmp_path, locale="de-DE")
        assert got.values == {"0": "hello"}
        import email.parser

        seen = server.seen[0]
        whole = b"Content-Type: " + seen.headers["content-type"].encode() + b"\r\n\r\n" + seen.body
        audio, definition = email.parser.BytesParser().parsebytes(whole).get_payload()
        assert audio.get_payload(decode=True) == b"RIFF\r\n--x"
        assert json.loads(definition.get_payload()) == {"locales": ["de-DE"]}
    with Server(lambda seen, nth: web.Response(body=b"WAVE" + seen.body)) as server:
        got = ask(server, "azure.speech.speak", [{"text": "a < b & 'c'"}], tmp_path, pa.binary())
        assert got.values["0"].startswith(b"WAVE<speak")
        assert b">a &lt; b &amp; 'c'</voice>" in got.values["0"]


def test_pictures_and_safety(tmp_path):
    severity = pa.list_(pa.struct([("category", pa.string()), ("severity", pa.int32())]))
    with Server(lambda seen, nth: {"categoriesAnalysis": [{"category": "Hate", "severity": 2}]}) as server:
        got = ask(server, "azure.safety.image", [{"image": b"content1"}], tmp_path, severity)
        assert server.seen[0].json == {"image": {"content": "Y29udGVudDE="}}
        assert got.values["0"] == [{"category": "Hate", "severity": 2}]
    caption = pa.struct([("text", pa.string()), ("confidence", pa.float64())])
    with Server(
        lambda seen, nth: {"captionResult": {"text": "a desk", "confidence": 1}, "metadata": {}}
    ) as server:
        got = ask(server, "azure.vision.caption", [{"image": b"\x89PNG"}], tmp_path, caption)
        assert server.seen[0].body == b"\x89PNG"
        assert server.seen[0].query["features"] == "caption"
        assert got.values["0"] == {"text": "a desk", "confidence": 1.0}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("azure.vision.ocr", "ended on 2026-09-13. Use azure.vision.read"), ("DetectAnomalies", "Anomaly Detector ended on 2026-10-01"),
        ("AnalyzeInvoices", "Use azure.document"), ("azure.form_recognizer.layout", "Document Intelligence 4.0"), ("CheckPointInPolygon", "2025-09-30"),
        ("azure.language.sentimet", "Did you mean 'azure.language.sentiment'"), ("azure.bing", "is gone"),
    ],
)  # fmt: skip
def test_what_is_gone_or_unknown_is_refused_by_name(name, said):
    with pytest.raises(ConfigError) as refused:
        azure.service(name, endpoint="https://e.example.org")
    assert said in str(refused.value)


def test_a_type_in_yaml_is_found():
    assert (
        service_of(
            {"type": "azure.language.pii", "endpoint": "https://e.org", "domain": "phi"}
        ).documents.most
        == 5
    )
    assert service_of({"type": "openai.chat", "model": "m", "prompt": "{a} {b}"}).inputs == ["a", "b"]
    for told, said in (
        ({"type": "openai.chta"}, "Did you mean 'openai.chat'"),
        ({}, "`type` is missing"),
        ({"type": "azure.translator.translate", "endpoint": "https://e.org"}, "needs to:"),
        (
            {"type": "azure.language.pii", "endpoint": "https://e.org", "domian": "phi"},
            "Did you mean 'domain'",
        ),
        (
            {"type": "http", "name": "x", "url": "https://e.org", "headers": {"Authorization": "Bearer abc"}},
            "name its environment variable",
        ),
        ({"type": "http", "name": "x", "url": "https://e.org/{a}", "boddy": {}}, "boddy"),
    ):
        with pytest.raises(ConfigError) as refused:
            service_of(told)
        assert said in str(refused.value), refused.value
