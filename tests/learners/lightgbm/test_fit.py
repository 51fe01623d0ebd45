from __future__ import annotations

import json

import lightgbm as lgb
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from synml_dagster.errors import ConfigError, DataError, TrainingError
from synml_dagster.learners.lightgbm import LightGBM, LightGBMModel
from tests.learners.lightgbm.tables import as_parquet, binary_table, feature_names

PARAMS = {"objective": "binary", "num_leaves": 15, "metric": "auc"}


@pytest.fixture(scope="module")
def table():
    return binary_table()


def plain(table, rounds=20, **params):
    names = feature_names(table)
    data = lgb.Dataset(table[names].to_numpy(np.float32), label=table["label"].to_numpy())
    given = {**PARAMS, "deterministic": True, "force_row_wise": True, "verbosity": -1, "seed": 0, **params}
    return lgb.train(given, data, num_boost_round=rounds)


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_frame_and_its_files_give_the_model_of_plain_lightgbm(spark, table, tmp_path, ranks):
    names = feature_names(table)
    X, y = table[names].to_numpy(np.float32), table["label"].to_numpy()
    expected = plain(table).predict(X)
    trainer = LightGBM(PARAMS, rounds=20, ranks=ranks)
    for data in (spark.createDataFrame(table), as_parquet(table, tmp_path, files=3)):
        model = trainer.fit(data, spark=spark, label="label", features=names)
        if ranks == 1:
            np.testing.assert_allclose(model.predict(X), expected, atol=1e-9)
        assert abs(roc_auc_score(y, model.predict(X)) - roc_auc_score(y, expected)) < 0.001


@pytest.mark.parametrize("ranks", [1, 2])
def test_early_stopping_keeps_the_best_round_of_the_whole_validation_set(classic_spark, table, ranks):
    names = feature_names(table)
    said = []
    model = LightGBM({**PARAMS, "learning_rate": 0.5}, rounds=200, early_stopping=5, ranks=ranks).fit(
        classic_spark.createDataFrame(table),
        label="label",
        features=names,
        validation="held_out",
        on_progress=said.append,
    )
    auc = model.history["validation"]["auc"]
    assert model.best_iteration == int(np.argmax(auc)) + 1 == model.iterations
    assert len(auc) == model.best_iteration + 5 < 200
    held_out = table[table["held_out"]]
    scored = model.predict(held_out[names].to_numpy(np.float32))
    assert roc_auc_score(held_out["label"], scored) == pytest.approx(max(auc), abs=1e-6)
    assert said[-1].round == len(auc)
    assert said[-1].metrics["validation"]["auc"] == auc[-1]


def test_a_saved_model_scores_as_before(classic_spark, table, tmp_path):
    names = feature_names(table)
    model = LightGBM(PARAMS, rounds=5).fit(
        classic_spark.createDataFrame(table), label="label", features=names
    )
    model.save(tmp_path / "model")
    again = LightGBMModel.load(tmp_path / "model")
    X = table[names].to_numpy(np.float32)
    np.testing.assert_array_equal(model.predict(X), again.predict(X))
    assert again == model
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == ["booster.txt", "model.json"]


def test_what_cannot_be_trained_is_said_before_anything_runs(classic_spark, table):
    df = classic_spark.createDataFrame(table)
    with pytest.raises(DataError, match=r"no column 'x00'. Did you mean 'x0'"):
        LightGBM(PARAMS).fit(df, label="label", features=["x00"])
    with pytest.raises(ConfigError, match="the label 'label' is among them"):
        LightGBM(PARAMS).fit(df, label="label", features=["x0", "label"])
    with pytest.raises(ConfigError, match="LightGBM refuses init_score"):
        LightGBM({**PARAMS, "boosting": "rf"}).fit(df, label="label", features=["x0"], init_score="x1")
    with pytest.raises(ConfigError, match="early_stopping needs validation"):
        LightGBM(PARAMS, early_stopping=3).fit(df, label="label", features=["x0"])


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_forest_goes_on_from_its_checkpoint_with_other_trees(classic_spark, table, tmp_path, ranks):
    names, forest = feature_names(table), {"boosting": "rf", "bagging_fraction": 0.6, "bagging_freq": 1}
    df = classic_spark.createDataFrame(table)
    given = {"label": "label", "features": names, "validation": "held_out"}

    def end(env):
        if env.iteration == 11:
            raise RuntimeError("the executor was lost")

    def trainer(**more):
        return LightGBM(
            {**PARAMS, **forest},
            rounds=20,
            ranks=ranks,
            checkpoint=str(tmp_path / "kept"),
            checkpoint_seconds=0.0,
            **more,
        )

    with pytest.raises(TrainingError, match="the executor was lost"):
        trainer(callbacks=[end]).fit(df, **given)
    first = json.loads((tmp_path / "kept" / "checkpoint.json").read_text())["rounds"]
    model = trainer().fit(df, **given)
    trees = [tree["tree_structure"] for tree in model.booster.dump_model()["tree_info"]]
    assert first == 11
    assert len(trees) == 20
    assert len({json.dumps(tree) for tree in trees}) == 20
    whole = LightGBM({**PARAMS, **forest}, rounds=20, ranks=ranks).fit(df, **given)
    kept = [tree["tree_structure"] for tree in whole.booster.dump_model()["tree_info"]]
    assert trees[:first] == kept[:first]
    held = table[table["held_out"]]
    found = roc_auc_score(held["label"], model.predict(held[names].to_numpy(np.float32)))
    assert len(model.history["validation"]["auc"]) == 20
    assert model.history["validation"]["auc"][-1] == pytest.approx(found, abs=1e-9)
    more = LightGBM({**PARAMS, **forest}, rounds=5, ranks=ranks).fit(df, **given, init_model=model)
    assert more.booster.num_trees() == 25
    with pytest.raises(ConfigError, match="init_model averages its trees, and boosting='gbdt' does not"):
        LightGBM(PARAMS, rounds=5).fit(df, **given, init_model=model)


def test_a_preset_gives_parameters_that_the_users_own_win_over(classic_spark, table):
    df = classic_spark.createDataFrame(table)
    fast = LightGBM({**PARAMS, "bin_construct_sample_cnt": 3000}, rounds=5, preset="fast")
    model = fast.fit(df, label="label", features=feature_names(table))
    assert model.params["use_quantized_grad"] is True
    assert model.params["bin_construct_sample_cnt"] == 3000
    with pytest.raises(ConfigError, match=r"no preset 'fats'. Did you mean 'fast'"):
        LightGBM(PARAMS, preset="fats")
