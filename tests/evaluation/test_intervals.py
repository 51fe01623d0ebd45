"""Intervals of metrics agree with scipy's bootstrap and other people's closed forms, and hold the truth as often as they say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import metrics as sk

from synml_dagster.evaluation import METRICS, Evaluation, evaluate, intervals
from synml_dagster.evaluation.bins import ScoreBins
from tests.evaluation.test_against_sklearn import (
    binary_table,
    multiclass_table,
    ranking_table,
    regression_table,
)


def bins_of(y, score) -> ScoreBins:
    """A bin for each score, the best one first."""
    values, place = np.unique(-score, return_inverse=True)
    positive, negative = np.bincount(place, y), np.bincount(place, 1 - y)
    return ScoreBins(-values, -values, positive, negative, positive, negative)


def resampled(metric, columns, rows=1_000, seed=0):
    """scipy's own bootstrap, of rows drawn one by one."""
    found = stats.bootstrap(
        columns,
        metric,
        paired=True,
        vectorized=False,
        n_resamples=rows,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return found.confidence_interval


def test_the_textbooks_values_of_a_rate():
    # Newcombe (1998), table I: 81 of 263.
    assert intervals.rate(81 / 263, 263).low == pytest.approx(0.2553, abs=5e-5)
    assert intervals.rate(81 / 263, 263).high == pytest.approx(0.3662, abs=5e-5)
    assert intervals.rate(1.0, 10).high == 1.0
    assert intervals.rate(0.5, 0) is None


def test_delong_is_the_variance_of_the_two_classes_placements():
    table = binary_table(400, seed=3)
    y, p = table["__label"].to_numpy(), table["probability"].to_numpy().astype(float)
    up, down = p[y == 1], p[y == 0]
    wins = (up[:, None] > down).astype(float) + 0.5 * (up[:, None] == down)
    area = wins.mean()
    variance = wins.mean(1).var(ddof=1) / len(up) + wins.mean(0).var(ddof=1) / len(down)
    half = 1.959964 * np.sqrt(variance) / (area * (1 - area))
    low, high = 1 / (1 + np.exp(-(np.log(area / (1 - area)) + np.array([-half, half]))))
    found = intervals.delong(bins_of(y, p))
    assert (found.low, found.high, found.method) == (pytest.approx(low), pytest.approx(high), "DeLong")


def test_perfect_scores_are_not_said_to_be_certain():
    found = intervals.delong(bins_of(np.array([1, 1, 1, 0, 0, 0, 0]), np.array([9, 8, 7, 3, 2, 1, 0]) / 10))
    assert found.high == 1
    assert found.low == pytest.approx(intervals.wilson(3, 3)[0])


@pytest.mark.parametrize("weight", [None, "w"])
def test_binary_intervals_agree_with_scipys_bootstrap(classic_spark, weight):
    table = binary_table(1_200, seed=2)
    found = evaluate(classic_spark.createDataFrame(table), task="binary", weight=weight)
    assert list(found.intervals) == list(METRICS["binary"])
    y, p = table["__label"].to_numpy(), table["probability"].to_numpy().astype(float)
    w = table["w"].to_numpy() if weight else np.ones(len(y))
    expected = {
        "auc": lambda y, p, w: sk.roc_auc_score(y, p, sample_weight=w),
        "average_precision": lambda y, p, w: sk.average_precision_score(y, p, sample_weight=w),
        "brier": lambda y, p, w: np.average((p - y) ** 2, weights=w),
        "accuracy": lambda y, p, w: np.average((p >= 0.5) == y, weights=w),
        "precision": lambda y, p, w: np.average(y[p >= 0.5], weights=w[p >= 0.5]),
        "recall": lambda y, p, w: np.average((p >= 0.5)[y == 1], weights=w[y == 1]),
        "f1": lambda y, p, w: sk.f1_score(y, p >= 0.5, sample_weight=w),
    }
    for name, metric in expected.items():
        other, own = resampled(metric, (y, p, w), rows=400), found.intervals[name]
        width = other.high - other.low
        assert own.low == pytest.approx(other.low, abs=0.2 * width), name
        assert own.high == pytest.approx(other.high, abs=0.2 * width), name
    for name, own in found.intervals.items():
        assert own.low <= found.metrics[name] <= own.high, name


def test_the_same_rows_have_the_same_intervals_however_they_are_partitioned(classic_spark):
    frame = classic_spark.createDataFrame(binary_table(900))
    one = evaluate(frame.coalesce(1), task="binary").intervals
    other = evaluate(frame.orderBy("probability").repartition(5), task="binary").intervals
    for name in METRICS["binary"]:
        assert one[name].low == pytest.approx(other[name].low, rel=1e-9), name


def test_scores_taken_together_change_next_to_nothing():
    table = binary_table(20_000, seed=5)
    bins = bins_of(table["__label"].to_numpy(), table["probability"].to_numpy().astype(float))
    statistics = {"ap": intervals.average_precision, "f1": intervals.f1, "loss": intervals.loss("logloss")}
    whole = intervals.bootstrap(bins, statistics)
    merged = intervals.bootstrap(bins, statistics, most_cells=500)
    for name in statistics:
        width = whole[name].high - whole[name].low
        assert merged[name].low == pytest.approx(whole[name].low, abs=0.2 * width), name
        assert merged[name].high == pytest.approx(whole[name].high, abs=0.2 * width), name


@pytest.mark.parametrize("weight", [None, "w"])
def test_multiclass_intervals_agree_with_scipys_bootstrap(classic_spark, weight):
    table, p = multiclass_table(1_000)
    found = evaluate(classic_spark.createDataFrame(table), task="multiclass", weight=weight)
    assert set(found.intervals) == set(METRICS["multiclass"])
    y, p = table["__label"].to_numpy(), p.astype(float)
    w = table["w"].to_numpy() if weight else np.ones(len(y))

    def areas(i):
        return np.mean([sk.roc_auc_score(y[i] == c, p[i, c], sample_weight=w[i]) for c in range(p.shape[1])])

    expected = {
        "logloss": lambda i: np.average(-np.log(p[i, y[i]]), weights=w[i]),
        "accuracy": lambda i: np.average(p[i].argmax(1) == y[i], weights=w[i]),
        "f1_macro": lambda i: sk.f1_score(y[i], p[i].argmax(1), average="macro", sample_weight=w[i]),
        "auc_macro": areas,
    }
    for name, metric in expected.items():
        other, own = resampled(metric, (np.arange(len(y)),), rows=300), found.intervals[name]
        width = other.high - other.low
        assert own.low == pytest.approx(other.low, abs=0.2 * width), name
        assert own.high == pytest.approx(other.high, abs=0.2 * width), name


@pytest.mark.parametrize("weight", [None, "w"])
def test_regression_intervals_agree_with_scipys_bootstrap(classic_spark, weight):
    table = regression_table(1_500)
    found = evaluate(classic_spark.createDataFrame(table), task="regression", weight=weight)
    assert set(found.intervals) == set(METRICS["regression"])
    y, p = table["__label"].to_numpy(), table["prediction"].to_numpy()
    w = table["w"].to_numpy() if weight else np.ones(len(y))
    expected = {
        "rmse": lambda y, p, w: sk.root_mean_squared_error(y, p, sample_weight=w),
        "mae": lambda y, p, w: sk.mean_absolute_error(y, p, sample_weight=w),
        "r2": lambda y, p, w: sk.r2_score(y, p, sample_weight=w),
        "mape": lambda y, p, w: sk.mean_absolute_percentage_error(y, p, sample_weight=w),
        "bias": lambda y, p, w: np.average(p - y, weights=w),
    }
    for name, metric in expected.items():
        other, own = resampled(metric, (y, p, w)), found.intervals[name]
        width = other.high - other.low
        assert own.low == pytest.approx(other.low, abs=0.15 * width), name
        assert own.high == pytest.approx(other.high, abs=0.15 * width), name


def test_a_ranking_is_as_sure_as_its_queries_are_many(classic_spark):
    table = ranking_table()
    once = evaluate(classic_spark.createDataFrame(table), task="ranking", group="g")
    each = [
        sk.ndcg_score([2.0 ** q["__label"] - 1], [q["prediction"]], k=10) if q["__label"].any() else 1.0
        for _, q in table.groupby("g")
    ]
    mean, error = np.mean(each), stats.sem(each)
    low, high = stats.t.interval(0.95, len(each) - 1, mean, error)
    assert once.intervals["ndcg@10"].low == pytest.approx(low)
    assert once.intervals["ndcg@10"].high == pytest.approx(min(1.0, high))
    assert set(once.intervals) == set(METRICS["ranking"])


def test_what_is_perfect_in_few_rows_is_not_said_to_be_certain(classic_spark):
    table = pd.DataFrame(
        {"g": np.repeat(range(12), 3), "__label": [2, 1, 0] * 12, "prediction": [3.0, 2, 1] * 12}
    )
    ranked = evaluate(classic_spark.createDataFrame(table), task="ranking", group="g")
    assert ranked.metrics["ndcg@10"] == 1
    assert ranked.intervals["ndcg@10"].low == pytest.approx(intervals.wilson(12, 12)[0])
    table = pd.DataFrame({"__label": [1] * 5 + [0] * 9, "probability": [0.9] * 5 + [0.2] * 9})
    told = evaluate(classic_spark.createDataFrame(table), task="binary")
    for name in ("auc", "average_precision", "f1", "ks"):
        assert told.metrics[name] == 1
        assert told.intervals[name].low == pytest.approx(intervals.wilson(5, 5)[0]), name
        assert told.intervals[name].high == 1


def drawn_binary(rng, rows):
    y = rng.random(rows) < 0.25
    x = rng.normal(size=rows) + 1.5 * y
    return y.astype(int), 1 / (1 + np.exp(-(1.5 * x - 1.125 - np.log(3))))


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(0)
    statistics = {
        "average_precision": intervals.average_precision,
        "f1": intervals.f1,
        "logloss": intervals.loss("logloss"),
    }
    y, p = drawn_binary(rng, 400_000)
    truth = {
        "auc": sk.roc_auc_score(y, p),
        "average_precision": sk.average_precision_score(y, p),
        "f1": sk.f1_score(y, p >= 0.5),
        "logloss": sk.log_loss(y, p),
    }
    held = dict.fromkeys(truth, 0)
    rounds = 200
    for seed in range(rounds):
        bins = bins_of(*drawn_binary(rng, 300))
        found = {"auc": intervals.delong(bins), **intervals.bootstrap(bins, statistics, seed)}
        for name, value in truth.items():
            held[name] += found[name].low <= value <= found[name].high
    for name, times in held.items():
        # Of 200 rounds at 95%, three standard deviations are 4.6 points.
        assert 0.90 <= times / rounds <= 0.995, (name, times)


def test_r2_and_rmse_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(1)
    held, rounds = {"rmse": 0, "r2": 0}, 400
    for _ in range(rounds):
        d = rng.normal(size=200)
        e = rng.normal(size=200) * 0.6
        spread, rest = np.sum((d - d.mean()) ** 2), np.sum(e**2) / np.sum((d - d.mean()) ** 2)
        variance = float(np.sum((e**2 - rest * (d - d.mean()) ** 2) ** 2))
        r2 = intervals.explained(1 - rest, spread, variance, 200)
        rmse = intervals.WeightedMean.of(
            200, 200, float(np.mean(e**2)), float(np.sum(e**2)), float(np.sum(e**4))
        ).root_interval()
        held["r2"] += r2.low <= 0.64 <= r2.high
        held["rmse"] += rmse.low <= 0.6 <= rmse.high
    for name, times in held.items():
        assert 0.91 <= times / rounds <= 0.985, (name, times)


def test_one_row_has_no_interval_and_constant_errors_have_one_point(classic_spark):
    frame = classic_spark.createDataFrame(pd.DataFrame({"__label": [1.0], "prediction": [2.0]}))
    assert evaluate(frame, task="regression").intervals == {}
    frame = classic_spark.createDataFrame(pd.DataFrame({"__label": [1.0, 2, 3], "prediction": [2.0, 3, 4]}))
    found = evaluate(frame, task="regression").intervals
    assert found["bias"].low == pytest.approx(1) == found["bias"].high


def test_an_evaluation_of_an_earlier_version_is_read(tmp_path):
    (tmp_path / "metrics.json").write_text(
        '{"version": 1, "task": "binary", "rows": 9, "weight": 9.0, "classes": ["a", "b"], "metrics": {"auc": 0.7}}'
    )
    old = Evaluation.load(tmp_path)
    assert old.intervals == {}
    old.save(tmp_path)
    assert Evaluation.load(tmp_path) == old
