"""A saved model opened by LightGBM alone has the columns' names."""

from __future__ import annotations

import lightgbm as lgb
import numpy as np
import pandas as pd

from synml_dagster.learners.lightgbm import LightGBM


def test_the_saved_text_has_the_columns_names_and_the_same_predictions(classic_spark, tmp_path):
    random = np.random.default_rng(3)
    names = ["mean area", "mean_area", "größe", 'a:b,"c"', "plain"]
    table = pd.DataFrame(random.normal(size=(400, 5)).astype("float32"), columns=names)
    X = table.to_numpy()
    table["y"] = (X[:, 0] + X[:, 2] - X[:, 3] > 0).astype(int)
    model = LightGBM({"objective": "binary", "num_leaves": 7}, rounds=10).fit(
        classic_spark.createDataFrame(table), label="y", features=names
    )
    (tmp_path / "model").mkdir(exist_ok=True)
    model.save(tmp_path / "model")
    theirs = lgb.Booster(model_file=str(tmp_path / "model" / "booster.txt"))
    assert theirs.feature_name() == ["mean_area", "mean_area_2", "größe", "a_b_c_", "plain"]
    assert np.array_equal(theirs.predict(X), model.predict(X))
    assert model.features == names
    assert set(model.importance()) == set(names)
    text = (tmp_path / "model" / "booster.txt").read_text(encoding="utf-8")
    assert "Column_" not in text
    assert "\ngröße=" in text.partition("feature_importances:")[2]
