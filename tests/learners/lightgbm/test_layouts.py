"""How the rows lie must not matter: order, partitions, ranks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from synml_dagster.errors import DataError
from synml_dagster.learners.lightgbm import LightGBM
from tests.learners.lightgbm.tables import as_parquet, binary_table, feature_names
from tests.servers import connect_server

PARAMS = {"objective": "binary", "num_leaves": 15, "bin_construct_sample_cnt": 2000}


def auc_on(rows, model):
    return roc_auc_score(rows["label"], model.predict(rows[feature_names(rows)].to_numpy(np.float32)))


@pytest.fixture(scope="module")
def table():
    return binary_table(20_000)


@pytest.fixture(scope="module")
def unseen():
    return binary_table(20_000, seed=1)


@pytest.mark.parametrize("by", ["x0", "label"])
def test_sorted_rows_cost_nothing(classic_spark, table, unseen, tmp_path, by):
    names = feature_names(table)
    trainer = LightGBM(PARAMS, rounds=20)
    shuffled = trainer.fit(
        as_parquet(table, tmp_path / "a"), spark=classic_spark, label="label", features=names
    )
    data = as_parquet(table.sort_values(by), tmp_path / "b", files=4)
    ordered = LightGBM(PARAMS, rounds=20, ranks=2).fit(
        data, spark=classic_spark, label="label", features=names
    )
    assert abs(auc_on(unseen, ordered) - auc_on(unseen, shuffled)) < 0.001


def test_the_order_of_the_rows_changes_nothing_beyond_the_last_digits(classic_spark, table, tmp_path):
    names = feature_names(table)
    X = table[names].to_numpy(np.float32)
    models = [
        LightGBM(PARAMS, rounds=5).fit(data, spark=classic_spark, label="label", features=names)
        for data in (
            as_parquet(table, tmp_path / "a"),
            as_parquet(table.sample(frac=1, random_state=1), tmp_path / "b", files=3),
            classic_spark.createDataFrame(table).repartition(5),
        )
    ]
    for other in models[1:]:
        np.testing.assert_allclose(other.predict(X), models[0].predict(X), atol=1e-9)


@pytest.mark.parametrize("ranks", [1, 2])
def test_the_same_seed_gives_the_same_text(spark, table, tmp_path, ranks):
    params = {**PARAMS, "bagging_fraction": 0.7, "bagging_freq": 1, "feature_fraction": 0.6}
    names = feature_names(table)
    for data in (
        spark.createDataFrame(table.head(3000)).repartition(4),
        as_parquet(table, tmp_path, files=3),
    ):
        texts = [
            LightGBM(params, rounds=5, ranks=ranks, seed=seed)
            .fit(data, spark=spark, label="label", features=names)
            .text
            for seed in (7, 7, 8)
        ]
        assert texts[0] == texts[1] != texts[2]


def test_very_unequal_partitions_are_evened_out(classic_spark, table):
    df = classic_spark.createDataFrame(table.head(4000))
    lopsided = df.limit(3990).repartition(1).union(df.limit(10).repartition(5))
    model = LightGBM(PARAMS, rounds=3, ranks=2).fit(lopsided, label="label", features=feature_names(table))
    assert abs(model.facts["rows_on_rank_0"] - 2000) <= 5


def test_fewer_groups_than_ranks_is_said(classic_spark, table):
    df = classic_spark.createDataFrame(table.head(100).assign(query=1))
    with pytest.raises(DataError, match=r"ranks \[\d\] of 2 have no rows"):
        LightGBM({"objective": "lambdarank"}, rounds=2, ranks=2).fit(
            df, label="label", features=feature_names(table), group="query"
        )


def test_a_table_without_rows_is_said(classic_spark, table):
    with pytest.raises(DataError, match="no training rows"):
        LightGBM(PARAMS).fit(classic_spark.createDataFrame(table).limit(0), label="label", features=["x0"])


@pytest.mark.slow
@pytest.mark.connect
def test_two_and_four_ranks_give_identical_predictions(table, unseen, tmp_path, monkeypatch):
    from pyspark.sql.connect.session import SparkSession

    monkeypatch.setenv("SPARK_CONNECT_MODE_ENABLED", "1")
    names = feature_names(table)
    data = as_parquet(table.sort_values(["label", "x0"]), tmp_path, files=2)
    X = pd.concat([table, unseen])[names].to_numpy(np.float32)
    bags = {**PARAMS, "bagging_fraction": 0.7, "bagging_freq": 1, "feature_fraction": 0.6}
    goss = {**PARAMS, "data_sample_strategy": "goss"}
    with connect_server(cores=4) as address:
        session = SparkSession.builder.remote(address).create()
        for params in (PARAMS, bags, goss):
            made = {
                ranks: LightGBM(params, rounds=20, ranks=ranks).fit(
                    data, spark=session, label="label", features=names
                )
                for ranks in (1, 2, 4)
            }
            for ranks in (2, 4):
                assert abs(auc_on(unseen, made[ranks]) - auc_on(unseen, made[1])) < 0.001
            if params is not goss:  # LightGBM takes the largest gradients of each thread's rows
                np.testing.assert_array_equal(made[2].predict(X), made[4].predict(X))
        session.stop()
