"""Explaining tables on Spark: the sample, the column beside every row, and the bundle on disk."""

from __future__ import annotations

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris

from synml_dagster.errors import ConfigError, DataError, ModelError
from synml_dagster.explain import Explanations, explain, explain_columns
from synml_dagster.explain.value_names import FeatureReading, readings
from synml_dagster.features import fit_plan
from synml_dagster.files import ParquetFiles
from synml_dagster.learners.lightgbm import LightGBMModel

NAMES = ["age", "a.b c", "job"]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = 1_500
    X = pd.DataFrame(
        {"age": rng.integers(18, 90, n), "a.b c": rng.normal(size=n), "job": rng.integers(0, 4, n)}
    )
    X = X.astype(np.float32)
    X.loc[rng.random(n) < 0.1, "a.b c"] = np.nan
    label = (X["age"] / 40 + X["a.b c"].fillna(0) + (X["job"] == 2) + rng.normal(size=n) > 2).astype(np.int32)
    return X.assign(__label=label)


@pytest.fixture(scope="module")
def model(table) -> LightGBMModel:
    params = {"objective": "binary", "verbose": -1, "num_threads": 2}
    data = lgb.Dataset(table[NAMES].to_numpy(), table["__label"], categorical_feature=[2])
    return LightGBMModel(lgb.train(params, data, num_boost_round=15).model_to_string(), NAMES)


@pytest.fixture(scope="module")
def plan(table, classic_spark):
    raw = table.rename(columns={"__label": "bought"}).assign(bought=table["__label"].map({0: "no", 1: "yes"}))
    return fit_plan(classic_spark.createDataFrame(raw), name="shop", label="bought")


@pytest.fixture(scope="module")
def files(table, tmp_path_factory) -> ParquetFiles:
    folder = tmp_path_factory.mktemp("features")
    for i in range(3):
        table.iloc[i * 500 : (i + 1) * 500].to_parquet(folder / f"{i}.parquet", row_group_size=170)
    return ParquetFiles(tuple(str(folder / f"{i}.parquet") for i in range(3)))


def check(found: Explanations, model: LightGBMModel, rows: int) -> None:
    theirs = model.booster.predict(found.values, pred_contrib=True)
    assert found.rows == rows
    np.testing.assert_allclose(found.phi[:, :, 0], theirs[:, :-1], atol=1e-6)
    np.testing.assert_allclose(found.probability[:, 1], model.booster.predict(found.values), atol=1e-6)
    mean = np.abs(theirs[:, :-1]).mean(0)
    assert list(found.importance.values()) == pytest.approx(sorted(mean, reverse=True), abs=1e-6)
    assert set(found.label) <= {0.0, 1.0}


def test_a_sample_of_a_frame_is_explained_exactly(spark, table, model, plan):
    check(explain(spark.createDataFrame(table), model, plan, rows=200, seed=3), model, 200)


def test_a_sample_of_files_is_explained_exactly(spark, files, model, plan):
    check(explain(files, model, plan, rows=200, seed=3, spark=spark), model, 200)


def test_files_give_the_same_sample_however_many_tasks_read_them(classic_spark, files, model, plan):
    whole = explain(files, model, plan, rows=100, seed=1, spark=classic_spark)
    shared = explain(files, model, plan, rows=100, seed=1, spark=classic_spark, rows_a_task=10)
    other = explain(files, model, plan, rows=100, seed=2, spark=classic_spark)
    np.testing.assert_array_equal(np.sort(whole.values, 0), np.sort(shared.values, 0))
    assert not np.array_equal(np.sort(whole.values, 0), np.sort(other.values, 0), equal_nan=True)
    assert whole.table_rows == 1_500


def test_every_row_is_explained_where_there_are_few(classic_spark, table, model, plan):
    frame = classic_spark.createDataFrame(table.head(50).drop(columns="__label"))
    found = explain(frame, model, plan, rows=1_000)
    assert found.rows == 50
    assert found.label is None


def test_a_column_of_values_beside_every_row(spark, table, model):
    frame = spark.createDataFrame(table.head(300).assign(id=range(300), note="kept"))
    found = explain_columns(frame, model).toPandas().sort_values("id")
    theirs = model.booster.predict(table[NAMES].head(300).to_numpy(), pred_contrib=True)
    np.testing.assert_allclose(np.stack(found["shap"]), theirs[:, :-1], atol=1e-6)
    np.testing.assert_allclose(found["shap_base"], theirs[:, -1], atol=1e-9)
    assert list(found.columns) == [*frame.columns, "shap", "shap_base"]
    assert set(found["note"]) == {"kept"}


def test_several_classes_have_a_column_of_values_by_class(classic_spark):
    X, y = load_iris(return_X_y=True)
    names = ["a", "b", "c", "d"]
    params = {"objective": "multiclass", "num_class": 3, "verbose": -1}
    booster = lgb.train(params, lgb.Dataset(X.astype(np.float32), y), num_boost_round=5)
    frame = classic_spark.createDataFrame(
        pd.DataFrame(X.astype(np.float32), columns=names).assign(id=range(150))
    )
    found = (
        explain_columns(frame, LightGBMModel(booster.model_to_string(), names)).toPandas().sort_values("id")
    )
    phi = np.array([[list(inner) for inner in row] for row in found["shap"]])
    base = np.stack(found["shap_base"])
    raw = booster.predict(X.astype(np.float32), raw_score=True)
    np.testing.assert_allclose(phi.sum(2) + base, raw, atol=1e-5)


def test_explanations_survive_their_files(classic_spark, table, model, plan, tmp_path):
    found = explain(classic_spark.createDataFrame(table), model, plan, rows=60)
    found.readings["job"] = FeatureReading(kind="category", categories=("clerk", "nurse"))
    found.save(tmp_path)
    again = Explanations.load(tmp_path)
    np.testing.assert_array_equal(again.phi, found.phi)
    np.testing.assert_array_equal(again.values, found.values)
    np.testing.assert_array_equal(again.label, found.label)
    assert again.readings == found.readings
    assert again.importance == found.importance


def test_a_directory_without_explanations_is_refused(tmp_path):
    with pytest.raises(ModelError, match="holds no explanations"):
        Explanations.load(tmp_path)


def test_what_cannot_be_explained_is_refused_by_name(classic_spark, table, model, plan):
    frame = classic_spark.createDataFrame(table.head(5))
    with pytest.raises(ConfigError, match="no feature 'age'"):
        explain(frame.withColumnRenamed("age", "ages"), model, plan)
    with pytest.raises(ConfigError, match="at least 1"):
        explain(frame, model, plan, rows=0)
    with pytest.raises(DataError, match="empty"):
        explain(frame.limit(0), model, plan)
    with pytest.raises(ConfigError, match="has a column 'shap' already"):
        explain_columns(
            frame.withColumnRenamed("job", "shap"),
            LightGBMModel(model.booster.model_to_string(), ["age", "a.b c"]),
        )


def test_values_read_as_in_the_raw_table(classic_spark):
    n = 400
    rng = np.random.default_rng(0)
    raw = pd.DataFrame(
        {
            "job": rng.choice(["nurse", "clerk", "clerk", "cook"], n),
            "day": pd.to_datetime("2024-03-01") + pd.to_timedelta(rng.integers(0, 90, n), unit="D"),
            "wage": rng.normal(30_000, 9_000, n),
            "label": rng.choice(["no", "yes"], n),
        }
    )
    raw["day"] = raw["day"].dt.date
    found = readings(fit_plan(classic_spark.createDataFrame(raw), name="jobs", label="label"))
    assert found["job"].text(0.0) == "clerk"
    assert found["job"].text(99.0) == "(other)"
    assert found["job"].text(float("nan")) == "(missing)"
    assert "wage" not in found
    days = [reading for reading in found.values() if reading.kind == "date"]
    assert all(reading.text(19_783.0) == "2024-03-01" for reading in days)


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.0, "3"), (48_213.25, "48,213.2"), (0.123456, "0.12346"), (1_234_567.0, "1,234,567")],
)
def test_numbers_read_plainly(value, text):
    assert FeatureReading().text(value) == text
