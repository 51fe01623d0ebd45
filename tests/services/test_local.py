"""Embeddings by a model in Spark's tasks: those that one text after the other gets, whatever goes through the graph with it."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnxruntime as ort
import pyarrow as pa
import pytest
from onnx import TensorProto, helper, numpy_helper

from synml_dagster.errors import ConfigError
from synml_dagster.services import Budget, Limits, call_service, local, service_of
from tests.services.driving import drive

tokenizers = pytest.importorskip("tokenizers", reason="the extra text is not installed")

WORDS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "the", "house", "is", "small", "garden", "large", "naïve"]
WIDTH = 8


def make_model(folder, *, pooled=False, broken=False):
    """A graph whose tokens each know of all the text's, as an encoder's do: tanh(e + mean of e), and a tokenizer of words."""
    rng = np.random.default_rng(0)
    table = rng.normal(size=(len(WORDS), WIDTH)).astype(np.float32)
    table[WORDS.index("garden")] *= np.nan if broken else 1
    types = rng.normal(size=(2, WIDTH)).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["words"]),
        helper.make_node("Gather", ["types", "token_type_ids"], ["kinds"]),
        helper.make_node("Add", ["words", "kinds"], ["each"]),
        helper.make_node("Cast", ["attention_mask"], ["flat"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["flat", "last"], ["mask"]),
        helper.make_node("Mul", ["each", "mask"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "middle"], ["sum"]),
        helper.make_node("ReduceSum", ["mask", "middle"], ["count"]),
        helper.make_node("Div", ["sum", "count"], ["mean"]),
        helper.make_node("Add", ["each", "mean"], ["both"]),
        helper.make_node("Tanh", ["both"], ["last_hidden_state"]),
        helper.make_node("Squeeze", ["mean", "middle"], ["sentence_embedding"]),
    ]
    outputs = [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["b", "t", WIDTH])]
    if pooled:
        outputs.append(helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, ["b", WIDTH]))
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["b", "t"])
        for name in ("input_ids", "attention_mask", "token_type_ids")
    ]
    held = [("table", table), ("types", types), ("last", np.array([2])), ("middle", np.array([1]))]
    graph = helper.make_graph(nodes, "g", inputs, outputs, [numpy_helper.from_array(v, n) for n, v in held])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    folder.mkdir(exist_ok=True)
    onnx.save(model, folder / "model.onnx")
    words = tokenizers.models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]")
    made = tokenizers.Tokenizer(words)
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.normalizer = tokenizers.normalizers.Lowercase()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    made.enable_truncation(12)
    made.enable_padding(length=12)  # a fixed length, as many files ask for, and which nobody is to pay for
    made.save(str(folder / "tokenizer.json"))
    return folder


def alone(folder, text, pooling="mean", normalize=True):
    """One text, one run of the graph, nothing else."""
    ids = [1, *(WORDS.index(word) if word in WORDS else 3 for word in text.lower().split()), 2]
    fed = {"input_ids": [ids], "attention_mask": [[1] * len(ids)], "token_type_ids": [[0] * len(ids)]}
    session = ort.InferenceSession(str(folder / "model.onnx"))
    hidden = session.run(
        ["last_hidden_state"], {name: np.array(value, np.int64) for name, value in fed.items()}
    )[0][0]
    vector = {"mean": hidden.mean(axis=0), "cls": hidden[0], "last": hidden[-1]}[pooling]
    return vector / np.linalg.norm(vector) if normalize else vector


TEXTS = [
    "the house",
    "the house is small and the garden is large",
    "garden",
    "Naïve",
    "the",
    "is is is",
    "large garden small house",
] * 3
KIND = pa.list_(pa.float32())


def run(folder, rows, journal, **more):
    return drive(local.embeddings(folder=str(folder), **more), rows, journal, kind=KIND)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
@pytest.mark.parametrize("normalize", [True, False])
def test_an_embedding_is_what_the_text_gets_alone(tmp_path, pooling, normalize):
    folder = make_model(tmp_path / "m")
    told = {"pooling": pooling, "normalize": normalize, "tokens_a_batch": 24}
    got = run(folder, [{"text": text} for text in TEXTS], tmp_path / "j", **told)
    assert got.reasons == [None] * len(TEXTS)
    for i, text in enumerate(TEXTS):
        assert np.abs(np.array(got.values[str(i)]) - alone(folder, text, pooling, normalize)).max() < 1e-6
    assert got.lines[1]["input_tokens"] == 11


def test_an_embedding_of_the_graph_is_taken_as_it_is(tmp_path):
    folder = make_model(tmp_path / "m", pooled=True)
    got = run(folder, [{"text": "the house"}, {"text": "garden"}], tmp_path / "j", normalize=False)
    mixed = run(folder, [{"text": "the house"}], tmp_path / "k", normalize=False, output="last_hidden_state")
    assert len(got.values["0"]) == len(mixed.values["0"]) == WIDTH
    assert np.abs(np.array(got.values["0"]) - np.array(mixed.values["0"])).max() > 0.01


def test_what_has_no_embedding_has_an_error(tmp_path):
    folder = make_model(tmp_path / "m", broken=True)
    long = " ".join(["the"] * 11)
    rows = [{"text": text} for text in ("the", "", "  ", None, long, "garden", "house")]
    got = run(folder, rows, tmp_path / "j")
    assert got.reasons == [None, "input", "input", "input", "length", "malformed", None]
    assert got.lines[4]["message"].startswith("the text has 13 tokens, and the model takes 12")
    assert set(got.values) == {"0", "6"}
    cut = run(folder, rows, tmp_path / "k", truncate=True)
    assert np.abs(np.array(cut.values["4"]) - alone(folder, " ".join(["the"] * 10))).max() < 1e-6


@pytest.mark.slow
def test_a_column_of_embeddings_on_spark(spark, tmp_path):
    folder = make_model(tmp_path / "m")
    frame = spark.createDataFrame([(i, f"{text}.") for i, text in enumerate(TEXTS)], "id int, review string")
    asked = service_of(
        {"type": "local.embeddings", "folder": str(folder), "text": "query: {review}", "truncate": True}
    )
    got = call_service(frame, asked, output="vector", journal=str(tmp_path / "j"), senders=2)
    assert (got.report.rows, got.report.sent, got.report.answered) == (21, 7, 7)
    found = {row["id"]: row for row in got.frame.collect()}
    assert all(row["vector_error"] is None and len(row["vector"]) == WIDTH for row in found.values())
    assert found[0]["vector"] == found[7]["vector"] != found[1]["vector"]
    assert call_service(frame, asked, output="vector", journal=str(tmp_path / "j")).report.sent == 0
    for name, told in {
        "budget": {"budget": Budget(requests=1)}, "limits.tokens_per_minute": {"limits": Limits(tokens_per_minute=9)}, "key": {"key": "MINE"},
    }.items():  # fmt: skip
        with pytest.raises(ConfigError, match=f"^{name}: local embeddings runs in Spark's tasks"):
            call_service(frame, asked, output="vector", journal=str(tmp_path / "j"), **told)


def test_other_weights_are_another_journal(tmp_path):
    folder = make_model(tmp_path / "m")
    asked = local.embeddings(folder=str(folder))
    before = asked.fingerprint()
    assert local.embeddings(folder=str(make_model(tmp_path / "same")), threads=3).fingerprint() == before
    make_model(folder, broken=True)
    assert asked.fingerprint() != before


def test_what_cannot_be_is_refused_with_its_name(tmp_path):
    folder = make_model(tmp_path / "m", pooled=True)

    def refused(said, **told):
        with pytest.raises(ConfigError, match=said):
            run(folder, [{"text": "the"}], tmp_path / "j", **told)

    refused("no parameter 'poolin'.*Did you mean 'pooling'", poolin="mean")
    refused("pooling: Input should be 'mean', 'cls' or 'last'", pooling="max")
    refused("no output 'x'; it has last_hidden_state, sentence_embedding", output="x")
    refused("there is no file .*nothing.onnx", model="nothing.onnx")
    refused("is no graph that ONNX Runtime opens", model="tokenizer.json")
    refused("is no tokenizer", tokenizer="model.onnx", max_tokens=8)
    told = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps(told | {"truncation": None}))
    refused("neither the tokenizer nor config.json says how long")
