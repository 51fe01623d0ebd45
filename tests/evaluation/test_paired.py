"""How sure it is that one model is better than another on the same rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from synml_dagster.errors import ConfigError
from synml_dagster.evaluation import METRICS, better_by, evaluate, paired_gain
from synml_dagster.evaluation.paired import measure_of


def two_models(task: str, rows: int = 900, seed: int = 0) -> pd.DataFrame:
    """Labels with weights and the answers of a good model (`new`) and of one that is a little worse (`old`)."""
    rng = np.random.default_rng(seed)
    w = rng.integers(0, 4, rows).astype(float)
    z = rng.normal(size=rows)
    noise = {"old": rng.normal(size=rows), "new": 0.7 * rng.normal(size=rows)}
    if task == "binary":
        y = (rng.random(rows) < 1 / (1 + np.exp(-2 * z))).astype(float)
        answers = {n: np.round(1 / (1 + np.exp(-2 * z - e)), 2) for n, e in noise.items()}
    elif task == "multiclass":
        y = np.digitize(z, [-0.5, 0.7]).astype(float)
        shares = {n: np.exp(-np.abs((z + e)[:, None] - [-1.0, 0.1, 1.2])) for n, e in noise.items()}
        answers = {n: (s / s.sum(1, keepdims=True)).tolist() for n, s in shares.items()}
    elif task == "regression":
        y, answers = z + 5, {n: z + 5.05 + 0.3 * e for n, e in noise.items()}
    else:
        y, answers = np.digitize(z, [0.0, 1.0]).astype(float), {n: z + e for n, e in noise.items()}
    return pd.DataFrame({"__label": y, "w": w + (task == "ranking"), "g": np.arange(rows) // 9, **answers})


@pytest.mark.parametrize("task", list(METRICS))
def test_the_gain_is_the_difference_of_the_metrics_that_are_reported(classic_spark, task):
    table = two_models(task)
    rows = classic_spark.createDataFrame(table)
    how = {"task": task, "weight": "w"} | ({"group": "g"} if task == "ranking" else {})
    old, new = (
        evaluate(rows, probability=name, probabilities=name, prediction=name, **how).metrics
        for name in ("old", "new")
    )
    for name in METRICS[task] if task != "ranking" else []:
        for answers, metrics in (("old", old), ("new", new)):
            measure = measure_of(
                name, task, table["__label"].to_numpy(), np.array(table[answers].to_list(), dtype=float)
            )
            assert measure(table["w"].to_numpy()[None])[0] == pytest.approx(metrics[name], abs=1e-9), name
    metric = {"binary": "auc", "multiclass": "f1_macro", "regression": "r2", "ranking": "ndcg@5"}[task]
    found = paired_gain(rows, metric, champion="old", challenger="new", **how)
    assert found.value == pytest.approx(better_by(metric, new[metric], old[metric]), abs=1e-9)
    assert found.interval.low < found.value < found.interval.high
    assert (found.units, found.of) == ((100, 100) if task == "ranking" else (900, 900))


def test_the_spread_of_a_mean_is_that_of_the_paired_t_test(classic_spark):
    table = two_models("regression", 4_000)
    found = paired_gain(
        classic_spark.createDataFrame(table), "mae", task="regression", champion="old", challenger="new"
    )
    errors = {name: (table[name] - table["__label"]).abs() for name in ("old", "new")}
    exact = stats.ttest_rel(errors["old"], errors["new"]).confidence_interval(0.95)
    assert found.interval.low == pytest.approx(exact.low, rel=0.1)
    assert found.interval.high == pytest.approx(exact.high, rel=0.1)


def test_the_spread_of_an_area_is_that_of_delong(classic_spark):
    table = two_models("binary", 3_000, seed=3)
    found = paired_gain(
        classic_spark.createDataFrame(table), "auc", task="binary", champion="old", challenger="new"
    )
    positive = table["__label"].to_numpy() == 1

    def placements(p):
        below = np.sign(p[positive][:, None] - p[~positive][None]) / 2 + 0.5
        return below.mean(1), below.mean(0)

    (old_p, old_n), (new_p, new_n) = (placements(table[name].to_numpy()) for name in ("old", "new"))
    exact = np.sqrt((new_p - old_p).var(ddof=1) / len(old_p) + (new_n - old_n).var(ddof=1) / len(old_n))
    assert found.value == pytest.approx(new_p.mean() - old_p.mean())
    assert np.std(found.draws) == pytest.approx(exact, rel=0.1)


def test_equal_answers_are_no_surer_than_a_coin_and_luck_is_not_sure(classic_spark):
    table = two_models("binary", 200)
    table["same"] = table["old"]
    rows = classic_spark.createDataFrame(table)
    asked = {"task": "binary", "champion": "old"}
    assert paired_gain(rows, "auc", challenger="same", **asked).sure() == 0.5
    few = paired_gain(rows.limit(40), "auc", challenger="new", **asked)
    assert few.sure() < 0.99
    many = paired_gain(
        classic_spark.createDataFrame(two_models("binary", 5_000)), "auc", challenger="new", **asked
    )
    assert many.sure() > 0.999
    assert many.sure(minimum=many.value) == pytest.approx(0.5, abs=0.06)


def test_of_more_rows_a_sample_is_drawn_from_and_said(spark):
    rows = spark.createDataFrame(two_models("binary", 3_000))
    found = paired_gain(rows, "auc", task="binary", champion="old", challenger="new", most_rows=1_000)
    assert found.of == 3_000
    assert 800 < found.units < 1_200


def test_what_cannot_be_told_is_none_and_what_cannot_be_asked_is_refused(classic_spark):
    table = two_models("binary", 50)
    rows = classic_spark.createDataFrame(table[table["__label"] == 1])
    asked = {"task": "binary", "champion": "old", "challenger": "new"}
    assert paired_gain(rows, "auc", **asked) is None
    with pytest.raises(ConfigError, match="There is no metric 'rmse' for binary"):
        paired_gain(rows, "rmse", **asked)
    with pytest.raises(ConfigError, match="name the column of the query ids"):
        paired_gain(rows, "ndcg@5", **asked | {"task": "ranking"})
