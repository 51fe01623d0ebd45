"""LightGBM in a `pyspark.ml.Pipeline`: what it writes is what the model itself says, before and after it was on disk."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.evaluation import BinaryClassificationEvaluator, MulticlassClassificationEvaluator
from pyspark.ml.feature import StringIndexer, VectorAssembler
from pyspark.ml.functions import vector_to_array
from pyspark.sql import functions as sf
from sklearn.datasets import load_diabetes, load_iris

from synml_dagster.errors import ConfigError, DataError, ModelError
from synml_dagster.ml import (
    LightGBMClassificationModel,
    LightGBMClassifier,
    LightGBMRanker,
    LightGBMRegressionModel,
    LightGBMRegressor,
)

SMALL = {"min_data_in_leaf": 3, "num_leaves": 7}


@pytest.fixture(scope="module")
def flowers(classic_spark):
    data = load_iris(as_frame=True).frame.rename(columns=lambda n: n.replace(" (cm)", "").replace(" ", "_"))
    data["kind"] = load_iris().target_names[data.pop("target")]
    return classic_spark.createDataFrame(data).cache()


def stages(label="kind", **more):
    names = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    return [
        StringIndexer(inputCol=label, outputCol="label"),
        VectorAssembler(inputCols=names, outputCol="features"),
        LightGBMClassifier(lightgbm=SMALL, numRounds=15, **more),
    ]


def test_a_classifier_stands_in_a_pipeline_and_survives_the_disk(flowers, tmp_path):
    fitted = Pipeline(stages=stages()).fit(flowers)
    scored = fitted.transform(flowers)
    assert MulticlassClassificationEvaluator(metricName="accuracy").evaluate(scored) > 0.95
    last = fitted.stages[-1]
    assert isinstance(last, LightGBMClassificationModel)
    assert last.numClasses == 3
    rows = scored.select("features", "probability", "rawPrediction", "prediction").collect()
    X = np.array([row["features"].toArray() for row in rows], np.float32)
    np.testing.assert_allclose([r["probability"].toArray() for r in rows], last.model.predict(X), atol=1e-12)
    np.testing.assert_allclose(
        [r["rawPrediction"].toArray() for r in rows], last.model.predict(X, raw_score=True), atol=1e-12
    )
    assert [r["prediction"] for r in rows] == last.model.predict(X).argmax(axis=1).tolist()
    fitted.write().overwrite().save(str(tmp_path / "pipeline"))
    again = PipelineModel.load(str(tmp_path / "pipeline")).transform(flowers)
    assert [r["probability"] for r in again.collect()] == [r["probability"] for r in scored.collect()]


def test_two_classes_have_vectors_of_two(flowers):
    two = flowers.where(sf.col("kind") != "setosa").withColumn("held", sf.rand(1) < 0.3)
    stage = LightGBMClassifier(lightgbm=SMALL, numRounds=30)
    stage.setValidationIndicatorCol("held").setEarlyStoppingRounds(5).setPredictionCol("said")
    fitted = Pipeline(stages=[*stages()[:2], stage]).fit(two)
    assert fitted.stages[-1].model.best_iteration is not None
    scored = fitted.transform(two)
    assert BinaryClassificationEvaluator().evaluate(scored) > 0.9
    row = scored.select(
        vector_to_array("probability").alias("p"), vector_to_array("rawPrediction").alias("r"), "said"
    ).first()
    assert sum(row["p"]) == pytest.approx(1)
    assert row["r"][0] == -row["r"][1]
    assert row["said"] == float(row["p"][1] > 0.5)


def test_a_regressor_takes_weights_and_another_objective_and_its_recipe_is_kept(classic_spark, tmp_path):
    data = load_diabetes(as_frame=True).frame
    data["weight"] = 1.0
    table = classic_spark.createDataFrame(data)
    assembler = VectorAssembler(inputCols=["bmi", "bp", "s5"], outputCol="features")
    stage = LightGBMRegressor(
        labelCol="target", weightCol="weight", lightgbm={"objective": "regression_l1"}, numRounds=20, seed=3
    )
    stage.save(str(tmp_path / "stage"))
    again = LightGBMRegressor.load(str(tmp_path / "stage"))
    assert again.getOrDefault("lightgbm") == {"objective": "regression_l1"}
    one, two = (s.fit(assembler.transform(table)) for s in (stage, again))
    assert one.model.text == two.model.text
    assert one.model.objective == "regression_l1"
    one.save(str(tmp_path / "model"))
    assert LightGBMRegressionModel.load(str(tmp_path / "model")).model.text == one.model.text
    with pytest.raises(ModelError, match="not a LightGBMClassificationModel"):
        LightGBMClassificationModel.load(str(tmp_path / "model"))


def test_a_ranker_keeps_queries(classic_spark):
    rows = [(float(i % 5), i // 5, float(i % 5 // 2)) for i in range(200)]
    table = classic_spark.createDataFrame(rows, "x double, query int, label double")
    table = VectorAssembler(inputCols=["x"], outputCol="features").transform(table)
    fitted = LightGBMRanker(groupCol="query", lightgbm=SMALL, numRounds=5).fit(table)
    scored = fitted.transform(table).groupBy("x").agg(sf.avg("prediction").alias("p")).orderBy("x").collect()
    assert scored[0]["p"] < scored[-1]["p"]


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda s: s.setLightgbm({"num_leafs": 3}), ConfigError, "num_leaves"),
        (lambda s: s.setEarlyStoppingRounds(3), ConfigError, "validationIndicatorCol"),
        (lambda s: s.setLabelCol("nothing"), ConfigError, "no column 'nothing'"),
        (lambda s: s.setLabelCol("half"), DataError, "no whole number"),
        (lambda s: s.setLabelCol("one"), DataError, "nothing to tell apart"),
    ],
)
def test_what_cannot_be_trained_is_said_before(flowers, change, error, says):
    table = Pipeline(stages=stages()[:2]).fit(flowers).transform(flowers)
    table = table.withColumn("half", sf.lit(0.5)).withColumn("one", sf.lit(1.0))
    with pytest.raises(error, match=says):
        change(LightGBMClassifier(lightgbm=SMALL)).fit(table)


def test_columns_of_the_table_are_not_written_over(flowers):
    fitted = Pipeline(stages=stages()).fit(flowers)
    with pytest.raises(ConfigError, match="already has a column 'prediction'"):
        fitted.transform(flowers.withColumn("prediction", sf.lit(0)))
