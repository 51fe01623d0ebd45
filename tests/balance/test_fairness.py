"""Answers by group: fairlearn's rates and disparities, intervals, and reweighing."""

from __future__ import annotations

import fairlearn.metrics as fl
import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as sf
from scipy import stats
from sklearn.metrics import accuracy_score, mean_absolute_error, precision_score

from synml_dagster.balance import Fairness, data_balance, learn_reweighing, prediction_fairness, reweighed
from synml_dagster.balance.intervals import newcombe, wilson
from synml_dagster.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def scored() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = 900
    frame = pd.DataFrame(
        {"sex": rng.choice(["f", "m"], n), "race": rng.choice(["a", "b", "c"], n, p=[0.6, 0.37, 0.03])}
    )
    score = rng.normal(size=n) + (frame["sex"] == "m") * 0.6
    frame["probability"] = 1 / (1 + np.exp(-score))
    frame["__label"] = (rng.random(n) < frame["probability"]).astype(np.int32)
    frame["prediction"] = (frame["probability"] >= 0.5).astype(np.int32)
    return frame


@pytest.fixture(scope="module")
def found(classic_spark, scored) -> Fairness:
    return prediction_fairness(
        classic_spark.createDataFrame(scored), ["sex", "race"], task="binary", classes=["no", "yes"]
    )


def test_rates_by_group_are_fairlearn_s(found, scored):
    metrics = {
        "selection_rate": fl.selection_rate,
        "true_positive_rate": fl.true_positive_rate,
        "false_positive_rate": fl.false_positive_rate,
        "accuracy": accuracy_score,
        "precision": precision_score,
    }
    for columns in (["sex"], ["race"], ["sex", "race"]):
        theirs = fl.MetricFrame(
            metrics=metrics,
            y_true=scored["__label"],
            y_pred=scored["prediction"],
            sensitive_features=scored[columns],
        ).by_group
        ours = [g for g in found.groups if g.columns == columns]
        assert len(ours) == len(theirs)
        for one in ours:
            row = theirs.loc[tuple(one.group) if len(columns) > 1 else one.group[0]]
            for name in metrics:
                assert one.rates[name].value == pytest.approx(row[name], abs=1e-12), (one.group, name)


def test_disparities_are_fairlearn_s(found, scored):
    given = {"y_true": scored["__label"], "y_pred": scored["prediction"], "sensitive_features": scored["sex"]}
    parity, odds = found.disparity("demographic_parity", "sex"), found.disparity("equalized_odds", "sex")
    assert parity.difference == pytest.approx(fl.demographic_parity_difference(**given))
    assert parity.ratio == pytest.approx(fl.demographic_parity_ratio(**given))
    assert odds.difference == pytest.approx(fl.equalized_odds_difference(**given))
    assert odds.ratio == pytest.approx(fl.equalized_odds_ratio(**given))
    assert (parity.largest, parity.smallest) == (["m"], ["f"])
    assert parity.low < parity.difference < parity.high


def test_small_groups_are_shown_and_not_compared(found):
    small = [g for g in found.groups if g.columns == ["race"] and g.small]
    assert [g.group for g in small] == [["c"]]
    assert small[0].rates["selection_rate"].value is not None
    parity = found.disparity("demographic_parity", "race")
    assert parity.left_out == 1
    assert "c" not in parity.largest + parity.smallest
    assert "fewer than 30 rows" in found.notes[0]


def test_calibration_by_group(found, scored):
    one = next(g for g in found.groups if g.group == ["f"])
    inside = scored[scored["sex"] == "f"]
    tenth = np.minimum((inside["probability"] * 10).astype(int), 9)
    by_bin = inside.groupby(tenth).agg(p=("probability", "mean"), y=("__label", "mean"), n=("sex", "size"))
    assert [b.predicted for b in one.calibration] == pytest.approx(by_bin["p"].tolist())
    assert [b.observed for b in one.calibration] == pytest.approx(by_bin["y"].tolist())
    error = ((by_bin["p"] - by_bin["y"]).abs() * by_bin["n"]).sum() / len(inside)
    assert one.calibration_error == pytest.approx(error)


def test_connect_gives_the_same(spark, scored, found):
    again = prediction_fairness(
        spark.createDataFrame(scored), ["sex", "race"], task="binary", classes=["no", "yes"]
    )
    assert again.groups == found.groups
    assert again.disparities == found.disparities


def test_a_rate_of_nothing_says_so(classic_spark):
    frame = pd.DataFrame(
        {"g": ["a"] * 3 + ["b"] * 3, "__label": [0, 0, 0, 1, 1, 0], "prediction": [0, 0, 0, 1, 0, 0]}
    )
    found = prediction_fairness(classic_spark.createDataFrame(frame), ["g"], task="binary", minimum=1)
    a = found.groups[0]
    assert a.rates["true_positive_rate"].value is None
    assert a.rates["true_positive_rate"].reason == "no row of the group is '1'"
    odds = found.disparity("equalized_odds", "g")
    assert odds.difference is None
    assert "fewer than two groups" in odds.reason


def test_several_classes_are_each_measured_against_the_rest(classic_spark):
    rng = np.random.default_rng(3)
    p = rng.dirichlet(np.ones(3), 200)
    frame = pd.DataFrame({"g": rng.choice(["a", "b"], 200), "y": rng.integers(0, 3, 200)})
    df = classic_spark.createDataFrame(frame.assign(probability=p.tolist()))
    found = prediction_fairness(df, ["g"], task="multiclass", label="y", classes=["x", "y", "z"])
    for k, name in enumerate("xyz"):
        theirs = fl.demographic_parity_difference(
            frame["y"] == k, p.argmax(1) == k, sensitive_features=frame["g"]
        )
        assert found.disparity("demographic_parity", "g", label=name).difference == pytest.approx(theirs)


def test_errors_of_a_regression_by_group(classic_spark):
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"g": rng.choice(["a", "b"], 100), "__label": rng.normal(size=100)})
    frame["prediction"] = frame["__label"] + rng.normal(size=100) + 0.5
    found = prediction_fairness(classic_spark.createDataFrame(frame), ["g"], task="regression")
    for one in found.groups:
        inside = frame[frame["g"] == one.group[0]]
        error = inside["prediction"] - inside["__label"]
        assert one.errors["mae"] == pytest.approx(
            mean_absolute_error(inside["__label"], inside["prediction"])
        )
        assert one.errors["rmse"] == pytest.approx(np.sqrt((error**2).mean()))
        low, high = stats.t.interval(0.95, len(error) - 1, error.mean(), stats.sem(error))
        assert (one.errors["bias_low"], one.errors["bias_high"]) == pytest.approx((low, high))
    assert found.disparity("mae", "g").ratio < 1
    assert repr(found).startswith("Fairness(100 rows by g; mean_prediction differs by")


def test_intervals_are_those_of_the_literature():
    theirs = stats.binomtest(3, 20).proportion_ci(method="wilson")
    assert wilson(3, 20) == pytest.approx((theirs.low, theirs.high))
    # Newcombe 1998, table II, example (a), method 10: 56/70 and 48/80.
    assert newcombe(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_weights_make_group_and_class_independent(spark):
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"sex": rng.choice(["f", None], 400), "age": rng.integers(18, 80, 400)})
    frame["y"] = np.where(rng.random(400) < np.where(frame["sex"] == "f", 0.2, 0.6), "yes", "no")
    frame.loc[:4, "y"] = None
    given = reweighed(spark.createDataFrame(frame), ["sex", "age"], "y", bins={"age": [50]}).toPandas()
    assert given.loc[given["y"].isna(), "balance_weight"].tolist() == [0.0] * 5
    known = given.dropna(subset="y").assign(
        hit=lambda t: (t["y"] == "yes") * t["balance_weight"], old=lambda t: t["age"] >= 50
    )
    sums = known.fillna({"sex": "?"}).groupby(["sex", "old"])[["hit", "balance_weight"]].sum()
    share = (known["y"] == "yes").mean()
    assert (sums["hit"] / sums["balance_weight"]).tolist() == pytest.approx([share] * 4)
    assert known["balance_weight"].sum() == pytest.approx(len(known))


def test_learned_weights_are_kamiran_and_calders_by_hand_and_look_at_training_rows_alone(spark):
    # Group, class, side, rows, own weight. By hand of training rows: P(f) = 6/16, P(yes) = 8/16, P(f, yes) = 2/16.
    told = [
        ("f", 1, "train", 2, 1.0),
        ("f", 0, "train", 4, 1.0),
        ("m", 1, "train", 6, 1.0),
        ("m", 0, "train", 4, 1.0),
        ("f", 1, "held", 50, 1.0),
        (None, 0, "held", 3, 1.0),
    ]
    rows = [(g, y, s, w) for g, y, s, n, w in told for _ in range(n)]
    df = spark.createDataFrame(rows, "sex string, y int, side string, w double")
    training = sf.col("side") == "train"
    found = learn_reweighing(df, ["sex"], "y", training=training)
    by_hand = {("f", "0"): 6 * 8 / (16 * 4), ("f", "1"): 6 * 8 / (16 * 2), ("m", "0"): 10 * 8 / (16 * 4)}
    weights = {(c.group[0], c.label): c.weight for c in found.cells}
    assert weights == pytest.approx(by_hand | {("m", "1"): 10 * 8 / (16 * 6)})
    assert found.rows == 16
    assert found.notes[0].startswith("3 rows beside the training rows are of a group that these do not have")
    taken = df.select(
        found.factor(found.group_key(df), sf.col("y").cast("string")).alias("v"), "sex"
    ).toPandas()
    assert taken.loc[taken["sex"].isna(), "v"].tolist() == [1.0] * 3
    assert taken["v"].iloc[0] == pytest.approx(1.5)
    with pytest.raises(
        DataError, match=r"1 of the 6 groups of sex by class have no training row \(\(missing\) with '1'"
    ):
        learn_reweighing(df, ["sex"], "y")


def test_learned_weights_times_the_rows_own_are_balanced(classic_spark):
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"sex": rng.choice(["f", "m"], 600), "old": rng.choice([True, False], 600)})
    frame["y"] = (rng.random(600) < np.where(frame["sex"] == "f", 0.2, 0.6)).astype(int)
    frame["w"] = rng.uniform(0.5, 4, 600) * (1 + frame["y"])
    df = classic_spark.createDataFrame(frame)
    found = learn_reweighing(df, ["sex", "old"], "y", weight="w")
    product = df.select(
        "*", (sf.col("w") * found.factor(found.group_key(df), sf.col("y"))).alias("v")
    ).toPandas()
    share = np.average(product["y"], weights=product["w"])
    by_group = product.groupby(["sex", "old"])[["y", "v"]].apply(lambda t: np.average(t["y"], weights=t["v"]))
    assert by_group.tolist() == pytest.approx([share] * 4)
    assert product["v"].sum() == pytest.approx(product["w"].sum())
    none = df.withColumn("w", sf.when((sf.col("sex") == "f") & (sf.col("y") == 1), 0.0).otherwise(1.0))
    with pytest.raises(DataError, match="no training row that weighs anything"):
        learn_reweighing(none, ["sex"], "y", weight="w")
    with pytest.raises(DataError, match="'sex' has one value only"):
        learn_reweighing(df.where("sex = 'f'"), ["sex"], "y")


def test_what_cannot_be_measured_is_refused_by_name(classic_spark, scored):
    df = classic_spark.createDataFrame(scored)
    with pytest.raises(ConfigError, match="task is 'ranking'"):
        prediction_fairness(df, ["sex"], task="ranking")
    with pytest.raises(ConfigError, match=r"no column 'labels'"):
        prediction_fairness(df, ["sex"], task="binary", label="labels")
    with pytest.raises(ConfigError, match=r"no sensitive column 'sx'. Did you mean 'sex'"):
        prediction_fairness(df, ["sx"], task="binary")
    with pytest.raises(ConfigError, match="of two columns or more"):
        prediction_fairness(df, ["sex"], task="binary", intersections=[["sex"]])
    with pytest.raises(ConfigError, match="is no sensitive column"):
        prediction_fairness(df, ["sex"], task="binary", intersections=[["sex", "race"]])
    with pytest.raises(DataError, match="900 of 900 scored rows"):
        prediction_fairness(df.selectExpr("sex", "__label", "2.0 AS probability"), ["sex"], task="binary")
    with pytest.raises(ConfigError, match="already"):
        reweighed(df, ["sex"], "__label", weight="race")
    with pytest.raises(DataError, match="none of the classes"):
        prediction_fairness(df, ["sex"], task="binary", classes=["only"])


def test_balance_and_fairness_speak_of_the_same_groups(classic_spark, scored, found):
    balance = data_balance(classic_spark.createDataFrame(scored), ["sex", "race"], label="__label")
    shares = {(g.column, g.group): g.measures["demographic_parity"] for g in balance.groups}
    for one in found.groups:
        if len(one.columns) == 1:
            assert one.rates["base_rate"].value == pytest.approx(shares[(one.columns[0], one.group[0])])
