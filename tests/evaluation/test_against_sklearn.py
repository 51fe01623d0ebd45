"""What Spark adds up agrees with what scikit-learn says of the same rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from synml_dagster.evaluation import METRICS, Evaluation, evaluate
from synml_dagster.evaluation.binary import EPSILON


def binary_table(rows=3_000, seed=0):
    """Imbalanced, roughly calibrated float32 probabilities, with ties, weights and a share of certain zeros."""
    rng = np.random.default_rng(seed)
    p = 1 / (1 + np.exp(-rng.normal(-2, 2, rows)))
    p = np.where(rng.random(rows) < 0.3, np.round(p, 2), p).astype(np.float32)
    y = (rng.random(rows) < p).astype(np.int32)
    return pd.DataFrame({"__label": y, "probability": p, "w": rng.integers(0, 5, rows).astype(float)})


def sklearn_binary(table, w):
    y, p = table["__label"], table["probability"].astype(float)
    said = p >= 0.5
    return {
        "auc": sk.roc_auc_score(y, p, sample_weight=w),
        "average_precision": sk.average_precision_score(y, p, sample_weight=w),
        "logloss": sk.log_loss(y, p.clip(EPSILON, 1 - EPSILON), sample_weight=w),
        "brier": sk.brier_score_loss(y, p, sample_weight=w),
        "accuracy": sk.accuracy_score(y, said, sample_weight=w),
        "precision": sk.precision_score(y, said, sample_weight=w),
        "recall": sk.recall_score(y, said, sample_weight=w),
        "f1": sk.f1_score(y, said, sample_weight=w),
    }


@pytest.mark.parametrize("weight", [None, "w"])
def test_binary_metrics_are_exact(spark, weight):
    table = binary_table()
    found = evaluate(spark.createDataFrame(table), task="binary", weight=weight, classes=["no", "yes"])
    expected = sklearn_binary(table, table[weight] if weight else None)
    for name, value in expected.items():
        assert found.metrics[name] == pytest.approx(value, abs=1e-9), name
    assert list(found.metrics) == list(METRICS["binary"])
    assert found.positive == "yes"
    assert found.rows == len(table)


def test_binned_scores_agree_to_some_millionths(classic_spark):
    table = binary_table(rows=60_000, seed=1)
    found = evaluate(classic_spark.createDataFrame(table), task="binary", weight="w", exact_rows=1_000)
    expected = sklearn_binary(table, table["w"])
    for name, value in expected.items():
        assert found.metrics[name] == pytest.approx(value, abs=5e-6), name


def test_the_best_f1_threshold_is_the_best(classic_spark):
    table = binary_table()
    best = evaluate(classic_spark.createDataFrame(table), task="binary").best_f1
    y, p = table["__label"], table["probability"].astype(float)
    assert best.f1 == pytest.approx(max(sk.f1_score(y, p >= t) for t in np.unique(p)))
    assert best.f1 == pytest.approx(sk.f1_score(y, p >= best.threshold))
    assert best.recall == pytest.approx(sk.recall_score(y, p >= best.threshold))


def test_thresholds_and_confusion_count_every_row(classic_spark):
    table = binary_table()
    found = evaluate(classic_spark.createDataFrame(table), task="binary")
    y, p = table["__label"], table["probability"].astype(float)
    for row in found.thresholds:
        tn, fp, fn, tp = sk.confusion_matrix(y, p >= row.threshold).ravel()
        assert [row.true_negative, row.false_positive, row.false_negative, row.true_positive] == [
            tn,
            fp,
            fn,
            tp,
        ]
    assert found.confusion.weight == sk.confusion_matrix(y, p >= 0.5).tolist()


def test_curves_begin_and_end_where_they_must(classic_spark):
    found = evaluate(classic_spark.createDataFrame(binary_table()), task="binary")
    assert (found.roc.false_positive_rate[0], found.roc.true_positive_rate[0]) == (0, 0)
    assert (found.roc.false_positive_rate[-1], found.roc.true_positive_rate[-1]) == (1, 1)
    assert found.pr.recall[-1] == 1
    assert np.trapezoid(found.roc.true_positive_rate, found.roc.false_positive_rate) == pytest.approx(
        found.metrics["auc"], abs=2e-3
    )
    assert sum(found.calibration.weight) == pytest.approx(found.rows)
    assert np.abs(np.subtract(found.calibration.predicted, found.calibration.observed)).max() < 0.12
    assert sum(found.scores.positive) + sum(found.scores.negative) == pytest.approx(found.rows)


def multiclass_table(rows=2_000, k=4, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(rows, k)) * 1.5
    p = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(np.float32)
    y = np.array([rng.choice(k, p=row / row.sum()) for row in p.astype(float)])
    return pd.DataFrame({"__label": y, "probabilities": list(p), "w": rng.random(rows)}), p


@pytest.mark.parametrize("weight", [None, "w"])
@pytest.mark.parametrize("exact", [True, False])
def test_multiclass_metrics_agree(classic_spark, weight, exact):
    table, p = multiclass_table()
    frame = classic_spark.createDataFrame(table)
    limit = 200_000 if exact else 100
    found = evaluate(frame, task="multiclass", weight=weight, classes=["a", "b", "c", "d"], exact_rows=limit)
    y, w, said = table["__label"], table[weight] if weight else None, p.argmax(1)
    p64 = p.astype(float)
    expected = {
        "logloss": sk.log_loss(y, p64 / p64.sum(1, keepdims=True), sample_weight=w),
        "accuracy": sk.accuracy_score(y, said, sample_weight=w),
        "f1_macro": sk.f1_score(y, said, average="macro", sample_weight=w),
        "auc_macro": np.mean([sk.roc_auc_score(y == c, p64[:, c], sample_weight=w) for c in range(4)]),
    }
    for name, value in expected.items():
        assert found.metrics[name] == pytest.approx(value, abs=1e-7 if exact else 1e-5), name
    np.testing.assert_allclose(found.confusion.weight, sk.confusion_matrix(y, said, sample_weight=w))
    assert [c.recall for c in found.per_class] == pytest.approx(
        list(sk.recall_score(y, said, average=None, sample_weight=w))
    )


def regression_table(rows=2_000, seed=0):
    rng = np.random.default_rng(seed)
    y = 1e6 + rng.gamma(2, 50, rows)  # a mean far from 0, where naive sums of squares lose their digits
    return pd.DataFrame({"__label": y, "prediction": y + rng.normal(1, 9, rows), "w": rng.random(rows)})


@pytest.mark.parametrize("weight", [None, "w"])
def test_regression_metrics_are_exact(spark, weight):
    table = regression_table()
    found = evaluate(spark.createDataFrame(table), task="regression", weight=weight)
    y, p, w = table["__label"], table["prediction"], table[weight] if weight else None
    expected = {
        "rmse": sk.root_mean_squared_error(y, p, sample_weight=w),
        "mae": sk.mean_absolute_error(y, p, sample_weight=w),
        "r2": sk.r2_score(y, p, sample_weight=w),
        "mape": sk.mean_absolute_percentage_error(y, p, sample_weight=w),
        "bias": np.average(p - y, weights=w),
    }
    for name, value in expected.items():
        assert found.metrics[name] == pytest.approx(value, rel=1e-9), name
    assert found.baseline["rmse"] == pytest.approx(
        np.sqrt(np.average((y - np.average(y, weights=w)) ** 2, weights=w))
    )
    total = len(table) if w is None else w.sum()
    assert np.sum(found.actual_vs_predicted.weight) == pytest.approx(total)
    assert np.sum(found.residuals.weight) == pytest.approx(total)


def ranking_table(queries=60, seed=0, ties=False):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 25, queries)
    g = np.repeat(np.arange(queries), sizes)
    y = rng.integers(0, 5, len(g))
    score = y + rng.normal(0, 2, len(g))
    return pd.DataFrame({"__label": y, "prediction": np.round(score) if ties else score, "g": g})


@pytest.mark.parametrize("ties", [False, True])
def test_ndcg_agrees_with_sklearn_query_by_query(spark, ties):
    table = ranking_table(ties=ties)
    found = evaluate(spark.createDataFrame(table), task="ranking", group="g")
    for k in (1, 3, 5, 10):
        each = [
            sk.ndcg_score([2.0 ** q["__label"] - 1], [q["prediction"]], k=k) if q["__label"].any() else 1.0
            for _, q in table.groupby("g")
        ]
        assert found.metrics[f"ndcg@{k}"] == pytest.approx(np.mean(each), abs=1e-9), k
    assert found.groups == table["g"].nunique() == sum(found.per_group.weight)


def test_map_agrees_with_its_definition(classic_spark):
    table = ranking_table()
    found = evaluate(classic_spark.createDataFrame(table), task="ranking", group="g")

    def average_precision_at(k, query):
        relevant = (query.sort_values("prediction", ascending=False)["__label"] > 0).to_numpy()
        top = relevant[:k]
        if not relevant.any():
            return 1.0
        return sum(top[: i + 1].mean() for i in range(len(top)) if top[i]) / min(relevant.sum(), k)

    for k in (1, 3, 5, 10):
        each = [average_precision_at(k, query) for _, query in table.groupby("g")]
        assert found.metrics[f"map@{k}"] == pytest.approx(np.mean(each)), k


def test_an_evaluation_survives_its_file(classic_spark, tmp_path):
    for task, table in [("binary", binary_table(200)), ("regression", regression_table(200))]:
        found = evaluate(classic_spark.createDataFrame(table), task=task)
        found.save(tmp_path / task)
        assert Evaluation.load(tmp_path / task) == found
