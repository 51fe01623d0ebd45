"""A pipeline's graph takes the raw table and answers what Spark's own path answers."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace

import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as sf

from synml_dagster.errors import ConfigError, DataError, ModelError
from synml_dagster.export import check_parity, export_pipeline
from synml_dagster.export.adversarial import adversarial_rows
from synml_dagster.features import labelled, score_split
from synml_dagster.files import ParquetFiles
from synml_dagster.onnx import OnnxModel, Scorer, can_have_bad_rows, register_function, score, score_files
from synml_dagster.onnx.forest.tables import TreeTables
from synml_dagster.tables import publish_files
from tests.feed import tensors
from tests.onnx.conftest import LABELS, make_table


@pytest.mark.parametrize("label", LABELS)
def test_graph_and_spark_agree_on_rows_of_the_table_and_on_adversarial_ones(
    classic_spark, table, pipelines, exported, label
):
    plan, model = pipelines[label]
    raw = classic_spark.createDataFrame(table)
    report = check_parity(classic_spark, plan, model, exported[label], raw, rows=2000)
    assert report.passed, report
    assert report.rows >= 2000 + report.adversarial_rows
    assert report.adversarial_rows > 100
    assert report.max_difference <= 1e-6
    json.dumps(report.worst, allow_nan=False)


def test_parity_fails_and_shows_the_worst_row_where_the_graph_is_of_another_model(
    classic_spark, table, pipelines, exported
):
    plan, model = pipelines["accepted"]
    shorter = replace(model, text=_first_trees(model, 5))
    report = check_parity(
        classic_spark, plan, shorter, exported["accepted"], classic_spark.createDataFrame(table), rows=500
    )
    assert not report.passed
    assert report.rows_different > 100
    assert report.worst["difference"] == report.max_difference > 0.01
    assert set(report.worst["row"]) == {r.name for r in plan.raw_inputs}


def test_parity_looks_at_both_ways_of_walking_the_trees(
    classic_spark, table, pipelines, exported, monkeypatch
):
    plan, model = pipelines["accepted"]
    exact = TreeTables.raw_scores
    monkeypatch.setattr(TreeTables, "raw_scores", lambda self, X, threads=1: exact(self, X, threads) + 0.01)
    raw = classic_spark.createDataFrame(table)
    report = check_parity(classic_spark, plan, model, exported["accepted"], raw, rows=500)
    assert not report.passed
    assert report.max_difference > 1e-4


@pytest.mark.parametrize("cells", [20_000_000, 12_000])
def test_awkward_values_of_all_columns_are_there_however_few_rows_hold_them(table, pipelines, cells):
    plan, model = pipelines["accepted"]
    raw = table.select([r.name for r in plan.raw_inputs])
    made = adversarial_rows(raw, plan, model, most_cells=cells)
    assert made.schema == raw.schema
    assert made.num_rows * made.num_columns <= max(cells, 20_000)
    assert set(made.slice(made.num_rows - 1).to_pylist()[0].values()) == {None}
    weight = made.column("weight").to_numpy()
    assert {"nan", "inf", "-inf", "0.0"} < {str(v) for v in weight.tolist()}
    assert {"", " ", "ünseen ☃", None} < set(made.column("city").to_pylist())
    assert {None, True, False} == set(made.column("member").to_pylist())


def _first_trees(model, n: int) -> str:
    return model.booster.model_to_string(num_iteration=n)


@pytest.mark.parametrize("label", LABELS)
def test_spark_scores_rows_and_files_alike_and_as_the_scorer_does(spark, table, exported, label, tmp_path):
    model = exported[label]
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=700)
    alone = Scorer(model).score(table)
    keep = ["id", "in.come", "city"]
    by_rows = score(spark.createDataFrame(table), model, keep=keep).toArrow().sort_by("id")
    by_files = (
        score(ParquetFiles((str(tmp_path / "t.parquet"),)), model, keep=keep, spark=spark, tasks=3)
        .toArrow()
        .sort_by("id")
    )
    assert by_rows.schema.names == by_files.schema.names == keep + alone.schema.names
    assert by_rows.equals(by_files)
    for name in alone.schema.names:
        assert by_rows.column(name).to_pylist() == alone.column(name).to_pylist()
    assert by_rows.column("city").to_pylist() == table.column("city").to_pylist()


def test_words_that_are_not_kept_and_files_that_lack_columns_are_scored_as_rows_are(
    spark, table, exported, tmp_path
):
    model = exported["accepted"]
    half = table.num_rows // 2
    pq.write_table(table.slice(0, half), tmp_path / "1-new.parquet")
    # Written before these columns were added: their values are missing.
    pq.write_table(table.slice(half).drop_columns(["city", "weight"]), tmp_path / "2-old.parquet")
    schema = spark.createDataFrame(table).schema
    files = ParquetFiles(tuple(sorted(map(str, tmp_path.glob("*.parquet")))), schema_json=schema.json())
    keep = ["id", "weight"]
    by_rows = score(files.dataframe(spark), model, keep=keep).toArrow().sort_by("id")
    by_files = score(files, model, keep=keep, spark=spark).toArrow().sort_by("id")
    assert by_rows.column("weight").null_count >= table.num_rows - half
    assert by_rows.equals(by_files)
    made = score_files(spark, files, model, keep=keep)
    assert "city" in made.words
    published = publish_files(spark, made, tmp_path / "scored").dataframe(spark)
    assert published.toArrow().sort_by("id").equals(by_rows)


@pytest.mark.parametrize("label", LABELS)
def test_tasks_write_the_scores_that_spark_would(spark, table, exported, label, tmp_path):
    # Spark writes times in its old format.
    spark.createDataFrame(table).repartition(2).write.parquet(str(tmp_path / "raw"))
    files = ParquetFiles(tuple(sorted(map(str, (tmp_path / "raw").glob("*.parquet")))))
    when = dt.datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=dt.UTC)
    made = score_files(spark, files, exported[label], constants={"version": "7", "at": when})
    published = publish_files(spark, made, tmp_path / "scored")
    ours = published.dataframe(spark)
    theirs = score(files, exported[label], spark=spark)
    assert ours.columns == [*theirs.columns, "version", "at"]
    assert [f.dataType for f in ours.schema.fields][:-2] == [f.dataType for f in theirs.schema.fields]
    assert ours.drop("version", "at").exceptAll(theirs).count() == 0
    assert published.rows == theirs.count()
    stamp = ours.select("version", sf.unix_micros("at")).distinct().collect()
    assert [tuple(row) for row in stamp] == [("7", int(when.timestamp() * 1_000_000))]
    pq.write_table(table.slice(0, 0), tmp_path / "none.parquet")
    none = score_files(spark, ParquetFiles((str(tmp_path / "none.parquet"),)), exported[label])
    empty = publish_files(spark, none, tmp_path / "empty")
    assert (empty.rows, empty.dataframe(spark).count(), empty.columns) == (0, 0, theirs.columns)
    assert (
        score_files(
            spark, ParquetFiles((), schema_json=files.dataframe(spark).schema.json()), exported[label]
        )
        is None
    )


@pytest.mark.parametrize("label", LABELS)
def test_the_rows_of_a_side_are_scored_from_files_as_from_rows(
    spark, table, pipelines, exported, label, tmp_path
):
    plan, _ = pipelines[label]
    pq.write_table(table, tmp_path / "part-0.parquet", row_group_size=200)
    files = ParquetFiles((str(tmp_path / "part-0.parquet"),))
    made = score_split(spark, files, plan, exported[label], "test")
    rows = labelled(files.dataframe(spark), plan).where("__split = 'test'")
    theirs = score(rows, exported[label], keep=["__label"])
    assert made is not None
    assert made.columns == theirs.columns
    assert theirs.count() == made.count() > 50
    assert made.exceptAll(theirs).count() == 0


def test_columns_of_other_types_are_read_row_by_row_where_bad_rows_are_marked(spark, table, exported):
    model = exported["accepted"]
    words = [f.name for f in table.schema if f.name not in ("id", "city")]
    read = spark.createDataFrame(table)
    # A time is written in the session's zone, and read in it again.
    other = read.selectExpr("id", "city", *(f"string(`{w}`) AS `{w}`" for w in words))
    with pytest.raises(DataError, match="'age' is string where the plan has int"):
        score(other, model, keep=["id"])
    assert not can_have_bad_rows(read, model, spark)
    assert can_have_bad_rows(other, model, spark)
    bad = {
        0: ("age", "'many'", "'age' is not a number"),
        1: ("age", "'1.5'", "'age' is not a whole number"),
        2: ("age", "'3e9'", "'age' is out of the range of int"),
        3: ("height", "'1e300'", "'height' is out of the range of float"),
        4: ("member", "'perhaps'", "'member' is not true or false"),
        5: ("joined", "'2024-02-31'", "'joined' is not a date"),
        6: ("seen", "'noon'", "'seen' is not a timestamp"),
        7: ("in.come", "'12,5'", "'in.come' is not a number"),
        8: ("in.come", "' '", None),
        9: ("age", "' 40.0 '", None),
        10: ("age", "'NA'", None),
        11: ("member", "'null'", None),
        12: ("joined", "'NaT'", None),
    }
    for row, (column, text, _) in bad.items():
        other = other.withColumn(column, sf.expr(f"IF(id = {row}, {text}, `{column}`)"))
    marked = {r.id: r for r in score(other, model, keep=["id"], bad_rows="mark").collect()}
    assert {i: marked[i].bad_row for i in bad} == {i: reason for i, (_, _, reason) in bad.items()}
    assert all(marked[i].prediction is None and marked[i].probability is None for i in range(8))
    alone = Scorer(model).score(table)
    for column in ("prediction", "probability"):
        same = alone.column(column).to_pylist()
        assert [marked[i][column] for i in range(13, table.num_rows)] == same[13:]
    assert all(marked[i].bad_row is None for i in range(8, table.num_rows))


def test_a_column_that_can_hold_none_of_the_plans_values_is_refused_even_then(classic_spark, table, exported):
    other = classic_spark.createDataFrame(table).withColumn("joined", sf.lit(1.5))
    with pytest.raises(DataError, match="'joined' is double where the plan has date"):
        score(other, exported["accepted"], bad_rows="mark")


def test_classes_come_back_with_the_type_they_have_in_the_table(exported, table):
    kinds = {label: Scorer(exported[label]).score(table).schema.field("prediction").type for label in LABELS}
    assert kinds == {"accepted": pa.string(), "flag": pa.bool_(), "grade": pa.int64(), "amount": pa.float64()}
    assert set(Scorer(exported["grade"]).score(table).column("prediction").to_pylist()) == {0, 10, 20}


def test_plain_onnxruntime_answers_the_same_from_the_file_alone(tmp_path, pipelines, exported, table):
    plan, _ = pipelines["accepted"]
    exported["accepted"].save(tmp_path)
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    label, probabilities, _ = session.run(
        ["label", "probabilities", "raw_score"],
        tensors(table.combine_chunks().to_batches()[0], plan.raw_inputs),
    )
    ours = Scorer(OnnxModel.load(tmp_path)).score(table)
    assert ours.column("prediction").to_pylist() == label.tolist()
    assert np.array_equal(ours.column("probability").to_numpy(), probabilities[:, 1])
    assert OnnxModel.load(tmp_path).metadata["pipeline"] == "by_accepted"


def test_one_row_at_a_time_is_the_same_row_of_a_batch(exported, table):
    scorer = Scorer(exported["grade"], outputs=["prediction", "probability", "raw_score"])
    whole = scorer.score(table).to_pylist()
    for i in (0, 7, 1234):
        assert scorer.score_row(table.slice(i, 1).to_pylist()[0]) == whole[i]


def test_a_model_is_an_sql_function(spark, exported, table):
    arguments = register_function(spark, "chance", exported["accepted"], output="probability")
    spark.createDataFrame(table).createOrReplaceTempView("people")
    call = ", ".join(f"`{a}`" for a in arguments)
    found = spark.sql(f"SELECT id, chance({call}) AS p FROM people ORDER BY id").toArrow()
    assert (
        found.column("p").to_pylist()
        == Scorer(exported["accepted"]).score(table).column("probability").to_pylist()
    )


def test_a_stream_of_files_is_scored_once_each_over_restarts(classic_spark, exported, table, tmp_path):
    source, sink, marks = tmp_path / "in", tmp_path / "out", tmp_path / "checkpoint"
    source.mkdir()
    pq.write_table(table.slice(0, 1000), source / "a.parquet")

    def run() -> None:
        rows = classic_spark.readStream.schema(classic_spark.read.parquet(str(source)).schema).parquet(
            str(source)
        )
        query = (
            score(rows, exported["accepted"], keep=["id"])
            .writeStream.option("checkpointLocation", str(marks))
            .trigger(availableNow=True)
            .start(str(sink), format="parquet")
        )
        assert query.awaitTermination(120)

    run()
    pq.write_table(table.slice(1000, 500), source / "b.parquet")
    run()
    run()
    got = classic_spark.read.parquet(str(sink)).toArrow().sort_by("id")
    want = Scorer(exported["accepted"]).score(table.slice(0, 1500))
    assert got.column("id").to_pylist() == list(range(1500))
    assert got.column("probability").to_pylist() == want.column("probability").to_pylist()


def test_missing_changed_and_clashing_columns_are_refused_by_name(classic_spark, exported, table):
    frame = classic_spark.createDataFrame(table)
    with pytest.raises(DataError, match="'age'"):
        score(frame.withColumnRenamed("age", "agee"), exported["accepted"])
    with pytest.raises(DataError, match="city"):
        Scorer(exported["accepted"]).score(table.drop_columns(["city"]))
    with pytest.raises(DataError, match="'age' is double"):
        score(frame.withColumn("age", frame["age"].cast("double")), exported["accepted"])
    wider = score(frame.withColumn("age", frame["age"].cast("smallint")), exported["accepted"], keep=["id"])
    assert wider.count() == table.num_rows
    with pytest.raises(ConfigError, match="prediction"):
        score(frame.withColumnRenamed("flag", "prediction"), exported["accepted"])
    with pytest.raises(ModelError, match="Did you mean 'probability'"):
        Scorer(exported["accepted"], outputs=["probabilty"])


def test_an_export_of_a_model_trained_on_other_features_is_refused(pipelines):
    plan, model = pipelines["accepted"]
    with pytest.raises(ModelError, match="other features"):
        export_pipeline(plan, replace(model, features=model.features[::-1]))


def test_the_empty_table_gives_the_columns_and_no_rows(spark, exported):
    none = make_table(10).slice(0, 0)
    frame = spark.createDataFrame(make_table(10)).where("id < 0")
    assert Scorer(exported["amount"]).score(none).num_rows == 0
    assert score(frame, exported["amount"], keep=["id"]).toArrow().schema.names == ["id", "prediction"]
