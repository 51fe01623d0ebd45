"""Metrics of permutation importance: scikit-learn's, with weights, and NDCG by query."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sklearn
from sklearn.inspection import permutation_importance as sklearn_importance
from sklearn.linear_model import LogisticRegression

from synml_dagster.errors import ConfigError, DataError
from synml_dagster.explain.effects import (
    accumulated_local_effects,
    partial_dependence,
    permutation_importance,
)
from synml_dagster.explain.effects.grid import sampled
from synml_dagster.explain.effects.metrics import Truth, gains, measure


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("single", [False, True])
def test_metrics_of_two_classes_are_scikit_learn_s(rng, weighted, single):
    labels = rng.integers(0, 2, 500)
    told = np.round(rng.random(500), 2)  # many are equal
    told[:2] = 0, 1
    if single:
        told = told.astype(np.float32).astype(np.float64)
    weights = rng.uniform(0, 2, 500) if weighted else np.ones(500)
    weights[:5] = weights[5:10]
    truth = Truth(labels, weights)
    auc = sklearn.roc_auc_score(labels, told, sample_weight=weights)
    assert measure("auc", truth, told[:, None]) == pytest.approx(auc, abs=1e-12)
    loss = sklearn.log_loss(labels, told, sample_weight=weights)
    assert measure("logloss", truth, told[:, None]) == pytest.approx(loss, abs=1e-9)
    right = sklearn.accuracy_score(labels, told > 0.5, sample_weight=weights)
    assert measure("accuracy", truth, told[:, None]) == pytest.approx(right, abs=1e-12)


def test_metrics_of_numbers_and_of_three_classes_are_scikit_learn_s(rng):
    weights = rng.uniform(0, 2, 300)
    y, told = rng.normal(size=(2, 300))
    truth = Truth(y, weights)
    for name, theirs in (
        ("rmse", sklearn.root_mean_squared_error),
        ("mae", sklearn.mean_absolute_error),
        ("r2", sklearn.r2_score),
    ):
        assert measure(name, truth, told[:, None]) == pytest.approx(theirs(y, told, sample_weight=weights))
    labels, each = rng.integers(0, 3, 300), rng.dirichlet(np.ones(3), 300)
    loss = sklearn.log_loss(labels, each, sample_weight=weights)
    assert measure("logloss", Truth(labels, weights), each) == pytest.approx(loss)


def test_ndcg_is_scikit_learn_s_by_query(rng):
    query = np.repeat(np.arange(30), rng.integers(1, 20, 30))
    grades = rng.integers(0, 4, len(query)).astype(float)
    grades[query == 3] = 0  # nothing to find: counts 1
    scores = np.round(rng.normal(size=len(query)), 1)  # ties share their places
    weights = rng.uniform(0.5, 2, len(query))
    order = rng.permutation(len(query))
    each, heavy = [], []
    for q in range(30):
        mine = query == q
        heavy.append(weights[mine].mean())
        worth = 2 ** grades[mine] - 1
        if mine.sum() == 1 or not worth.any():
            each.append(1.0)
        else:
            each.append(sklearn.ndcg_score([worth], [scores[mine]], k=5))
    truth = Truth(gains(grades, None)[order], weights[order], query[order])
    assert measure("ndcg@5", truth, scores[order][:, None]) == pytest.approx(np.average(each, weights=heavy))


def test_gains_are_a_table_where_one_is_given():
    assert gains(np.array([0.0, 2.0]), [0, 1, 5]).tolist() == [0, 5]
    assert gains(np.array([0.0, 3.0]), None).tolist() == [0, 7]
    for grades, table in (([3.0], [0, 1, 5]), ([-1.0], None), ([31.0], None), ([0.5], [0, 1])):
        with pytest.raises(DataError, match="which is no grade from 0 to"):
            gains(np.array(grades), table)


def test_weights_are_those_of_scikit_learn_s_importance_and_means(classic_spark, rng):
    frame = pd.DataFrame(rng.normal(size=(300, 2)), columns=["a", "b"])
    frame["y"] = (frame["a"] + 0.3 * frame["b"] + rng.normal(size=300) > 0).astype(int)
    frame["w"] = rng.uniform(0, 3, 300)
    fitted = LogisticRegression().fit(frame[["a", "b"]], frame["y"])

    def model(rows):
        return fitted.predict_proba(rows[["a", "b"]])[:, 1]

    df = classic_spark.createDataFrame(frame)
    asked = {"weight": "w", "takes": "pandas"}
    found = permutation_importance(df, model, "y", metric="auc", repeats=2, seed=3, **asked)
    rows = sampled(df, ["a", "b", "y", "w"]).to_pandas()
    theirs = sklearn_importance(
        fitted, rows[["a", "b"]], rows["y"], scoring="roc_auc", n_repeats=2, random_state=3, sample_weight=rows["w"]
    )  # fmt: skip
    mine = dict(zip(found.columns, found.losses, strict=True))
    np.testing.assert_allclose([mine["a"], mine["b"]], theirs["importances"], atol=1e-9)
    assert found.columns == ["a", "b"]  # the weight is not shuffled, nor given to the model

    (one,) = partial_dependence(df, model, ["a"], grid={"a": [-1.0, 1.0]}, **asked)
    for i, value in enumerate((-1.0, 1.0)):
        told = model(frame.assign(a=value))
        mean = np.average(told, weights=frame["w"])
        assert one.mean[i, 0] == pytest.approx(mean)
        spread = np.average((told - mean) ** 2, weights=frame["w"]) ** 0.5
        assert one.deviation[i, 0] == pytest.approx(spread)

    heavy = df.selectExpr("a", "b", "IF(b > 0, 1, 0) AS w")  # other rows do not count
    (effect,) = accumulated_local_effects(heavy, lambda r: r["a"] * r["b"], ["a"], bins=4, **asked)
    place = np.clip(np.searchsorted(effect.edges, frame["a"]) - 1, 0, 3)
    for i in range(4):
        slope = frame.loc[(place == i) & (frame["b"] > 0), "b"].mean()
        step = effect.effect[i + 1, 0] - effect.effect[i, 0]
        assert step == pytest.approx(slope * (effect.edges[i + 1] - effect.edges[i]))


def test_importance_of_a_ranking_is_by_its_queries(spark, rng):
    frame = pd.DataFrame(rng.normal(size=(400, 2)), columns=["match", "noise"])
    frame["q"] = np.repeat([f"q{i}" for i in range(40)], 10)
    frame["grade"] = np.digitize(frame["match"], [0, 1])
    df = spark.createDataFrame(frame)
    found = permutation_importance(
        df, lambda r: r["match"], "grade", metric="ndcg@10", query="q", takes="pandas", repeats=3
    )
    assert found.baseline == pytest.approx(1)
    assert found.columns == ["match", "noise"]
    assert found.mean["match"] > 0.1
    assert found.mean["noise"] == 0
    shuffled = np.random.RandomState(np.random.RandomState(0).randint(np.iinfo(np.int32).max + 1))
    rows = sampled(df, ["match", "noise", "grade", "q"]).to_pandas()
    order = np.arange(400)
    shuffled.shuffle(order)
    rows["score"] = rows["match"].to_numpy()[order]
    each = [
        sklearn.ndcg_score([2.0 ** r["grade"] - 1], [r["score"]], k=10) if r["grade"].any() else 1.0
        for _, r in rows.groupby("q")
    ]
    assert found.losses[0, 0] == pytest.approx(1 - np.mean(each))


@pytest.mark.parametrize(
    ("more", "error", "said"),
    [
        ({"metric": "ndcg@10"}, ConfigError, "name the column that tells them apart as query"),
        ({"metric": "ndcg"}, ConfigError, "Did you mean 'ndcg@10'"),
        ({"metric": "rmse", "query": "q"}, ConfigError, "is of single rows"),
        ({"metric": "ndcg@10", "query": "p"}, ConfigError, "The table has no query 'p'"),
        ({"metric": "rmse", "weight": "v"}, ConfigError, "The table has no weight 'v'"),
        ({"metric": "rmse", "weight": "q"}, ConfigError, "'q' is of type string; weights are numbers"),
        ({"metric": "rmse", "weight": "bad"}, DataError, "1 rows have a weight in 'bad' that is missing"),
        ({"metric": "rmse", "weight": "none"}, DataError, "'none' weighs no row more than 0"),
    ],
)
def test_what_weights_and_queries_cannot_be_is_refused(classic_spark, more, error, said):
    frame = pd.DataFrame({"x": [1.0, 2, 3], "y": [0, 1, 2], "q": list("abc"), "bad": [1, -1, 2], "none": 0})
    with pytest.raises(error, match=said):
        permutation_importance(
            classic_spark.createDataFrame(frame),
            lambda r: r["x"],
            "y",
            features=["x"],
            takes="pandas",
            **more,
        )
