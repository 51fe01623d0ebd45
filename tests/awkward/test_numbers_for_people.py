"""Numbers as people write them are read, alike in Python, in Spark and in the graph."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synml_dagster.columns.number_format import NumberFormat, recognise_number
from synml_dagster.errors import DataError
from synml_dagster.features import assemble, fit_plan, onnx_model
from synml_dagster.features.fitting.guess import guess_words
from synml_dagster.files import ParquetFiles
from synml_dagster.onnx import OnnxModel, Scorer

X = np.random.default_rng(0).normal(9000, 9000, 400).round(2)
WAYS = {
    "thousands": [f"{v:,.2f}" for v in X],
    "german": [f"{v:,.2f}".translate(str.maketrans(",.", ".,")) for v in X],
    "swiss": [f"{v:,.2f}".replace(",", "'") for v in X],
    "french": [f"{v:,.2f}".replace(",", "\u202f").replace(".", ",") for v in X],
    "comma": [str(v).replace(".", ",") for v in X],
    "dollar": [f"${v:.2f}" for v in X],
    "euro": [f"{v:,.2f} EUR" for v in X],
    "percent": [f"{v:.2f} %" for v in X],
    "plus": [f"{v:+.2f}" for v in X],
    "brackets": [f"{v:,.2f}" if v > 0 else f"({-v:,.2f})" for v in X],
    "sap": [f"{abs(v):,.2f}".translate(str.maketrans(",.", ".,")) + "-" * int(v < 0) for v in X],
    "rcsv2": [f"{v:.8e}".replace(".", ",") for v in X],
    "plain": [str(v) for v in X],
}


@pytest.mark.parametrize("way", WAYS)
def test_the_number_that_was_meant_is_read_in_spark_and_in_the_graph(classic_spark, way):
    words = list(WAYS[way])
    words[7::40], words[11] = [f"call me {'abcdefghij'[i]}" for i in range(10)], "n/a"
    y = np.where(X > 9000, "high", "low").tolist()
    frame = classic_spark.createDataFrame(pa.table({"x": words, "y": y}))
    plan = fit_plan(frame, name="p", label="y")
    assert [c.kind for c in plan.columns] == ["numeric"]
    assert any("'x'" in w and "'call me" in w for w in plan.warnings)
    wanted = X.astype(np.float32).copy()
    wanted[7::40], wanted[11] = np.nan, np.nan
    by_spark = assemble(frame, plan, training=False).toPandas()["x"].to_numpy()
    np.testing.assert_allclose(np.sort(by_spark), np.sort(wanted), rtol=1e-6)
    graph = Scorer(OnnxModel(onnx_model(plan)))
    by_graph = graph.score(pa.table({"x": words})).column(0)
    made = np.array(by_graph.to_pylist(), dtype=np.float32)
    np.testing.assert_allclose(made, wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("written", "text", "number"),
    [
        (NumberFormat(group=","), "1,234,567.5", 1234567.5),
        (NumberFormat(group=","), "1,23", np.nan),
        (NumberFormat(group=","), "12,345,67", np.nan),
        (NumberFormat(decimal=",", group="."), "-1.234,5", -1234.5),
        (NumberFormat(decimal=","), "1.5", 1.5),  # today's file comes from a program
        (NumberFormat(decimal=",", group="."), "1234.56", 1234.56),
        (NumberFormat(decimal=",", group="."), "1.234", 1234),  # a mark of thousands there
        (NumberFormat(decimal=",", group="."), "1,5e-05", 1.5e-5),
        (NumberFormat(group=","), "1.5e+05", 150000),
        (NumberFormat(accounting=True, group=","), "(1,234.50)", -1234.5),
        (NumberFormat(accounting=True, group=",", unit="$"), "($1,234.50)", -1234.5),
        (NumberFormat(accounting=True, group=",", unit="$"), "$ (1,234.50)", -1234.5),
        (NumberFormat(accounting=True, group=",", unit="$"), "$1,234.50", 1234.5),
        (NumberFormat(accounting=True, group=".", decimal=","), "1.234,50-", -1234.5),
        (NumberFormat(accounting=True, unit="EUR"), "12.50- EUR", -12.5),
        (NumberFormat(accounting=True), "\u22123.5", -3.5),
        (NumberFormat(accounting=True), "-3.5", -3.5),
        (NumberFormat(accounting=True), "(-3.5)", np.nan),
        (NumberFormat(accounting=True), "1e-05", 1e-5),
        (NumberFormat(unit="$"), "-$ 12.50", -12.5),
        (NumberFormat(unit="$"), "$-12.50", -12.5),
        (NumberFormat(unit="$"), "-$-12.50", np.nan),
        (NumberFormat(unit="EUR"), " 3100 EUR ", 3100),
        (NumberFormat(unit="EUR"), "3100 USD", np.nan),
        (NumberFormat(unit="%"), "45.2%", 45.2),
        (NumberFormat(group="\u00a0", decimal=","), "1\u00a0234,5", 1234.5),
        (NumberFormat(group=","), "+.5", 0.5),
        (NumberFormat(), "", np.nan),
    ],
)
def test_all_three_readers_agree(classic_spark, written, text, number):
    from onnx import TensorProto, helper
    from pyspark.sql import functions as sf

    from synml_dagster.onnx.graph import Graph
    from synml_dagster.onnx.runtime import open_session

    assert written.read(text) == pytest.approx(number, nan_ok=True)
    frame = classic_spark.createDataFrame(pa.table({"x": [text]}))
    assert frame.select(written.to_spark(sf.col("x"))).first()[0] == pytest.approx(number, nan_ok=True)
    graph = Graph("g")
    out = written.to_onnx(graph, "x")
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "g",
            [helper.make_tensor_value_info("x", TensorProto.STRING, [None, 1])],
            [helper.make_tensor_value_info(out, TensorProto.DOUBLE, [None, 1])],
            graph.initializers,
        ),
        opset_imports=[helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 3)],
        ir_version=9,
    )
    session = open_session(model.SerializeToString(), threads=1, providers=["CPUExecutionProvider"])
    answer = session.run(None, {"x": np.array([[text], ["oops"]], dtype=object)})[0]
    assert answer[0, 0] == pytest.approx(number, nan_ok=True)
    assert np.isnan(answer[1, 0])


@pytest.mark.parametrize(
    "values",
    [
        [f"C{i}" for i in range(1000, 1100)],
        [f"0{i}" for i in range(1000, 1100)],
        [f"{i} kg" for i in range(50)] + [f"{i} g" for i in range(50)],
        [f"{i}-{i}" for i in range(100)],
        ["yes", "no"] * 50,
        [f"10.0.{i}.1" for i in range(100)],
        [f"{i}" for i in range(500, 550)] + [f"1.{i}k" for i in range(50)],
        [f"(555) {i}" for i in range(1000, 1050)],
    ],
)
def test_what_is_no_number_of_anything_is_none(values):
    assert recognise_number(values) is None


def test_a_comma_that_could_be_either_is_said():
    found = recognise_number(["1,234", "5,678", "12,345"])
    assert found is not None
    assert found[0].read("1,234") == 1234
    assert found[1]
    assert recognise_number(["1,234", "5,67"]) == (NumberFormat(decimal=","), False)


@pytest.mark.parametrize("way", ["euro", "brackets", "comma", "percent"])
@pytest.mark.parametrize("times", [1, 4])
@pytest.mark.parametrize("files", [False, True])
def test_a_label_of_numbers_for_people_is_read(classic_spark, tmp_path, way, times, files):
    if files and times == 1:
        pytest.skip("seen by the others")
    values = np.random.default_rng(1).normal(9000, 9000, 400 * times).round(2)
    ways = {
        "euro": [f"{v:,.2f} EUR" for v in values],
        "brackets": [f"{v:,.2f}" if v > 0 else f"({-v:,.2f})" for v in values],
        "comma": [str(v).replace(".", ",") for v in values],
        "percent": [f"{v:.2f}%" for v in values],
    }
    words = ways[way]
    words[::20] = ["NA"] * len(words[::20])
    table = pa.table({"x": values, "price": words})
    pq.write_table(table, tmp_path / "a.parquet")
    frame = classic_spark.read.parquet(str(tmp_path / "a.parquet"))
    source = ParquetFiles((str(tmp_path / "a.parquet"),), len(words)) if files else frame
    plan = fit_plan(source, name="p", label="price", spark=classic_spark)
    assert plan.task == "regression"
    assert any("label 'price' is read as numbers written with" in w for w in plan.warnings)
    made = assemble(frame, plan, keep=()).toPandas()
    assert len(made) == 380 * times
    whole = made["x"] + plan.columns[0].scale.center if plan.columns[0].scale else made["x"]
    np.testing.assert_allclose(made["__label"], whole, rtol=1e-4, atol=0.01)


def test_a_label_of_numbers_and_a_word_is_refused_by_name(classic_spark):
    words = [f"{v:,.2f} EUR" for v in X]
    words[7] = "ask us"
    frame = classic_spark.createDataFrame(pa.table({"x": X.tolist(), "price": words}))
    with pytest.raises(DataError, match=r"label 'price' holds numbers written with .*'ask us'"):
        fit_plan(frame, name="p", label="price")
    with pytest.raises(DataError, match=r"label 'price' holds words"):
        fit_plan(frame, name="p", label="price", task="regression")


def test_numbers_that_come_typed_are_read_by_a_plan_that_has_learnt_them_as_text(classic_spark):
    from synml_dagster.columns.convert import converted
    from synml_dagster.columns.raw import raw_inputs

    values = [1234.5, 1.234, 12345678.9, 1e-7, -3.0, 7.0, 123456.789]
    frame = classic_spark.createDataFrame(pa.table({"x": values}))
    raw = raw_inputs(frame.schema)[0][0]
    for written in (
        NumberFormat(decimal=",", group="."),
        NumberFormat(group=",", unit="$"),
        NumberFormat(decimal=","),
    ):
        plan = raw.model_copy(update={"storage": "string", "number_marks": written.marks})
        text = [row[0] for row in frame.select(converted(raw, plan)[0]).collect()]
        assert [written.read(t) for t in text] == values


@pytest.mark.parametrize(
    "values",
    [
        [f"{i}:{i % 60:02d}:07" for i in range(100)],
        [f"{i * 7} days 10:11:12" for i in range(100)],
        [f'="{i * 7}"' for i in range(100)],
        [f"{i * 1000}_000" for i in range(100)],
        [hex(i * 1000) for i in range(100)],
        [
            f"{i * 7}".translate(
                str.maketrans("0123456789", "\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669")
            )
            for i in range(100)
        ],
        [f"{i}-{i + 10}" for i in range(100)],
        [f"202201{i % 28 + 1:02d}T{i % 24:02d}{i % 60:02d}00" for i in range(100)],
        [f"Wed, {i % 28 + 1:02d} Jun 20{i % 80 + 10} 02:{i % 60:02d}:58 GMT" for i in range(100)],
    ],
)
def test_what_looks_like_numbers_or_dates_and_is_not_read_is_said(values):
    guess = guess_words("c", values, len(set(values)), len(values))
    assert guess.kind not in ("numeric", "datetime")
    assert "'c' looks like numbers or dates" in guess.warning
    assert repr(values[0]) in guess.warning


def test_a_point_before_three_digits_everywhere_is_said(classic_spark, tmp_path):
    from synml_dagster.sources import Source, read_source

    (tmp_path / "a.csv").write_text("a,b\n23.380,1.125\n950,2.25\n4.125,3.5\n")
    notes: list[str] = []
    read_source(classic_spark, Source(path=str(tmp_path / "a.csv")), notes=notes)
    assert len(notes) == 1
    assert "column 'a' has three digits behind every point" in notes[0]
