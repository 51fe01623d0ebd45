from __future__ import annotations

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes, load_wine
from sklearn.metrics import accuracy_score, log_loss, mean_squared_error, ndcg_score, roc_auc_score

from synml_dagster.errors import ConfigError, DataError, TrainingError
from synml_dagster.learners.lightgbm import LightGBM
from tests.learners.lightgbm.tables import as_parquet, binary_table, feature_names

QUIET = {"verbosity": -1, "deterministic": True, "force_row_wise": True, "seed": 0, "min_data_in_leaf": 5}


def learn(spark, table, folder, params, ranks=1, rounds=15, **columns):
    trainer = LightGBM({"min_data_in_leaf": 5, **params}, rounds=rounds, ranks=ranks)
    return trainer.fit(
        as_parquet(table, folder, files=2),
        spark=spark,
        label="label",
        features=feature_names(table),
        **columns,
    )


def matrix(table):
    return table[feature_names(table)].to_numpy(np.float32)


def plain(table, params, rounds=15, **fields):
    data = lgb.Dataset(matrix(table), label=table["label"].to_numpy(), **fields)
    return lgb.train({**QUIET, **params}, data, num_boost_round=rounds)


@pytest.fixture(scope="module")
def regression():
    X, y = load_diabetes(return_X_y=True)
    table = pd.DataFrame(X.astype(np.float32), columns=[f"x{i}" for i in range(X.shape[1])])
    return table.assign(label=y)


@pytest.fixture(scope="module")
def wine():
    X, y = load_wine(return_X_y=True)
    return pd.DataFrame(X.astype(np.float32), columns=[f"x{i}" for i in range(X.shape[1])]).assign(label=y)


@pytest.mark.parametrize(
    "objective",
    ["regression", "regression_l1", "huber", "fair", "poisson", "quantile", "mape", "gamma", "tweedie"],
)
def test_regression_objectives_equal_plain_lightgbm_on_one_rank(
    classic_spark, regression, tmp_path, objective
):
    model = learn(classic_spark, regression, tmp_path, {"objective": objective})
    expected = plain(regression, {"objective": objective}).predict(matrix(regression))
    np.testing.assert_allclose(model.predict(matrix(regression)), expected, rtol=1e-6)


@pytest.mark.parametrize("objective", ["multiclass", "multiclassova"])
def test_many_classes_on_one_rank_and_on_two(classic_spark, wine, tmp_path, objective):
    params = {"objective": objective}
    expected = plain(wine, {**params, "num_class": 3}).predict(matrix(wine))
    one = learn(classic_spark, wine, tmp_path, params)
    assert one.num_class == 3
    np.testing.assert_allclose(one.predict(matrix(wine)), expected, rtol=1e-6)
    two = learn(classic_spark, wine, tmp_path, params, ranks=2)
    assert accuracy_score(wine["label"], two.predict(matrix(wine)).argmax(axis=1)) > 0.98


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("boosting", ["dart", "rf", "goss"])
def test_other_kinds_of_boosting(classic_spark, tmp_path, boosting, ranks):
    table = binary_table(3000)
    params = {"objective": "binary", "boosting": boosting}
    if boosting == "goss":  # samples from the tenth round on, by threads that draw for themselves
        params = {"objective": "binary", "data_sample_strategy": "goss"}
    if boosting == "rf":
        params |= {"bagging_fraction": 0.7, "bagging_freq": 1}
    model = learn(classic_spark, table, tmp_path, params, ranks=ranks)
    expected = plain(table, params).predict(matrix(table))
    auc = roc_auc_score(table["label"], model.predict(matrix(table)))
    assert abs(auc - roc_auc_score(table["label"], expected)) < (
        0.02 if ranks == 2 or boosting == "goss" else 0.002
    )


def test_weights_and_initial_scores_count(classic_spark, regression, tmp_path):
    rng = np.random.default_rng(1)
    table = regression.assign(
        w=rng.uniform(0.1, 3, len(regression)),
        start=regression["label"].mean() + rng.standard_normal(len(regression)),
    )
    fields = {"weight": table["w"].to_numpy(), "init_score": table["start"].to_numpy()}
    expected = plain(table, {"objective": "regression"}, **fields).predict(matrix(table))
    model = learn(classic_spark, table, tmp_path, {"objective": "regression"}, weight="w", init_score="start")
    np.testing.assert_allclose(model.predict(matrix(table)), expected, rtol=1e-6)
    two = learn(
        classic_spark, table, tmp_path, {"objective": "regression"}, ranks=2, weight="w", init_score="start"
    )
    error = mean_squared_error(table["label"], two.predict(matrix(table)) + table["start"])
    assert error == pytest.approx(mean_squared_error(table["label"], expected + table["start"]), rel=0.05)


@pytest.mark.parametrize("objective", ["lambdarank", "rank_xendcg"])
@pytest.mark.parametrize("ranks", [1, 2])
def test_queries_stay_whole_wherever_their_rows_lie(spark, objective, ranks):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.standard_normal((3000, 4)).astype(np.float32), columns=["x0", "x1", "x2", "x3"])
    table["query"] = [f"q{i}" for i in rng.integers(0, 150, len(table))]
    table["label"] = np.clip(np.round(table["x0"] + 0.3 * rng.standard_normal(len(table)) + 1.5), 0, 4)
    model = LightGBM({"objective": objective, "metric": "ndcg", "eval_at": 5}, rounds=20, ranks=ranks).fit(
        spark.createDataFrame(table), label="label", features=["x0", "x1", "x2", "x3"], group="query"
    )
    scores = model.predict(table[["x0", "x1", "x2", "x3"]].to_numpy(np.float32))
    gains = [
        ndcg_score([2 ** g["label"].to_numpy() - 1], [scores[g.index]], k=5)
        for _, g in table.groupby("query")
        if len(g) > 1
    ]
    assert np.mean(gains) > 0.93


def test_a_ranking_from_files_equals_plain_lightgbm_on_one_rank(classic_spark, tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.standard_normal((2000, 3)).astype(np.float32), columns=["x0", "x1", "x2"])
    table["query"] = np.repeat(np.arange(100), 20)
    table["label"] = np.clip(np.round(table["x0"] + 1.5), 0, 3)
    params = {"objective": "lambdarank", "bagging_fraction": 0.8, "bagging_freq": 1}
    model = learn(classic_spark, table, tmp_path, params, group="query")
    expected = plain(table, params, group=[20] * 100).predict(matrix(table))
    np.testing.assert_allclose(model.predict(matrix(table)), expected, rtol=1e-6)


def test_a_ranking_without_its_queries_is_refused(classic_spark, regression, tmp_path):
    with pytest.raises(ConfigError, match="needs group"):
        learn(classic_spark, regression, tmp_path, {"objective": "lambdarank"})


def logistic(scores, data):
    p = 1 / (1 + np.exp(-scores))
    return p - data.get_label(), p * (1 - p)


def brier(scores, data):
    p = 1 / (1 + np.exp(-scores))
    return "brier", float(np.mean((p - data.get_label()) ** 2)), False


@pytest.mark.parametrize("ranks", [1, 2])
def test_objective_metric_and_learning_rate_may_be_functions(classic_spark, tmp_path, ranks):
    table = binary_table(2000)
    params = {"objective": logistic, "metric": [brier], "learning_rate": lambda i: 0.2 * 0.95**i}
    model = learn(classic_spark, table, tmp_path, params, ranks=ranks, validation="held_out")
    held_out = table[table["held_out"]]
    p = 1 / (1 + np.exp(-model.predict(matrix(held_out))))
    assert model.objective == "custom"
    assert len(model.history["validation"]["brier"]) == 15
    assert model.history["validation"]["brier"][-1] == pytest.approx(
        np.mean((p - held_out["label"]) ** 2), abs=1e-6
    )
    assert log_loss(held_out["label"], p) < 0.55


def broken(scores, data):
    if abs(scores).max() > 0:
        raise ValueError("the gradient of round 2 is lost")
    return logistic(scores, data)


@pytest.mark.parametrize("ranks", [1, 2])
def test_an_exception_in_any_round_fails_the_training_with_its_own_words(classic_spark, tmp_path, ranks):
    with pytest.raises(TrainingError, match="the gradient of round 2 is lost"):
        learn(classic_spark, binary_table(1000), tmp_path, {"objective": broken}, ranks=ranks)


@pytest.mark.parametrize("ranks", [1, 2])
def test_monotone_constraints_hold(classic_spark, tmp_path, ranks):
    params = {"objective": "binary", "monotone_constraints": [-1, 0, 0, 0, 0, 0]}
    model = learn(classic_spark, binary_table(3000), tmp_path, params, ranks=ranks)
    X = np.zeros((50, 6), np.float32)
    X[:, 0] = np.linspace(-3, 3, 50)
    assert (np.diff(model.predict(X)) <= 1e-12).all()


def test_interaction_constraints_hold(classic_spark, tmp_path):
    groups = [{0, 1}, {2, 3, 4, 5}]
    params = {"objective": "binary", "interaction_constraints": [sorted(group) for group in groups]}
    model = learn(classic_spark, binary_table(3000), tmp_path, params)
    frame = model.booster.trees_to_dataframe().dropna(subset=["split_feature"])
    for _, tree in frame.groupby("tree_index"):
        used = {model.features.index(name) for name in tree["split_feature"]}
        assert any(used <= group for group in groups)


@pytest.mark.parametrize("ranks", [1, 2])
def test_going_on_from_a_model_equals_training_in_one_go(classic_spark, tmp_path, ranks):
    table = binary_table(3000)
    params = {"objective": "binary", "metric": "auc"}
    half = learn(classic_spark, table, tmp_path, params, ranks=ranks, rounds=8, validation="held_out")
    whole = learn(
        classic_spark, table, tmp_path, params, ranks=ranks, rounds=8, validation="held_out", init_model=half
    )
    once = learn(classic_spark, table, tmp_path, params, ranks=ranks, rounds=16, validation="held_out")
    assert whole.iterations == 16
    np.testing.assert_allclose(whole.predict(matrix(table)), once.predict(matrix(table)), atol=1e-6)
    assert whole.history["validation"]["auc"] == pytest.approx(
        once.history["validation"]["auc"][8:], abs=1e-6
    )


def test_labels_that_do_not_fit_the_objective_are_named(classic_spark, regression, tmp_path):
    with pytest.raises(DataError, match="objective 'binary' wants labels 0 and 1 and got"):
        learn(classic_spark, regression, tmp_path, {"objective": "binary"})
    missing = regression.assign(label=regression["label"].where(regression.index > 2))
    with pytest.raises(DataError, match=r"the label is missing .* in 3 of 442 rows"):
        learn(classic_spark, missing, tmp_path / "missing", {"objective": "regression"})
    with pytest.raises(DataError, match=r"the label is missing .* in 3 of 221 rows"):
        learn(classic_spark, missing, tmp_path / "two", {"objective": "regression"}, ranks=2)
