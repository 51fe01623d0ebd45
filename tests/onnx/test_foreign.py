"""Anybody's ONNX graph is scored by the same scorer: graphs built here as other converters build them."""

from __future__ import annotations

import numpy as np
import onnx
import pyarrow as pa
import pytest
from onnx import TensorProto as T
from onnx import helper, numpy_helper

from synml_dagster.errors import ConfigError, DataError, ModelError, SetupError
from synml_dagster.onnx import OnnxModel, Scorer, register_function, score, split_bad_rows


def graph(nodes, inputs, outputs, initializers=(), opset=17) -> OnnxModel:
    def values(named):
        return [
            helper.make_tensor_value_info(name, kind, shape) if isinstance(kind, int) else kind
            for name, kind, shape in named
        ]

    built = helper.make_graph(list(nodes), "g", values(inputs), values(outputs), list(initializers))
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    return OnnxModel(helper.make_model(built, opset_imports=opsets, ir_version=8))


def linear(width: int = 2, classes: int = 3, hidden: bool = False) -> OnnxModel:
    weights = np.arange(width * classes, dtype=np.float32).reshape(width, classes) - 2
    nodes = [helper.make_node("MatMul", ["X", "W"], ["logits"]), helper.make_node("Relu", ["logits"], ["Y"])]
    return graph(
        nodes,
        [("X", T.FLOAT, [None, width])],
        [("Y", T.FLOAT, [None, classes])],
        [numpy_helper.from_array(weights, "W")],
    )


def zipmap() -> OnnxModel:
    """A classifier as scikit-learn's converter writes it: label and a sequence of maps."""
    classifier = helper.make_node(
        "LinearClassifier",
        ["X"],
        ["label", "scores"],
        domain="ai.onnx.ml",
        classlabels_strings=["cat", "dog", "eel"],
        coefficients=[1.0, 0.0, 0.0, 1.0, -1.0, -1.0],
        intercepts=[0.0, 0.0, 0.1],
        multi_class=1,
        post_transform="SOFTMAX",
    )
    zipped = helper.make_node(
        "ZipMap",
        ["scores"],
        ["probabilities"],
        domain="ai.onnx.ml",
        classlabels_strings=["cat", "dog", "eel"],
    )
    kind = helper.make_sequence_type_proto(
        helper.make_map_type_proto(T.STRING, helper.make_tensor_type_proto(T.FLOAT, []))
    )
    maps = helper.make_value_info("probabilities", kind)
    return graph(
        [classifier, zipped],
        [("X", T.FLOAT, [None, 2])],
        [("label", T.STRING, [None]), ("probabilities", maps, None)],
    )


ROWS = pa.table({"a": [1.0, -2.0, 0.5], "b": [0.0, 3.0, None], "name": ["x", None, ""]})


def test_columns_side_by_side_fill_one_input():
    scored = Scorer(linear(), inputs={"X": ["a", "b"]}).score(ROWS.slice(0, 2))
    assert scored.column("Y").to_pylist() == [[0.0, 0.0, 0.0], [7.0, 8.0, 9.0]]


def test_inner_tensors_softmax_and_argmax_are_columns():
    scorer = Scorer(
        linear(), inputs={"X": ["a", "b"]}, outputs=["logits"], softmax={"p": "logits"}, argmax={"best": "Y"}
    )
    scored = scorer.score(ROWS.slice(0, 2))
    logits = np.array(scored.column("logits").to_pylist())
    assert logits.tolist() == [[-2, -1, 0], [7, 8, 9]]
    powers = np.exp(logits)
    assert np.allclose(scored.column("p").to_pylist(), powers / powers.sum(1, keepdims=True), atol=1e-6)
    assert scored.column("best").to_pylist() == [0, 2]


def test_a_sequence_of_maps_is_a_map_column():
    scored = Scorer(zipmap(), inputs={"X": ["a", "b"]}).score(ROWS.slice(0, 2))
    assert scored.column("label").to_pylist() == ["cat", "dog"]
    assert scored.schema.field("probabilities").type == pa.map_(pa.string(), pa.float32())
    first = dict(scored.column("probabilities").to_pylist()[0])
    assert set(first) == {"cat", "dog", "eel"}
    assert sum(first.values()) == pytest.approx(1)


def test_spark_scores_a_foreign_graph_with_maps_and_lists(spark):
    frame = spark.createDataFrame(ROWS.slice(0, 2))
    maps = score(frame, zipmap(), inputs={"X": ["a", "b"]}, keep=["a"]).toArrow()
    assert maps.column("label").to_pylist() == ["cat", "dog"]
    assert {k for row in maps.column("probabilities").to_pylist() for k, _ in row} == {"cat", "dog", "eel"}
    lists = score(frame, linear(), inputs={"X": ["a", "b"]}, softmax={"p": "Y"}).toArrow()
    assert lists.column("Y").to_pylist()[1] == [7.0, 8.0, 9.0]
    assert sum(lists.column("p").to_pylist()[0]) == pytest.approx(1)


def test_a_foreign_graph_is_an_sql_function(classic_spark):
    doubled = graph(
        [helper.make_node("Add", ["a", "a"], ["twice"])],
        [("a", T.DOUBLE, [None, 1])],
        [("twice", T.DOUBLE, [None, 1])],
    )
    assert register_function(classic_spark, "twice", doubled) == ["a"]
    assert [r[0] for r in classic_spark.sql("SELECT twice(id) FROM range(3)").collect()] == [0, 2, 4]


@pytest.mark.parametrize(
    ("kind", "values", "back"),
    [
        (T.FLOAT16, pa.array([0.5, 2.0]), [0.5, 2.0]),
        (T.DOUBLE, pa.array([1e300, 2.0]), [1e300, 2.0]),
        (T.INT8, pa.array([-128, 127]), [-128, 127]),
        (T.INT16, pa.array([1, 2], pa.int8()), [1, 2]),
        (T.INT32, pa.array([2**31 - 1, 0]), [2**31 - 1, 0]),
        (T.INT64, pa.array([2**53 + 1, 0]), [2**53 + 1, 0]),
        (T.UINT8, pa.array([255, 0]), [255, 0]),
        (T.BOOL, pa.array([True, False]), [True, False]),
        (T.STRING, pa.array(["é", None]), ["é", ""]),
        (T.INT64, pa.array([3.0, 4.0]), [3, 4]),
        (T.FLOAT, pa.array([None, 1], pa.int64()), [None, 1]),
    ],
)
def test_tensors_of_every_type_take_columns(kind, values, back):
    same = graph(
        [helper.make_node("Identity", ["x"], ["y"])], [("x", kind, [None, 1])], [("y", kind, [None, 1])]
    )
    got = Scorer(same).score({"x": values}).column("y").to_pylist()
    assert [None if v != v else v for v in got] == back


def test_several_inputs_of_fixed_inner_shape():
    total = graph(
        [
            helper.make_node("ReduceSum", ["image", "axes"], ["sum"], keepdims=0),
            helper.make_node("Mul", ["sum", "gain"], ["out"]),
        ],
        [("image", T.FLOAT, [None, 2, 3]), ("gain", T.FLOAT, [None])],
        [("out", T.FLOAT, [None])],
        [numpy_helper.from_array(np.array([1, 2]), "axes")],
    )
    rows = {"image": pa.array([[1.0] * 6, [2.0] * 6], pa.list_(pa.float32())), "gain": pa.array([1.0, 10.0])}
    assert Scorer(total).score(rows).column("out").to_pylist() == [6.0, 120.0]
    rows["image"] = pa.array([[1.0] * 5, [2.0] * 6], pa.list_(pa.float32()))
    marked = Scorer(total, bad_rows="mark").score(rows)
    assert marked.column("out").to_pylist() == [None, 120.0]
    assert marked.column("bad_row").to_pylist() == ["'image' does not hold 6 values", None]


def test_a_graph_of_fixed_batch_size_scores_any_number_of_rows():
    fixed = graph([helper.make_node("Neg", ["x"], ["y"])], [("x", T.FLOAT, [4, 1])], [("y", T.FLOAT, [4, 1])])
    assert Scorer(fixed).score({"x": np.arange(10.0)}).column("y").to_pylist() == [
        -float(i) for i in range(10)
    ]


def test_rows_that_do_not_fit_are_an_error_or_are_set_aside_with_a_reason(spark):
    same = graph(
        [helper.make_node("Identity", ["x"], ["y"])], [("x", T.INT8, [None, 1])], [("y", T.INT8, [None, 1])]
    )
    rows = {"x": pa.array([1, 300, None, -5], pa.int64())}
    with pytest.raises(
        DataError, match=r"2 of 4 rows cannot be scored.*row 1, 'x' is out of the range of int8"
    ):
        Scorer(same).score(rows)
    frame = spark.createDataFrame(pa.table(rows))
    good, bad = split_bad_rows(score(frame, same, bad_rows="mark"))
    assert sorted(r.y for r in good.collect()) == [-5, 1]
    assert sorted(r.bad_row for r in bad.collect()) == [
        "'x' is missing, and a tensor of int8 has no value for that",
        "'x' is out of the range of int8",
    ]


def test_text_in_a_number_column_is_refused_or_read_where_rows_are_marked():
    same = graph(
        [helper.make_node("Identity", ["x"], ["y"])], [("x", T.FLOAT, [None, 1])], [("y", T.FLOAT, [None, 1])]
    )
    words = {"x": pa.array(["1.5", "one", " 2 "])}
    with pytest.raises(DataError, match="'x' is text where the model takes float numbers"):
        Scorer(same).score(words)
    marked = Scorer(same, bad_rows="mark").score(words)
    assert marked.to_pylist() == [
        {"y": 1.5, "bad_row": None},
        {"y": None, "bad_row": "'x' is text that is no number"},
        {"y": 2.0, "bad_row": None},
    ]


def test_weights_in_files_of_their_own_are_found_and_saved_along(tmp_path, spark):
    frame = spark.createDataFrame(ROWS.slice(0, 2))
    for times, expected in ((1, [7.0, 8.0, 9.0]), (10, [70.0, 80.0, 90.0])):  # two models, one name of a file
        whole = linear().proto
        weights = times * numpy_helper.to_array(whole.graph.initializer[0])
        whole.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, "W"))
        file = tmp_path / str(times) / "m.onnx"
        file.parent.mkdir()
        onnx.save_model(
            whole, str(file), save_as_external_data=True, location="weights.bin", size_threshold=0
        )
        model = OnnxModel.load(file)
        assert model.external_files == ("weights.bin",)
        model.save(tmp_path / f"copy{times}")
        copy = OnnxModel.load(tmp_path / f"copy{times}")
        found = score(frame, copy, inputs={"X": ["a", "b"]}).toArrow().column("Y").to_pylist()
        assert found == [[0.0, 0.0, 0.0], expected]


def test_weights_that_are_not_beside_their_model_are_said_when_it_is_opened(tmp_path):
    whole = linear().proto
    for tensor in whole.graph.initializer:
        tensor.raw_data = tensor.raw_data or numpy_helper.to_array(tensor).tobytes()
    file, weights = tmp_path / "m.onnx", tmp_path / "weights.bin"
    onnx.save_model(whole, str(file), save_as_external_data=True, location=weights.name, size_threshold=0)
    for in_memory in (file.read_bytes(), onnx.load(str(file), load_external_data=False)):
        with pytest.raises(ModelError, match=r"in the file 'weights\.bin' beside it.*Give the path"):
            OnnxModel(in_memory)
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(ModelError, match=r"24 bytes of weights in '.*weights\.bin', which has 20"):
        OnnxModel.load(file)
    weights.unlink()
    with pytest.raises(ModelError, match=r"there is no '.*weights\.bin'"):
        OnnxModel.load(file)


def test_a_gpu_that_is_not_there_is_an_error_when_asked_for_and_no_matter_when_automatic():
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this host has a GPU runtime")
    with pytest.raises(SetupError, match=r"provider 'cuda' was asked for.*CPUExecutionProvider"):
        Scorer(linear(), inputs={"X": ["a", "b"]}, provider="cuda")
    auto = Scorer(linear(), inputs={"X": ["a", "b"]}, provider="auto", gpu=0)
    assert auto.session.get_providers() == ["CPUExecutionProvider"]
    with pytest.raises(ConfigError, match="provider 'quantum'"):
        Scorer(linear(), provider="quantum")


def test_damaged_new_and_unfitting_models_say_so(tmp_path):
    good = linear().content
    (tmp_path / "cut.onnx").write_bytes(good[: len(good) // 2])
    with pytest.raises(ModelError, match=r"cut\.onnx"):
        Scorer(OnnxModel.load(tmp_path / "cut.onnx"), inputs={"X": ["a", "b"]})
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(ModelError, match=r"text\.onnx"):
        OnnxModel.load(tmp_path / "text.onnx")
    with pytest.raises(ModelError, match="no ONNX model at"):
        OnnxModel.load(tmp_path / "none")
    new = onnx.ModelProto.FromString(good)
    new.opset_import[0].version = 99
    with pytest.raises(ModelError, match="too old"):
        Scorer(OnnxModel(new), inputs={"X": ["a", "b"]})
    with pytest.raises(ModelError, match="no input 'Z'"):
        Scorer(linear(), inputs={"Z": "a"})
    with pytest.raises(ModelError, match="takes 2 values a row and is given 3"):
        Scorer(linear(), inputs={"X": ["a", "b", "a"]})
    with pytest.raises(ModelError, match=r"no tensor 'Logits'.*Did you mean 'logits'"):
        Scorer(linear(), outputs=["Logits"])
    with pytest.raises(DataError, match="'X'"):
        Scorer(linear()).score(ROWS)
