"""A label that is missing by a mark is no class, in Spark's rows and in files."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synml_dagster.features import ColumnSpec, FeatureSpec, assemble, fit_plan, onnx_model
from synml_dagster.files import ParquetFiles
from synml_dagster.onnx import OnnxModel, Scorer


@pytest.fixture(scope="module")
def marked(tmp_path_factory):
    """300 rows labelled yes and no, 30 of them with a mark in the place of the label."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=300)
    words = np.where(x > 0, "yes", "no").astype(object)
    words[::10] = ["NA", "?", "NULL"] * 10
    path = tmp_path_factory.mktemp("marks") / "rows.parquet"
    pq.write_table(pa.table({"x": x, "y": words.tolist()}), path)
    return str(path)


@pytest.mark.parametrize("way", ["files", "rows"])
def test_a_mark_is_no_class(classic_spark, marked, way):
    files = ParquetFiles((marked,), 300)
    plan = fit_plan(
        files if way == "files" else classic_spark.read.parquet(marked),
        name="p",
        label="y",
        spark=classic_spark,
    )
    assert plan.label.classes == ["no", "yes"]
    assert plan.label.dropped_null_rows == 30
    assert "a mark such as NA" in " ".join(plan.warnings)
    assert assemble(classic_spark.read.parquet(marked), plan).count() == 270


def test_a_word_that_is_taken_off_the_marks_is_a_class(classic_spark, marked):
    plan = fit_plan(
        classic_spark.read.parquet(marked), name="p", label="y", features=FeatureSpec(missing=["?", "NULL"])
    )
    assert plan.label.classes == ["NA", "no", "yes"]
    assert plan.label.dropped_null_rows == 20


def test_a_column_of_a_few_numbers_and_a_question_mark_is_numeric(classic_spark):
    rng = np.random.default_rng(1)
    size = rng.integers(1, 11, 300)
    words = np.where(np.arange(300) % 20 == 0, "?", size.astype(str))
    frame = classic_spark.createDataFrame(
        pa.table({"size": words.tolist(), "y": np.where(size > 5, "big", "small").tolist()})
    )
    plan = fit_plan(frame, name="p", label="y")
    assert [c.kind for c in plan.columns] == ["numeric"]
    assert "'size' holds numbers written as text" in " ".join(plan.warnings)


@pytest.mark.parametrize("encoding", ["index", "onehot", "target", "frequency"])
def test_a_mark_is_no_category_in_spark_and_in_the_graph(classic_spark, encoding):
    rng = np.random.default_rng(2)
    city = rng.choice(["Oslo", "Bergen"], 300).astype(object)
    city[::10] = ["NA", "?", "None"] * 10
    city[1::50] = None
    table = pa.table(
        {"city": city.tolist(), "x": rng.normal(size=300), "y": rng.choice(["a", "b"], 300).tolist()}
    )
    frame = classic_spark.createDataFrame(table)
    spec = FeatureSpec(overrides={"city": ColumnSpec(kind="categorical", encoding=encoding)})
    plan = fit_plan(frame, name="p", label="y", features=spec)
    column = plan.columns[0]
    assert sorted(column.words) == ["Bergen", "Oslo"]
    assert any("'city' has" in w and "features.missing" in w for w in plan.warnings)
    stats = plan.statistics_of("city")
    assert set(stats.top) == {"Bergen", "Oslo"}
    gone = [c is None or c in ("NA", "?", "None") for c in city]
    by_spark = assemble(frame, plan, training=False).toPandas()[column.features[0]].to_numpy()
    graph = Scorer(OnnxModel(onnx_model(plan))).score(table)
    made = np.array(graph.column(0).to_pylist(), dtype=np.float32).reshape(300, -1)[:, 0]
    np.testing.assert_array_equal(np.sort(by_spark), np.sort(made))
    for value in {"index": [np.nan], "onehot": [0.0]}.get(encoding, [made[0]]):
        np.testing.assert_array_equal(made[gone], value)
    kept = fit_plan(frame, name="p", label="y", features=spec.model_copy(update={"missing": ["NA"]}))
    assert sorted(kept.columns[0].words) == ["?", "Bergen", "None", "Oslo"]


def test_truth_that_comes_typed_or_in_another_spelling_is_the_word_that_was_learnt(classic_spark):
    rng = np.random.default_rng(3)
    flag = rng.choice(["True", "False", "maybe", "TRUE"], 300, p=[0.4, 0.3, 0.2, 0.1])
    table = pa.table({"flag": flag.tolist(), "y": rng.choice(["a", "b"], 300).tolist()})
    plan = fit_plan(classic_spark.createDataFrame(table), name="p", label="y")
    words = plan.columns[0].words
    assert sorted(words) == ["False", "True", "maybe"]
    wanted = [words.index("True"), words.index("False"), np.nan]
    graph = Scorer(OnnxModel(onnx_model(plan)))
    for values in ([True, False, None], ["TRUE", "false", None], ["true", "FALSE", ""]):
        today = pa.table({"flag": values})
        made = assemble(classic_spark.createDataFrame(today), plan, training=False).collect()
        np.testing.assert_array_equal([row[0] for row in made], wanted)
        np.testing.assert_array_equal(graph.score(today).column(0).to_pylist(), wanted)


def test_numbers_that_come_for_codes_have_their_zeros(classic_spark):
    from synml_dagster.columns.convert import converted
    from synml_dagster.columns.raw import raw_inputs

    rng = np.random.default_rng(4)
    code = rng.choice(["007", "010", "123"], 300)
    table = pa.table({"code": code.tolist(), "y": rng.choice(["a", "b"], 300).tolist()})
    plan = fit_plan(classic_spark.createDataFrame(table), name="p", label="y")
    today = classic_spark.createDataFrame(pa.table({"code": [7, 10, 123, None]}))
    made = [row[0] for row in assemble(today, plan, training=False).collect()]
    words = plan.columns[0].words
    np.testing.assert_array_equal(made, [*map(words.index, ("007", "010", "123")), np.nan])
    doubles = classic_spark.createDataFrame(pa.table({"code": [7.0, 1234.0]}))
    text = converted(raw_inputs(doubles.schema)[0][0], plan.columns[0].input)[0]
    assert [row[0] for row in doubles.select(text).collect()] == ["007", "1234"]
