from __future__ import annotations

from decimal import Decimal

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as sf
from sklearn.metrics import roc_auc_score

from synml_dagster.errors import DataError
from synml_dagster.learners.lightgbm import LightGBM
from tests.learners.lightgbm.tables import as_parquet, binary_table, feature_names

PARAMS = {"objective": "binary", "num_leaves": 15, "min_data_in_leaf": 5}
ODD = ["a.b", "two words", 'he said "hi"', "日本語", "{json: [1, 2]}", "back`tick"]


@pytest.mark.parametrize("ranks", [1, 2])
def test_columns_may_be_called_anything(spark, tmp_path, ranks):
    table = binary_table(1500)
    renamed = table.rename(columns=dict(zip(feature_names(table), ODD, strict=True))).rename(
        columns={"label": "the.label"}
    )
    expected = LightGBM(PARAMS, rounds=5, ranks=ranks).fit(
        as_parquet(table, tmp_path / "plain"), spark=spark, label="label", features=feature_names(table)
    )
    data = spark.createDataFrame(renamed) if ranks == 1 else as_parquet(renamed, tmp_path / "odd")
    model = LightGBM(PARAMS, rounds=5, ranks=ranks).fit(data, spark=spark, label="the.label", features=ODD)
    X = table[feature_names(table)].to_numpy(np.float32)
    np.testing.assert_allclose(model.predict(X), expected.predict(X), atol=1e-9)
    assert set(model.feature_importance()) == set(ODD)
    model.save(tmp_path / "model")
    scored = model.transform(spark.createDataFrame(renamed.head(20))).toPandas()
    np.testing.assert_allclose(scored["probability"], model.predict(X[:20]))
    assert list(scored.columns) == [*renamed.columns, "prediction", "probability"]


@pytest.mark.parametrize("cardinality", [2, 30, 5000, pytest.param(100_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("ranks", [1, 2])
def test_categories_are_learned_and_unseen_ones_scored(classic_spark, tmp_path, cardinality, ranks):
    rng = np.random.default_rng(0)
    rows = max(6000, 3 * cardinality)
    effect = rng.standard_normal(cardinality)
    code = rng.integers(0, cardinality, rows)
    table = pd.DataFrame({"x0": code.astype(np.float32), "x1": rng.standard_normal(rows).astype(np.float32)})
    table["label"] = (effect[code] + table["x1"] + 0.5 * rng.standard_normal(rows) > 0).astype(int)
    model = LightGBM(PARAMS, rounds=15, ranks=ranks).fit(
        as_parquet(table, tmp_path),
        spark=classic_spark,
        label="label",
        features=["x0", "x1"],
        categorical=["x0"],
    )
    X = table[["x0", "x1"]].to_numpy(np.float32)
    given = {
        **PARAMS,
        "categorical_feature": [0],
        "verbosity": -1,
        "deterministic": True,
        "force_row_wise": True,
        "seed": 0,
    }
    expected = lgb.train(given, lgb.Dataset(X, label=table["label"].to_numpy()), num_boost_round=15)
    auc, known = (
        roc_auc_score(table["label"], model.predict(X)),
        roc_auc_score(table["label"], expected.predict(X)),
    )
    assert abs(auc - known) < (1e-6 if ranks == 1 and rows <= 200_000 else 0.005)
    unseen = np.array([[cardinality + 7, 0.0], [np.nan, 0.0], [-1, 0.0]], np.float32)
    assert np.isfinite(model.predict(unseen)).all()


@pytest.mark.parametrize("ranks", [1, 2])
def test_nan_infinite_empty_and_constant_columns_are_learned_from_as_lightgbm_does(spark, tmp_path, ranks):
    table = binary_table(3000)
    rng = np.random.default_rng(1)
    table.loc[rng.random(len(table)) < 0.2, "x1"] = np.nan
    table.loc[rng.random(len(table)) < 0.05, "x2"] = np.inf
    table.loc[rng.random(len(table)) < 0.05, "x2"] = -np.inf
    table["x4"], table["x5"] = np.float32(np.nan), np.float32(3)
    names = feature_names(table)
    X = table[names].to_numpy(np.float32)
    given = {**PARAMS, "verbosity": -1, "deterministic": True, "force_row_wise": True, "seed": 0}
    expected = lgb.train(given, lgb.Dataset(X, label=table["label"].to_numpy()), num_boost_round=10).predict(
        X
    )
    nulls = spark.createDataFrame(table).withColumn(
        "x1", sf.when(sf.isnan("x1"), None).otherwise(sf.col("x1"))
    )
    for data in (nulls, as_parquet(table, tmp_path)):
        model = LightGBM(PARAMS, rounds=10, ranks=ranks).fit(data, spark=spark, label="label", features=names)
        if ranks == 1:
            np.testing.assert_allclose(model.predict(X), expected, atol=1e-9)
        assert (
            abs(roc_auc_score(table["label"], model.predict(X)) - roc_auc_score(table["label"], expected))
            < 0.005
        )


@pytest.mark.parametrize("kind", ["string", "boolean", "int", "decimal(4,1)", "tinyint"])
def test_predictions_come_in_the_type_of_the_label(spark, kind):
    table = binary_table(1000)
    df = spark.createDataFrame(table)
    if kind == "string":
        df = df.withColumn("label", sf.when(sf.col("label") > 0, ">50K").otherwise("<=50K"))
    else:
        df = df.withColumn("label", sf.col("label").cast(kind))
    model = LightGBM(PARAMS, rounds=10).fit(df, label="label", features=feature_names(table))
    scored = model.transform(df, keep=["label"])
    assert dict(scored.dtypes)["prediction"] == ("double" if kind.startswith("decimal") else kind)
    rows = scored.collect()
    assert np.mean([_plain(r["label"]) == r["prediction"] for r in rows]) > 0.8


def _plain(value):
    return float(value) if isinstance(value, Decimal) else value


def test_scores_leaves_and_shap_values_come_as_columns(spark):
    table = binary_table(800)
    names = feature_names(table)
    df = spark.createDataFrame(table)
    model = LightGBM(PARAMS, rounds=6).fit(df, label="label", features=names)
    outputs = ["prediction", "probability", "raw_score", "leaf_indices", "shap"]
    scored = model.transform(df, outputs=outputs, keep=names).toPandas()
    X = scored[names].to_numpy(np.float32)
    raw = model.predict(X, raw_score=True)
    np.testing.assert_allclose(scored["raw_score"], raw)
    np.testing.assert_allclose(scored["probability"], model.predict(X))
    np.testing.assert_array_equal(np.stack(scored["leaf_indices"]), model.booster.predict(X, pred_leaf=True))
    np.testing.assert_allclose(np.stack(scored["shap"]).sum(axis=1), raw, atol=1e-9)


def test_a_text_column_among_the_features_is_named(classic_spark):
    df = classic_spark.createDataFrame([(1.0, "a", 0.0)], "x0 double, city string, label double")
    with pytest.raises(DataError, match="column 'city' is string; LightGBM learns from numbers"):
        LightGBM(PARAMS).fit(df, label="label", features=["x0", "city"])


@pytest.mark.parametrize("ranks", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_two_thousand_sparse_columns(classic_spark, tmp_path, ranks):
    rng = np.random.default_rng(0)
    X = np.where(rng.random((2000, 2000)) < 0.01, rng.standard_normal((2000, 2000)), 0).astype(np.float32)
    X[:, 3] = rng.standard_normal(2000)
    table = pd.DataFrame(X, columns=[f"x{i}" for i in range(2000)]).assign(label=(X[:, 3] > 0).astype(int))
    model = LightGBM(PARAMS, rounds=3, ranks=ranks).fit(
        as_parquet(table, tmp_path), spark=classic_spark, label="label", features=feature_names(table)
    )
    assert roc_auc_score(table["label"], model.predict(X)) > 0.99
