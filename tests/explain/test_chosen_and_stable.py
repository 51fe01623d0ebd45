"""Rows chosen by hand, the stability of importance, and the bundles of effects and attributions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as sf

from synml_dagster.errors import ConfigError, ModelError
from synml_dagster.explain import Explanations, explain_chosen, importance_stability
from synml_dagster.explain.effects import (
    Effects,
    accumulated_local_effects,
    partial_dependence,
    permutation_importance,
)


def explained(size: np.ndarray) -> Explanations:
    rows, features = size.shape
    return Explanations(
        task="regression",
        features=[f"f{i}" for i in range(features)],
        outputs=["0"],
        base=np.zeros(1),
        values=np.zeros((rows, features), np.float32),
        phi=size[:, :, None].astype(np.float32),
    )


def test_stability_is_a_bootstrap_of_the_rows():
    rng = np.random.default_rng(0)
    size = np.column_stack([rng.normal(3, 0.2, 300), rng.normal(0, 1, 300), rng.normal(0, 1.02, 300)])
    found = explained(size)
    told = importance_stability(found, draws=2_000, seed=1)
    assert [s.feature for s in told] == list(found.importance)
    assert (told[0].feature, told[0].rank, told[0].best, told[0].worst) == ("f0", 1, 1, 1)
    assert told[0].steady
    # The other two are as good as equal: each is second in some draws.
    assert [(s.best, s.worst) for s in told[1:]] == [(2, 3), (2, 3)]
    by_hand = np.random.default_rng(7).integers(0, 300, (4_000, 300))
    means = np.abs(size[:, 1])[by_hand].mean(1)
    one = next(s for s in told if s.feature == "f1")
    assert (one.low, one.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.01)
    assert one.value == pytest.approx(np.abs(size[:, 1]).mean(), rel=1e-5)
    with pytest.raises(ConfigError, match="draws must be at least 2"):
        importance_stability(found, draws=1)


@pytest.fixture(scope="module")
def fitted(classic_spark):
    import lightgbm as lgb

    from synml_dagster.features import LABEL, FeatureSpec, assemble, fit_plan
    from synml_dagster.learners.lightgbm import LightGBMModel

    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "id": np.arange(300),
            "price": rng.normal(size=300).round(2) + 0.5,
            "city": rng.choice(["Ghent", "Oslo"], 300),
        }
    )
    frame["bought"] = np.where(frame["price"] + (frame["city"] == "Oslo") > 1, "yes", "no")
    frame.loc[7, "bought"] = None
    raw = classic_spark.createDataFrame(frame)
    plan = fit_plan(raw, name="shop", label="bought", features=FeatureSpec(exclude=["id"]))
    rows = assemble(raw, plan).toPandas()
    X = rows[plan.feature_names].to_numpy(np.float32)
    booster = lgb.train({"objective": "binary", "verbose": -1}, lgb.Dataset(X, rows[LABEL]), 10)
    model = LightGBMModel(text=booster.model_to_string(), features=plan.feature_names, objective="binary")
    return frame, raw, plan, model


def test_chosen_rows_are_explained_in_their_order_and_absent_ones_are_told(fitted, tmp_path):
    frame, raw, plan, model = fitted
    found, ids, notes = explain_chosen(raw, plan, model, "id", ["250", "7", "999", "12"])
    assert ids == ["250", "7", "12"]
    assert notes == [
        "1 of the 4 values of 'id' that were to be explained is in no row: '999'; the table has such as '0', '1', '2', '3', '4'."
    ]
    assert np.isnan(found.label).tolist() == [False, True, False]  # the row without a label is explained, too
    price = plan.feature_names.index("price")
    assert found.values[:, price] == pytest.approx(frame.loc[[250, 7, 12], "price"].to_numpy(np.float32))
    assert found.raw_score[:, 0] == pytest.approx(model.predict(found.values, raw_score=True), abs=1e-5)
    whole = explained(np.ones((3, 2)))
    from dataclasses import replace

    kept = replace(whole, chosen=found, chosen_by="id", ids=ids, notes=notes)
    kept.save(tmp_path)
    again = Explanations.load(tmp_path)
    assert (again.ids, again.chosen_by, again.notes) == (ids, "id", notes)
    assert again.chosen.phi == pytest.approx(found.phi)


def test_numbers_are_found_by_their_value_and_what_cannot_be_is_refused(fitted):
    frame, raw, plan, model = fitted
    value = frame.loc[3, "price"]
    _, ids, notes = explain_chosen(raw, plan, model, "price", [f"{value:.3f}"])
    assert len(ids) == int((frame["price"] == value).sum())
    assert bool(notes) is (len(ids) > 1)
    found, ids, notes = explain_chosen(raw, plan, model, "city", ["Pluto"])
    assert (found, ids) == (None, [])
    assert "is in no row: 'Pluto'; the table has such as" in notes[0]
    _, ids, notes = explain_chosen(raw, plan, model, "city", ["Oslo"])
    assert len(ids) == 100
    assert "'Oslo' of 'city' stands in several rows." in notes[0]
    oslo = int((frame["city"] == "Oslo").sum())
    assert (
        notes[1]
        == f"{oslo} rows have one of the values of 'city'; 100 of them are explained, some of each value."
    )
    with pytest.raises(ConfigError, match=r"no column 'idd'. Did you mean 'id'"):
        explain_chosen(raw, plan, model, "idd", ["1"])
    with pytest.raises(ConfigError, match="names 'seven', and 'price' is a column of numbers"):
        explain_chosen(raw, plan, model, "price", ["seven"])


def test_effects_are_tables_that_come_back_from_their_files(classic_spark, tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=200), "w": rng.choice(["x", "y"], 200)})
    frame["label"] = (frame["a"] > 0).astype(int)

    def model(rows):
        up = np.clip(0.5 + 0.2 * rows["a"].to_numpy() * np.where(rows["w"] == "x", 1, -1), 0, 1)
        return np.column_stack([1 - up, up])

    df = classic_spark.createDataFrame(frame)
    dependence = partial_dependence(df, model, ["a", "w", ("a", "w")], points=5, curves=4, takes="pandas")
    accumulated = accumulated_local_effects(df, model, ["a"], bins=5, takes="pandas")
    shuffled = permutation_importance(
        df, model, "label", metric="logloss", features=["a", "w"], repeats=2, takes="pandas"
    )
    found = Effects.of(
        "binary", ["no", "yes"], 200, dependence, accumulated, shuffled, [0.5, 0.5], ["a note"]
    )
    found.save(tmp_path)
    again = Effects.load(tmp_path)
    for name, table in found.tables.items():
        pd.testing.assert_frame_equal(again.to_pandas(name), table)
    assert (again.columns, again.pairs) == (["a", "w"], [("a", "w")])
    table = again.to_pandas()
    own = table[(table["column"] == "a") & table["column_2"].isna() & (table["output"] == "yes")]
    assert own["mean"].to_numpy() == pytest.approx(dependence[0].mean[:, 1])
    assert own["number"].tolist() == pytest.approx(dependence[0].grid[0])
    assert again.reach("a", "yes") == pytest.approx(np.ptp(dependence[0].mean[:, 1]))
    assert len(again.to_pandas("curves")) == 4 * (5 + 2) * 2
    both = table[(table["column_2"] == "w") & (table["output"] == "yes")]
    assert both["mean"].to_numpy() == pytest.approx(dependence[2].mean[..., 1].reshape(-1))
    assert again.to_pandas("permutation")["mean"].tolist() == pytest.approx(list(shuffled.mean.values()))
    from synml_dagster.plots import effects as figures

    for drawn in (
        figures.dependence(again, "a", "yes", "svg"),
        figures.dependence(again, "w", "yes", "svg"),
        figures.together(again, ("a", "w"), "yes", "svg"),
        figures.permutation(again, form="svg"),
    ):
        assert b"<svg" in drawn if isinstance(drawn, bytes) else "<svg" in drawn
        assert b"could not be drawn" not in drawn if isinstance(drawn, bytes) else True
    with pytest.raises(ConfigError, match="Did you mean 'curves'"):
        again.to_pandas("curve")
    with pytest.raises(ModelError, match="holds no effects"):
        Effects.load(tmp_path / "nowhere")


def test_a_value_of_many_rows_leaves_room_for_one_of_few(fitted):
    frame, raw, plan, model = fitted
    rare = raw.withColumn("city", sf.expr("IF(id = 11, 'Rome', city)"))
    found, ids, notes = explain_chosen(rare, plan, model, "city", ["Oslo", "Rome"])
    assert (ids.count("Oslo"), ids.count("Rome")) == (50, 1)
    assert not [n for n in notes if "in no row" in n]
    price = plan.feature_names.index("price")
    assert found.values[-1, price] == pytest.approx(frame.loc[11, "price"])
    again, _, _ = explain_chosen(rare.repartition(7), plan, model, "city", ["Oslo", "Rome"])
    assert again.values.tolist() == found.values.tolist()


def test_numbers_are_compared_in_the_column_s_own_type(fitted):
    _, raw, plan, model = fitted
    long = "CAST(9007199254740992 AS DECIMAL(38, 0)) + id"  # from 2^53 on a double takes two of these for one
    typed = raw.withColumns({"long": sf.expr(long), "short": sf.expr("CAST(id / 10 AS FLOAT)")})
    for column, value, place in (
        ("long", "9007199254740993", 1),
        ("short", "0.7", 7),
        ("long", "9007199254740993.5", None),
    ):
        found, ids, notes = explain_chosen(typed, plan, model, column, [value])
        if place is None:
            assert ids == []
        else:
            own, _, _ = explain_chosen(raw, plan, model, "id", [str(place)])
            assert (ids, notes) == ([value], [])
            assert found.values.tolist() == own.values.tolist()
