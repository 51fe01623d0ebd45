"""Whatever form rows come in, they are scored as in batch, bit for bit."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synml_dagster.onnx import OnnxModel, Scorer, score
from tests.onnx.conftest import LABELS, make_table
from tests.serving.conftest import COLUMNS, as_json

CSV, PARQUET = "text/csv", "application/vnd.apache.parquet"


def records(rows):
    return {"dataframe_records": as_json(rows)}


def split(rows):
    told = as_json(rows)
    return {"dataframe_split": {"columns": COLUMNS, "data": [list(row.values()) for row in told]}}


def instances(rows):
    return {"instances": as_json(rows)}


def inputs(rows):
    told = as_json(rows)
    return {"inputs": {name: [row[name] for row in told] for name in COLUMNS}}


def as_csv(rows) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS)
    writer.writeheader()
    writer.writerows(as_json(rows))
    return out.getvalue().encode()


def as_parquet(rows) -> bytes:
    out = io.BytesIO()
    pq.write_table(rows, out)
    return out.getvalue()


def as_v2(rows):
    types = {"age": "INT32", "in.come": "FP64", "height": "FP32", "member": "BOOL", "weight": "FP32"}
    types["visits"] = "INT64"
    told = as_json(rows)
    tensors = [
        {"name": n, "datatype": types.get(n, "BYTES"), "shape": [len(told)], "data": [row[n] for row in told]}
        for n in COLUMNS
    ]
    return {"id": "42", "inputs": tensors}


def expected(model, rows) -> list[dict]:
    return Scorer(model).score(rows).to_pylist()


@pytest.mark.parametrize("form", [records, split, instances, inputs])
@pytest.mark.parametrize("label", LABELS)
def test_each_form_of_json_is_answered_as_batch_is(serve, bundles, exported, table, label, form):
    rows = table.slice(0, 40)
    answer = serve(bundles[label]).post("/invocations", form(rows))
    assert answer.status == 200, answer.body
    assert answer.json == {"predictions": expected(exported[label], rows)}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-model-name"] == f"by_{label}"
    assert answer.headers["x-model-version"] == exported[label].digest[:12]


@pytest.mark.parametrize(("write", "kind"), [(as_csv, CSV), (as_parquet, PARQUET)])
def test_csv_and_parquet_are_answered_as_batch_is(serve, bundles, exported, table, write, kind):
    rows = table.slice(100, 300)
    answer = serve(bundles["accepted"]).post("/invocations", write(rows), kind)
    assert answer.json == {"predictions": expected(exported["accepted"], rows)}


@pytest.mark.parametrize("label", ["accepted", "grade", "amount"])
def test_the_open_inference_protocol_is_answered_as_batch_is(serve, bundles, exported, table, label):
    client, rows = serve(bundles[label]), table.slice(0, 5)
    name = f"by_{label}"
    told = client.get(f"/v2/models/{name}").json
    assert told["name"] == name
    assert told["platform"] == "onnx_onnxv1"
    datatypes = {i["name"]: i["datatype"] for i in told["inputs"]}
    assert datatypes["city"] == datatypes["joined"] == "BYTES"
    assert set(datatypes) == set(COLUMNS)
    answer = client.post(f"/v2/models/{name}/infer", as_v2(rows))
    assert answer.status == 200, answer.body
    there = answer.json
    assert (there["id"], there["model_name"], there["model_version"]) == ("42", name, told["versions"][0])
    want = expected(exported[label], rows)
    for tensor in there["outputs"]:
        assert tensor["shape"][0] == 5
        found = np.array(tensor["data"], dtype=object).reshape(tensor["shape"]).tolist()
        assert found == [row[tensor["name"]] for row in want]
        assert tensor["datatype"] == {i["name"]: i["datatype"] for i in told["outputs"]}[tensor["name"]]
    one = as_v2(rows) | {"outputs": [{"name": "prediction"}]}
    version = told["versions"][0]
    chosen = client.post(f"/v2/models/{name}/versions/{version}/infer", one).json
    assert [tensor["name"] for tensor in chosen["outputs"]] == ["prediction"]


def test_ten_thousand_rows_are_those_that_spark_predicts(spark, serve, bundles, exported):
    """The whole way: Spark's predictions of a table, and the rows of that table as JSON; a large body, many small ones and Parquet."""
    rows = make_table(10_000, seed=7)
    there = score(spark.createDataFrame(rows), exported["accepted"], keep=["id"]).toArrow().sort_by("id")
    want = [
        {"prediction": p, "probability": q}
        for p, q in zip(*(c.to_pylist() for c in there.columns[1:]), strict=True)
    ]
    client = serve(bundles["accepted"])
    whole = client.post("/invocations", records(rows))
    assert whole.json["predictions"] == want
    assert client.post("/invocations", as_parquet(rows), PARQUET).json["predictions"] == want
    told = as_json(rows)
    with client:
        for i in range(0, 10_000, 97):
            one = client.post("/invocations", {"dataframe_records": told[i : i + 1]})
            assert one.json["predictions"] == want[i : i + 1]
    as_float = np.array([row["probability"] for row in whole.json["predictions"]]).astype(np.float32)
    assert as_float.tobytes() == there.column("probability").to_numpy().tobytes()


def test_columns_of_other_types_are_read_as_in_batch(serve, bundles, exported, table):
    client, rows = serve(bundles["accepted"]), as_json(table.slice(0, 1))
    row = rows[0] | {"age": 44, "in.come": 31_000.0, "member": True, "city": "Oslo"}
    want = client.post("/invocations", {"instances": [row]}).json
    other = row | {"age": "44", "in.come": " 31000 ", "member": "yes", "more": {"passed": ["over"]}}
    assert client.post("/invocations", {"instances": [other]}).json == want
    parquet = pa.table({name: [value] for name, value in (row | {"age": 44.0, "member": 1}).items()})
    assert client.post("/invocations", as_parquet(parquet), PARQUET).json == want


def test_a_column_that_is_not_there_is_missing_and_counted(serve, bundles, exported):
    client = serve(bundles["accepted"])
    row = {"age": 30, "city": "Oslo"}
    want = Scorer(exported["accepted"]).score_row(dict.fromkeys(COLUMNS) | row)
    assert client.post("/invocations", {"instances": [row]}).json["predictions"] == [want]
    assert client.metric("synml_absent_column_rows_total", column="weight") == 1
    strict = serve(bundles["accepted"], require_columns=True)
    answer = strict.post("/invocations", {"instances": [row]})
    assert answer.status == 400
    assert "lack 7 columns that the model takes: 'in.come'" in answer.json["message"]


def test_a_misspelt_column_is_no_missing_one(serve, bundles, table):
    row = as_json(table.slice(0, 1))[0]
    row["vists"] = row.pop("visits")
    answer = serve(bundles["accepted"]).post("/invocations", {"instances": [row]})
    assert answer.status == 400
    assert "no column 'vists'" in answer.json["message"]
    assert "Did you mean 'visits'?" in answer.json["message"]


def test_a_graph_of_another_maker_is_served_too(serve, tmp_path):
    from onnx import TensorProto, helper

    entry = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "g", [entry], [out])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    OnnxModel(made).save(tmp_path / "double.onnx")
    client = serve(tmp_path / "double.onnx")
    want = {"predictions": [{"y": [2.0, 4.0]}, {"y": [6.0, 8.0]}]}
    for body in (
        {"instances": [[1, 2], [3, 4]]},
        {"inputs": [[1, 2], [3, 4]]},
        {"inputs": {"x": [[1, 2], [3, 4]]}},
    ):
        assert client.post("/invocations", body).json == want
    tensor = {"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3, 4]}
    told = client.post("/v2/models/double/infer", {"inputs": [tensor]}).json
    assert told["outputs"] == [
        {"name": "y", "datatype": "FP32", "shape": [2, 2], "data": [2.0, 4.0, 6.0, 8.0]}
    ]
    for bad in ([[1, 2, 3]], [["a", "b"]], [[1, 2], 3], [{"a": 1}]):
        answer = client.post("/invocations", {"instances": bad})
        assert answer.status == 400, bad
        assert "'x'" in answer.json["message"]


def test_what_is_no_number_is_null_in_the_answer(serve, tmp_path):
    from onnx import TensorProto, helper

    entry = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])
    graph = helper.make_graph([helper.make_node("Log", ["x"], ["y"])], "g", [entry], [out])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    OnnxModel(made).save(tmp_path / "log.onnx")
    answer = serve(tmp_path / "log.onnx").post("/invocations", b'{"inputs": {"x": [1, 0, -1, null, NaN]}}')
    assert json.loads(answer.body, parse_constant=pytest.fail)["predictions"] == [
        {"y": 0.0},
        *[{"y": None}] * 4,
    ]
