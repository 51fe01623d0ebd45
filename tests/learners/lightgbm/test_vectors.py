"""One column may hold all features: a vector, dense or sparse, or an array of numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyspark.errors import PySparkException
from pyspark.ml.linalg import DenseVector, SparseVector, Vectors, VectorUDT
from pyspark.sql import functions as sf
from pyspark.sql.types import ArrayType, DoubleType, FloatType, LongType, StructField, StructType

from synml_dagster.errors import DataError
from synml_dagster.learners.lightgbm import LightGBM, LightGBMModel
from synml_dagster.learners.lightgbm.data.blocks import features_of, hashes_of
from tests.learners.lightgbm.tables import binary_table, feature_names

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
    with pytest.raises(PySparkException, match="does not hold 2 values"):
        model.transform(frame(2, 3, 1)).collect()


def test_a_column_of_another_type_is_refused(classic_spark):
    frame = classic_spark.createDataFrame([("a", 1.0, 0.0)], ["word", "number", "label"])
    with pytest.raises(DataError, match="'word' is string"):
        LightGBM(PARAMS).fit(frame, label="label", features="word")
    with pytest.raises(DataError, match=r"features=\['number'\]"):
        LightGBM(PARAMS).fit(frame, label="label", features="number")
    with pytest.raises(DataError, match="no column 'numbr'"):
        LightGBM(PARAMS).fit(frame, label="label", features="numbr")


VECTORS = StructType([StructField("v", VectorUDT()), StructField("label", DoubleType())])


def sparse_table(rows, width, seed=0):
    """Rows of ten words each; which of two words they hold decides the label, mostly."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(rows):
        places = rng.choice(np.arange(2, width), 9, replace=False)
        word = int(rng.integers(0, 2))
        values = {int(p): float(rng.integers(1, 4)) for p in places} | {word: 1.0}
        made.append((SparseVector(width, values), float(word if rng.random() < 0.9 else 1 - word)))
    return made


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_sparse_vector_gives_the_model_of_its_values_in_an_array(spark, ranks):
    rows = sparse_table(800, 60)
    frame = spark.createDataFrame(rows, VECTORS)
    kind = StructType([StructField("v", ArrayType(FloatType())), StructField("label", DoubleType())])
    arrays = spark.createDataFrame([(v.toArray().tolist(), label) for v, label in rows], kind)
    params = PARAMS | {"force_row_wise": True}
    sparse, dense = (
        LightGBM(params, rounds=5, ranks=ranks).fit(df, label="label", features="v") for df in (frame, arrays)
    )
    X = np.stack([v.toArray() for v, _ in rows]).astype(np.float32)
    np.testing.assert_array_equal(sparse.predict(X), dense.predict(X))


def test_the_model_of_hashed_words_does_not_depend_on_the_ranks(classic_spark):
    """As many places as HashingTF makes by default: a row of floats would take a megabyte."""
    width = 1 << 18
    frame = classic_spark.createDataFrame(sparse_table(2000, width), VECTORS).repartition(3)
    held_out = classic_spark.createDataFrame(sparse_table(300, width, seed=1), VECTORS)
    one, two = (
        LightGBM(PARAMS | {"bin_construct_sample_cnt": 1500}, rounds=5, ranks=ranks).fit(
            frame, label="label", features="v", validation=held_out
        )
        for ranks in (1, 2)
    )
    scored = [model.transform(held_out).toPandas() for model in (one, two)]
    np.testing.assert_allclose(scored[0]["probability"], scored[1]["probability"], atol=1e-6)
    assert ((scored[0]["probability"] > 0.5) == (scored[0]["label"] == 1)).mean() > 0.85
    assert len(one.history["validation"]["binary_logloss"]) == 5


def test_sparse_rows_that_repeat_are_sampled_fairly(classic_spark):
    """Rows of one word of twenty: of each there are hundreds, so that their own hashes make no sample."""
    rng = np.random.default_rng(0)
    words = rng.integers(0, 20, 6000)
    rows = [(SparseVector(50, {int(w): 1.0}), float((w < 10) != (rng.random() < 0.1))) for w in words]
    frame = classic_spark.createDataFrame(rows, VECTORS)
    params = PARAMS | {"bin_construct_sample_cnt": 1000, "min_data_in_bin": 1}
    one, two = (
        LightGBM(params, rounds=5, ranks=ranks).fit(frame, label="label", features="v") for ranks in (1, 2)
    )
    X = np.eye(50, dtype=np.float32)[:20]
    np.testing.assert_allclose(one.predict(X), two.predict(X), atol=1e-6)
    assert ((one.predict(X) > 0.5) == (np.arange(20) < 10)).all()


def test_groups_of_sparse_rows_are_brought_together(classic_spark):
    kind = StructType([*VECTORS.fields, StructField("query", LongType())])
    rows = [(*row, i % 40) for i, row in enumerate(sparse_table(800, 60))]
    frame = classic_spark.createDataFrame(rows, kind)
    ranked = LightGBM({"objective": "lambdarank", "min_data_in_leaf": 5, "verbosity": -1}, rounds=5).fit(
        frame, label="label", features="v", group="query"
    )
    scored = ranked.transform(frame).toPandas()
    means = scored.groupby("label")["prediction"].mean()
    assert means[1.0] > means[0.0]


@pytest.mark.parametrize("objective", ["binary", "multiclass"])
def test_outputs_of_sparse_rows_are_those_of_lightgbm(classic_spark, objective):
    rows = sparse_table(400, 60)
    frame = classic_spark.createDataFrame(rows, VECTORS).coalesce(1)
    model = LightGBM(PARAMS | {"objective": objective}, rounds=3).fit(frame, label="label", features="v")
    scored = model.transform(frame, outputs=("raw_score", "leaf_indices", "shap"), keep=[]).toPandas()
    X = np.stack([v.toArray() for v, _ in rows]).astype(np.float32)
    for name, asked in {
        "raw_score": "raw_score",
        "leaf_indices": "pred_leaf",
        "shap": "pred_contrib",
    }.items():
        expected = model.booster.predict(X, **{asked: True})
        np.testing.assert_allclose(np.stack(scored[name]).reshape(expected.shape), expected, atol=1e-12)


def test_vectors_are_read_as_their_values(classic_spark):
    rows = [
        (SparseVector(4, {1: 2.0, 3: float("nan")}),),
        (DenseVector([0.0, 2.0, 0.0, float("nan")]),),
        (None,),
        (SparseVector(4, {}),),
        (SparseVector(4, {0: 0.0, 2: 1e300}),),
    ]
    frame = classic_spark.createDataFrame(rows, StructType(VECTORS.fields[:1])).coalesce(1)

    def read(batches):
        for batch in batches:
            block = features_of(batch.column(0), 4)
            yield pa.RecordBatch.from_pydict(
                {"x": block.toarray().astype(float).tolist(), "hash": hashes_of(block)}
            )

    read_back = frame.mapInArrow(read, "x array<double>, hash long").collect()
    nan = np.nan
    expected = [[0, 2, 0, nan], [0, 2, 0, nan], [nan] * 4, [0] * 4, [0, 0, np.inf, 0]]
    np.testing.assert_array_equal([row["x"] for row in read_back], expected)
    hashes = [row["hash"] for row in read_back]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 4
