"""What a plan guesses, drops, warns of and refuses, on tables small enough to read."""

from __future__ import annotations

import datetime as dt
import zlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyspark.errors import SparkRuntimeException

from synml_dagster.errors import ConfigError, DataError
from synml_dagster.features import (
    ColumnSpec,
    FeaturePlan,
    FeatureSpec,
    SplitSpec,
    assemble,
    fit_plan,
    onnx_model,
)
from tests.feed import raw_frame, tensors


def kinds(plan) -> dict[str, str]:
    return {c.name: c.kind for c in plan.columns}


def by_onnx(plan, frame):
    import onnxruntime as ort

    session = ort.InferenceSession(onnx_model(plan).SerializeToString(), providers=["CPUExecutionProvider"])
    batch = raw_frame(frame, plan).toArrow().combine_chunks().to_batches()[0]
    return session.run(None, tensors(batch, plan.raw_inputs))[0]


def test_four_facts_are_enough_to_guess_the_rest(spark, people):
    people.loc[:4, "came_back"] = None
    df = spark.createDataFrame(people)
    plan = fit_plan(df, name="people", label="came_back")
    assert plan.task == "binary"
    assert plan.label.classes == ["no", "yes"]
    assert plan.label.dropped_null_rows == 5
    assert kinds(plan) == {
        "age": "numeric",
        "city": "categorical",
        "member": "boolean",
        "joined": "datetime",
        "review": "text",
    }
    assert plan.columns[3].written == "yyyy-MM-dd"
    assert {d.column: d.reason.split(":")[0] for d in plan.dropped} == {
        "person_id": "an id",
        "country": "constant",
    }
    assert plan.categorical_features == ["city"]

    table = assemble(df, plan).toPandas()
    assert len(table) == 295
    assert list(table.columns) == [*plan.feature_names, "__label", "__split"]
    assert table["__label"].dtype == np.int32
    assert all(table[f].dtype == np.float32 for f in plan.feature_names)

    scored = assemble(df, plan, training=False, keep=["person_id"]).toPandas()
    assert scored["person_id"].tolist() == people["person_id"].tolist()
    ours = scored[plan.feature_names].to_numpy()
    np.testing.assert_allclose(ours, by_onnx(plan, df), rtol=1e-6)
    assert np.isnan(ours[:, 0]).sum() == people["age"].isna().sum()


def test_the_plan_does_not_depend_on_partitions(classic_spark, people):
    df = classic_spark.createDataFrame(people)
    plans = [fit_plan(df.repartition(n, "review"), name="people", label="came_back") for n in (1, 5)]
    assert plans[0].to_json() == plans[1].to_json()


def test_codes_go_by_frequency_and_rare_unseen_and_missing_are_told_apart(classic_spark):
    train = pd.DataFrame({"c": ["a"] * 30 + ["b"] * 60 + ["once"], "y": np.arange(91) % 2})
    plan = fit_plan(
        classic_spark.createDataFrame(train), name="t", label="y", split=SplitSpec(test=0, validation=0)
    )
    new = classic_spark.createDataFrame(pd.DataFrame({"c": ["b", "a", "once", "never seen", "", None]}))
    codes = assemble(new, plan, training=False).toPandas()["c"].tolist()
    assert codes[:4] == [0, 1, 2, 2]
    assert np.isnan(codes[4:]).all()


def test_what_worries_is_named(classic_spark):
    rng = np.random.default_rng(0)
    n = 400
    y = rng.random(n) < 0.5
    a = rng.normal(size=n)
    frame = pd.DataFrame(
        {
            "a": a,
            "twice": 2 * a + 1,
            "outcome": np.where(y, "done", "open"),
            "n": np.arange(n),
            "huge": rng.integers(2**60, 2**61, n),
            "color": rng.choice(["r", "g"], n),
            "y": y,
        }
    )
    frame["colour"] = frame["color"].map({"r": "red", "g": "green"})
    plan = fit_plan(classic_spark.createDataFrame(frame), name="t", label="y")
    text = "\n".join([*plan.warnings, *plan.notes])
    assert "column 'outcome' alone predicts the label" in text
    assert "columns 'a' and 'twice' put all sampled rows in the same order" in text
    assert "columns 'color' and 'colour' say the same" in text
    assert "column 'n' numbers the rows" in text
    assert "column 'huge' holds whole numbers beyond 2^53" in text
    assert set(kinds(plan)) == {"a", "twice", "outcome", "n", "huge", "color", "colour"}


@pytest.mark.parametrize("encoding", ["tfidf", "hashed"])
def test_runs_of_words_are_counted(classic_spark, encoding):
    rows = [
        ("not good, not good at all", 0),
        ("good not bad", 1),
        ("NOT GOOD", 0),
        (None, 1),
        ("odd", 1),
    ] * 10
    rows = [(text, y, i) for i, (text, y) in enumerate(rows)]
    frame = classic_spark.createDataFrame(rows, "review string, y int, id int")
    spec = FeatureSpec(
        exclude=["id"], overrides={"review": ColumnSpec(kind="text", encoding=encoding, width=128, ngrams=2)}
    )
    plan = fit_plan(frame, name="t", label="y", features=spec)
    (column,) = plan.columns
    # Five texts are too few to be cut between, so equal rows are spread and come in another order.
    ordered = assemble(frame, plan, keep=["id"]).toPandas().sort_values("id")
    made = np.array(ordered[plan.feature_names].head(4))
    runs = ["not", "good", "at", "all", "not good", "good not", "good at", "at all"]
    expected = np.array(
        [[2, 2, 1, 1, 2, 1, 1, 1], [1, 1, 0, 0, 0, 1, 0, 0], [1, 1, 0, 0, 1, 0, 0, 0], [0] * 8], float
    )
    if encoding == "tfidf":
        at = [column.words.index(run) for run in runs]
        made = made / np.array(column.weights)
    else:
        at = [zlib.crc32(run.encode()) % 128 for run in runs]  # no two runs of these texts share one
    np.testing.assert_allclose(made[:, at], expected, rtol=1e-6)


def test_a_training_row_does_not_see_its_own_label_in_a_target_encoding(classic_spark):
    rng = np.random.default_rng(0)
    n = 600
    frame = pd.DataFrame(
        {
            "row_no": rng.permutation(n).astype(float),
            "c": rng.choice(["a", "b", "c"], n),
            "y": rng.normal(size=n),
        }
    )
    spec = FeatureSpec(exclude=["row_no"], overrides={"c": ColumnSpec(encoding="target", smoothing=5)})
    df = classic_spark.createDataFrame(frame)
    plan = fit_plan(df, name="t", label="y", features=spec, task="regression")
    out = (
        assemble(df, plan, keep=["row_no"]).toPandas().rename(columns={"c": "code"}).merge(frame, on="row_no")
    )
    train, held = out[out["__split"] == "train"], out[out["__split"] != "train"]
    grouped = train.groupby("c")["y"]
    expected = (grouped.sum() + 5 * train["y"].mean()) / (grouped.count() + 5)
    assert held.groupby("c")["code"].nunique().max() == 1
    np.testing.assert_allclose(held.groupby("c")["code"].first(), expected, rtol=1e-5)
    assert train.groupby("c")["code"].nunique().min() == 5
    np.testing.assert_allclose(
        by_onnx(plan, df)[:, 0], assemble(df, plan, training=False).toPandas()["c"], rtol=1e-6
    )


def test_structs_arrays_decimals_and_awkward_names_are_assembled(classic_spark):
    df = classic_spark.sql(
        """
        SELECT named_struct('city', if(id % 3 = 0, 'Oslo', 'Rome'), 'geo', named_struct('lat', id / 7)) AS address,
               if(id % 5 = 0, null, array(id * 1.5D, null, -id * 1D)) AS `a b`,
               cast(id % 17 AS decimal(38, 10)) / 3 AS `price.in€`,
               (id * 7919) % 101 AS `tick``s`,
               map('k', id) AS tags,
               id % 2 = 0 AS y
        FROM range(200)
        """
    )
    plan = fit_plan(df, name="t", label="y")
    assert plan.feature_names == [
        "address.city",
        "address.geo.lat",
        "a b__0",
        "a b__1",
        "a b__2",
        "price.in€",
        "tick`s",
    ]
    assert [d.column for d in plan.dropped] == ["tags"]
    assert "column 'price.in€' is decimal(38" in "\n".join(plan.warnings)
    ours = assemble(df, plan, training=False).toPandas().to_numpy()
    np.testing.assert_allclose(ours, by_onnx(plan, df), rtol=1e-6)


def test_an_unknown_class_fails_a_training_table_and_not_a_scored_one(classic_spark):
    plan = fit_plan(
        classic_spark.createDataFrame(pd.DataFrame({"x": np.arange(40) % 7, "y": ["a", "b"] * 20})),
        name="t",
        label="y",
    )
    new = classic_spark.createDataFrame(pd.DataFrame({"x": [1, 2], "y": ["a", "z"]}))
    assert assemble(new, plan, training=False).count() == 2
    with pytest.raises(
        SparkRuntimeException, match="label 'y' has a class that the feature plan has not seen: z"
    ):
        assemble(new, plan).collect()


def test_another_table_is_matched_by_name_and_type(classic_spark):
    sql = classic_spark.sql
    plan = fit_plan(
        sql("SELECT cast(id % 9 AS int) AS a, id / 3 AS b, id % 2 AS y FROM range(50)"), name="t", label="y"
    )
    narrower = sql("SELECT cast(2 AS tinyint) AS a, cast(3 AS int) AS b")
    assert assemble(narrower, plan, training=False).collect() == [(2.0, 3.0)]
    with pytest.raises(DataError, match="'a' is double where the plan has int"):
        assemble(sql("SELECT 2.5D AS a, 3D AS b"), plan, training=False)
    with pytest.raises(DataError, match="lacks 1 column that the plan needs: 'b'"):
        assemble(sql("SELECT 2 AS a"), plan, training=False)


ROWS = 40
GOOD = {"x": np.arange(ROWS) % 7 + 0.5, "word": ["a", "b"] * (ROWS // 2), "y": ["no", "yes"] * (ROWS // 2)}

REFUSED = [
    ({}, {"label": "z"}, DataError, "has no column 'z'"),
    ({"y": ["yes"] * ROWS}, {}, DataError, "label 'y' is 'yes' in all 40 rows"),
    ({"y": [None] * ROWS}, {}, DataError, "missing in all 40 rows"),
    ({"y": ["no", "yes"] * 19 + ["no", "maybe"]}, {}, DataError, "1 class with one row: 'maybe'"),
    ({"y": ["no"] * 38 + ["yes"] * 2, "x": np.arange(40.0)}, {"split": SplitSpec(test=0.96, validation=0.02)}, DataError, "no row of class 'yes' is on the training side; use split.by 'stratified'"),
    ({"y": ["a", "b", "c", "d"] * 10}, {"task": "binary"}, DataError, "has 4 classes .* task 'binary' needs 2"),
    ({}, {"task": "regression"}, DataError, "label 'y' holds words such as .* task 'regression' needs numbers"),
    ({}, {"task": "ranking"}, ConfigError, "needs `group`"),
    ({"y": [0.5, np.inf] * 20}, {"task": "regression"}, DataError, "infinite in 20 rows"),
    ({}, {"features": FeatureSpec(numeric=["xx"])}, ConfigError, "features.numeric: the table has no column 'xx'. Did you mean 'x'"),
    ({}, {"split": SplitSpec(by="time", column="word")}, ConfigError, "split by time needs a date"),
    ({}, {"weight": "wordd"}, ConfigError, "weight: the table has no column 'wordd'. Did you mean 'word'"),
    ({"w": [-1.0] * ROWS}, {"weight": "w"}, DataError, "weight 'w' is negative"),
    ({"word": [f"2026-01-{d % 28 + 1:02d}" for d in range(ROWS)]}, {"features": FeatureSpec(numeric=["word"])}, DataError, "dates .* where numbers are declared, such as '2026-01-"),
    ({}, {"features": FeatureSpec(numeric=["word"])}, DataError, "holds words where numbers are declared, such as"),
    ({"word": pd.date_range("2026-01-01", periods=ROWS)}, {"features": FeatureSpec(numeric=["word"])}, DataError, "dates where numbers are declared"),
    ({}, {"features": FeatureSpec(datetime=["word"])}, DataError, "declared as dates and holds '[ab]'"),
    ({}, {"features": FeatureSpec(exclude=["x", "word"])}, DataError, "no usable feature is left"),
    ({}, {"features": FeatureSpec(time_zone="Europe/Berln"), "when": True}, ConfigError, "no time zone 'Europe/Berln'. Did you mean 'Europe/Berlin'"),
]  # fmt: skip


@pytest.mark.parametrize(("columns", "said", "error", "message"), REFUSED, ids=[r[3][:40] for r in REFUSED])
def test_bad_input_is_refused_by_name(classic_spark, columns, said, error, message):
    said = {"label": "y", **said}
    if said.pop("when", False):
        columns = {"when": pd.date_range("2026-01-01", periods=ROWS)}
    frame = pd.DataFrame({**GOOD, **columns})
    schema = "x double, word string, y string" if columns.get("y") == [None] * ROWS else None
    df = classic_spark.createDataFrame(frame, schema)
    with pytest.raises(error, match=message):
        fit_plan(df, name="t", **said)


def test_an_empty_table_is_refused(classic_spark):
    with pytest.raises(DataError, match="the table is empty"):
        fit_plan(classic_spark.createDataFrame([], "x double, y string"), name="t", label="y")


def test_a_ranking_keeps_queries_whole(classic_spark):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"q": np.repeat(np.arange(30), 10), "x": rng.normal(size=300), "y": rng.integers(0, 4, 300)}
    )
    df = classic_spark.createDataFrame(frame)
    plan = fit_plan(df, name="t", label="y", group="q")
    out = assemble(df, plan).toPandas()
    assert plan.task == "ranking"
    assert plan.feature_names == ["x"]
    assert out["__label"].dtype == np.float64
    assert out.groupby("__group")["__split"].nunique().max() == 1


def test_a_plan_of_numbers_near_the_largest_is_saved_and_opened(classic_spark, tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "wide": rng.normal(size=300) * 1e200,
            "far": 1e200 + rng.normal(size=300) * 1e180,
            "ends": rng.choice([-1.7e308, 1.7e308], 300) * rng.random(300),
            "y": rng.choice(["a", "b"], 300),
        }
    )
    plan = fit_plan(classic_spark.createDataFrame(frame).repartition(5), name="t", label="y")
    assert plan.statistics_of("far").mean == pytest.approx(1e200)
    assert plan.statistics_of("wide").deviation is None
    plan.save(tmp_path)
    assert FeaturePlan.load(tmp_path) == plan


def _labelled(rows: int, seed: int) -> pd.DataFrame:
    """Words, numbers with gaps, a small third class, a label that is sometimes missing, a time and a group."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    grade = np.where(rng.random(rows) < 0.003, "rare", np.where(x + rng.normal(size=rows) > 0, "high", "low"))
    return pd.DataFrame(
        {
            "x": np.where(rng.random(rows) < 0.05, np.nan, x),
            "word": np.where(rng.random(rows) < 0.1, None, rng.choice(["a", "b", "c"], rows)),
            "code": [f"{n:x}" for n in rng.integers(0, 200, rows)],
            "day": rng.integers(0, 1000, rows),
            "owner": rng.integers(0, 300, rows),
            "grade": np.where(rng.random(rows) < 0.02, None, grade),
        }
    )


@pytest.mark.parametrize(
    ("rows", "split", "passes"),
    [
        (2_000, SplitSpec(), 1),
        (2_000, SplitSpec(by="stratified"), 1),
        (2_000, SplitSpec(test=0.3, validation=0.0, seed=3), 1),
        (2_000, SplitSpec(by="group", column="owner"), 2),
        (2_000, SplitSpec(by="time", column="day"), 2),
        (50_000, SplitSpec(), 1),
        (50_000, SplitSpec(by="stratified"), 2),  # 150 rows of the rare class are cut one by one
    ],
)
def test_a_plan_of_one_pass_is_that_of_two(classic_spark, monkeypatch, rows, split, passes):
    from synml_dagster.features.profile import scan, spark_rows

    df = classic_spark.createDataFrame(_labelled(rows, rows)).repartition(3)
    summarise, calls = spark_rows.summarise, []
    monkeypatch.setattr(spark_rows, "summarise", lambda *given: calls.append(1) or summarise(*given))
    plan = fit_plan(df, name="p", label="grade", split=split)
    assert len(calls) == passes
    outline = scan.Reading.outline
    monkeypatch.setattr(scan.Reading, "outline", lambda self, arrays, use: outline(self, arrays, None))
    calls.clear()
    assert fit_plan(df, name="p", label="grade", split=split) == plan
    assert len(calls) == 2


def test_values_that_stand_for_missing_ones_are_said(classic_spark):
    n, days = 300, [dt.date(2023, 1, 1) + dt.timedelta(days=i % 200) for i in range(300)]
    rows = {
        "age": [-999 if i % 6 == 0 else i % 70 for i in range(n)],
        "price": [99999.0 if i % 9 == 0 else 10.5 + i for i in range(n)],
        "until": [dt.date(9999, 12, 31) if i % 5 == 0 else days[i] for i in range(n)],
        "plain": [i % 90 for i in range(n)],
        "sign": [-1 if i % 2 else 1 for i in range(n)],
        "target": [-9.0 if i % 50 == 1 else 1000 + i * 0.5 for i in range(n)],
    }
    warnings = fit_plan(
        classic_spark.createDataFrame(pa.table(rows)), name="p", label="target", task="regression"
    ).warnings
    said = [w.split(" in ")[0] for w in warnings if "where it stands for a missing value" in w]
    assert said == [
        "label 'target' has -9",
        "column 'age' has -999",
        "column 'price' has 99999",
        "column 'until' has 9999-12-31",
    ]
