"""Several ranks train what one process of plain LightGBM trains."""

from __future__ import annotations

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from synml_dagster.errors import ConfigError, DataError
from synml_dagster.learners.lightgbm import LightGBM
from synml_dagster.learners.lightgbm.params import check_params
from synml_dagster.learners.lightgbm.worker.bagging_seeds import rank_seeds
from tests.learners.lightgbm.tables import as_parquet, feature_names

ROWS = 5000  # five of LightGBM's blocks, the last one not full
BAGS = {"bagging_fraction": 0.6, "bagging_freq": 2, "feature_fraction": 0.7}


def sorted_table(label):
    """A table in the order of its label, so that ranks that hold it in order see different labels."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((ROWS, 5)).astype(np.float32)
    score = X[:, 0] + 0.5 * X[:, 1] + np.maximum(X[:, 2], 0)
    table = pd.DataFrame({f"x{i}": X[:, i] for i in range(5)})
    table["label"] = label(rng, score)
    table["w"] = rng.uniform(0.3, 3, ROWS)
    return table.sort_values("label", kind="stable").reset_index(drop=True)


def yes_or_no(rng, score):
    return (score + rng.standard_normal(ROWS) > 0.9).astype(float)


def amounts(rng, score):
    return score - score.min() + 5 + rng.standard_normal(ROWS)


def counts(rng, score):
    return rng.poisson(np.exp(score / 2)).astype(float)


def kinds(rng, score):
    return np.digitize(score + 0.5 * rng.standard_normal(ROWS), [-1, 0, 1.5]).astype(float)


def plain(table, params, rounds=12, **fields):
    X = table[feature_names(table)].to_numpy(np.float32)
    fixed = {"verbosity": -1, "deterministic": True, "force_row_wise": True, "seed": 0}
    data = lgb.Dataset(X, label=table["label"].to_numpy(), **fields)
    return lgb.train({**fixed, **params}, data, num_boost_round=rounds).predict(X)


def on_ranks(spark, data, table, params, ranks=2, rounds=12, **columns):
    trainer = LightGBM(params, rounds=rounds, ranks=ranks)
    model = trainer.fit(data, spark=spark, label="label", features=feature_names(table), **columns)
    return model.predict(table[feature_names(table)].to_numpy(np.float32))


@pytest.mark.parametrize(
    ("objective", "label", "sampling"),
    [
        ("binary", yes_or_no, BAGS),
        ("cross_entropy", yes_or_no, {}),
        ("regression", amounts, BAGS),
        ("gamma", amounts, {}),
        ("poisson", counts, {}),
    ],
)
def test_two_ranks_predict_what_one_process_predicts(classic_spark, tmp_path, objective, label, sampling):
    table = sorted_table(label)
    params = {"objective": objective, "num_leaves": 7, "min_data_in_leaf": 5, **sampling}
    found = on_ranks(classic_spark, as_parquet(table, tmp_path, files=3), table, params)
    np.testing.assert_allclose(found, plain(table, params), rtol=1e-9)


def test_bags_of_a_frame_are_those_of_one_process(spark):
    table = sorted_table(yes_or_no)
    table["held_out"] = np.arange(ROWS) % 7 == 0
    params = {"objective": "binary", "num_leaves": 7, "min_data_in_leaf": 1, **BAGS}
    frame = spark.createDataFrame(table)
    found = on_ranks(spark, frame, table, params, validation="held_out")
    kept = table[~table["held_out"]].reset_index(drop=True)
    np.testing.assert_allclose(found[~table["held_out"]], plain(kept, params), rtol=1e-9)


@pytest.mark.parametrize(
    ("label", "more"),
    [
        (kinds, {"objective": "multiclass", "num_class": 4}),
        (kinds, {"objective": "multiclassova", "num_class": 4, "is_unbalance": True}),
        (yes_or_no, {"objective": "binary", "is_unbalance": True}),
        (yes_or_no, {"objective": "binary", "scale_pos_weight": 3.0}),
        (yes_or_no, {"objective": "binary", "boosting": "rf"}),
        (yes_or_no, {"objective": "binary", "boosting": "dart"}),
        (amounts, {"objective": "regression", "reg_sqrt": True}),
    ],
)
def test_weights_classes_and_kinds_of_boosting_on_two_ranks(classic_spark, tmp_path, label, more):
    table = sorted_table(label)
    params = {"num_leaves": 7, "min_data_in_leaf": 1, **BAGS, **more}
    files = as_parquet(table, tmp_path, files=2)
    found = on_ranks(classic_spark, files, table, params, weight="w")
    np.testing.assert_allclose(found, plain(table, params, weight=table["w"]), rtol=1e-9)


@pytest.mark.parametrize("objective", ["regression_l1", "quantile"])
def test_percentiles_of_a_sorted_table_come_close(classic_spark, tmp_path, objective):
    table = sorted_table(amounts)
    params = {"objective": objective, "alpha": 0.5, "num_leaves": 7}
    found = on_ranks(classic_spark, as_parquet(table, tmp_path), table, params, rounds=30)
    errors = [np.abs(p - table["label"]).mean() for p in (found, plain(table, params, rounds=30))]
    assert errors[0] == pytest.approx(errors[1], rel=0.02)


def test_the_seeds_of_the_first_rank_are_lightgbms_own():
    data = lgb.Dataset(np.zeros((50, 1)), label=np.zeros(50))
    text = lgb.train({"seed": 12345, "verbosity": -1}, data, num_boost_round=1).model_to_string()
    for name, seed in rank_seeds({"seed": 12345}, [2048, 1000, 10], 0).items():
        assert f"[{name}: {seed}]" in text
    first, last = (rank_seeds({"bagging_seed": 3, "seed": 0}, [2048, 1000, 10], rank) for rank in (0, 2))
    assert (first["bagging_seed"], last["bagging_seed"]) == (3, 6)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"min_data_in_leaf": 0}, "min_data_in_leaf=0 is for one rank and 2 would train"),
        (
            {"monotone_constraints": [1], "monotone_constraints_method": "advanced"},
            "'advanced' cannot be honoured on 2 ranks",
        ),
    ],
)
def test_what_several_ranks_cannot_honour_is_refused(params, message):
    check_params(params, ranks=1)
    with pytest.raises(ConfigError, match=message):
        check_params(params, ranks=2)


def test_bags_by_class_need_both_classes_on_every_rank(classic_spark, tmp_path):
    table = sorted_table(yes_or_no)
    params = {"objective": "binary", "num_leaves": 7, "bagging_freq": 1, "pos_bagging_fraction": 0.5}
    with pytest.raises(DataError, match="rank 0 of 2 holds no row of the positive class"):
        on_ranks(classic_spark, as_parquet(table, tmp_path / "sorted"), table, params)
    table = table.sample(frac=1, random_state=0).reset_index(drop=True)
    found = on_ranks(classic_spark, as_parquet(table, tmp_path / "shuffled"), table, params)
    np.testing.assert_allclose(found, plain(table, params), rtol=1e-9)
