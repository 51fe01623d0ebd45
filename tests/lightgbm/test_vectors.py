"""One column may hold all features: a vector, dense or sparse, or an array of numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pyspark.ml.linalg import SparseVector, Vectors
from pyspark.sql import functions as sf

from synml_dagster.errors import DataError
from synml_dagster.lightgbm import LightGBM, LightGBMModel
from tests.lightgbm.tables import binary_table, feature_names

PARAMS = {"objective": "binary", "num_leaves": 7, "min_data_in_leaf": 5}


@pytest.mark.parametrize("ranks", [1, 2])
def test_an_array_is_learned_from_as_its_values_in_columns(spark, tmp_path, ranks):
    table = binary_table(1500)
    names = feature_names(table)
    table.loc[::5, "x1"] = np.nan
    frame = spark.createDataFrame(table)
    arrays = frame.select("label", "held_out", sf.array(*names).alias("the.features"))
    columns = LightGBM(PARAMS, rounds=5, ranks=ranks).fit(
        frame, label="label", features=names, validation="held_out"
    )
    fitted = LightGBM(PARAMS, rounds=5, ranks=ranks).fit(
        arrays, label="label", features="the.features", validation="held_out"
    )
    X = table[names].to_numpy(np.float32)
    np.testing.assert_array_equal(fitted.predict(X), columns.predict(X))
    assert fitted.features == [f"the.features_{i}" for i in range(6)]
    fitted.save(tmp_path)
    scored = LightGBMModel.load(tmp_path).transform(arrays, keep=["label"]).toPandas()
    np.testing.assert_allclose(np.sort(scored["probability"]), np.sort(fitted.predict(X)))


@pytest.fixture(scope="module")
def words():
    """Rows of a vocabulary of 3000 words, a few of them in each row; two words decide."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(600):
        places = np.sort(rng.choice(3000, 20, replace=False))
        places[0] = rng.integers(0, 2) * 5
        rows.append((SparseVector(3000, {int(p): 1.0 for p in places}), float(places[0] == 5)))
    return rows


def test_sparse_vectors_are_learned_from(spark, words):
    frame = spark.createDataFrame(words, ["features", "label"])
    model = LightGBM(PARAMS, rounds=5).fit(frame, label="label", features="features")
    scored = model.transform(frame).toPandas()
    assert ((scored["probability"] > 0.5) == (scored["label"] == 1)).all()
    assert next(iter(model.feature_importance())) in ("features_0", "features_5")
    missing = frame.limit(1).select(sf.when(sf.lit(False), sf.col("features")).alias("features"))
    assert model.transform(missing).count() == 1


def test_rows_of_another_length_are_refused(classic_spark):
    def frame(*sizes):
        return classic_spark.createDataFrame(
            [(Vectors.dense([1.0] * n), 1.0 * (i % 2)) for i, n in enumerate(sizes)], ["v", "label"]
        )

    with pytest.raises(DataError, match="hold from 2 to 3 values"):
        LightGBM(PARAMS).fit(frame(2, 3, 2), label="label", features="v")
    with pytest.raises(DataError, match="3 values in data and 2 in validation"):
        LightGBM(PARAMS).fit(frame(3, 3), label="label", features="v", validation=frame(2, 2))
    even = classic_spark.createDataFrame(
        pd.DataFrame({"v": [[float(i), 1.0] for i in range(50)], "label": [i % 2 for i in range(50)]})
    )
    model = LightGBM(PARAMS, rounds=2).fit(even, label="label", features="v")
    with pytest.raises(Exception, match="does not hold 2 values"):
        model.transform(frame(2, 3, 1)).collect()


def test_a_column_of_another_type_is_refused(classic_spark):
    frame = classic_spark.createDataFrame([("a", 1.0, 0.0)], ["word", "number", "label"])
    with pytest.raises(DataError, match="'word' is string"):
        LightGBM(PARAMS).fit(frame, label="label", features="word")
    with pytest.raises(DataError, match=r"features=\['number'\]"):
        LightGBM(PARAMS).fit(frame, label="label", features="number")
    with pytest.raises(DataError, match="no column 'numbr'"):
        LightGBM(PARAMS).fit(frame, label="label", features="numbr")
