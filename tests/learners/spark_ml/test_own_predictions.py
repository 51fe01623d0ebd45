"""What a model of pyspark.ml answers after Spark is gone is what Spark itself answers, on hard rows, too."""

from __future__ import annotations

import logging

import numpy as np
import pyarrow as pa
import pytest

from synml_dagster.errors import ConfigError, DataError, SetupError, TrainingError
from synml_dagster.export import model_to_onnx
from synml_dagster.features import SPLIT, assemble, fit_plan
from synml_dagster.learners import TrainSpec, TreeEnsemble, learner_of
from synml_dagster.learners.one_process.design import Design
from synml_dagster.learners.one_process.rows import Rows, read_rows
from synml_dagster.learners.spark_linear import learner as spark_linear
from synml_dagster.learners.spark_ml import ensemble, linear, rows, session, trees
from synml_dagster.onnx import OnnxModel, Scorer
from synml_dagster.tables import publish_table

slow_on_connect = True


def table_of(spark, folder, task):
    """Numbers and categories with gaps, where missing means something, and weights, some of them 0."""
    rng = np.random.default_rng(4)
    n = 900
    x, z = rng.normal(size=n), rng.integers(0, 6, n).astype(float)
    colour = rng.choice(["red", "green", "blue", "grey"], n, p=[0.5, 0.3, 0.15, 0.05])
    gone, bare = rng.random(n) < 0.15, rng.random(n) < 0.1
    score = x + 2 * gone + (colour == "green") - 1.5 * bare + np.sin(z) + rng.normal(0, 0.3, n)
    label = {
        "binary": np.where(score > 0.8, "yes", "no"),
        "multiclass": np.array(["low", "middle", "high"])[np.digitize(score, [0, 1.5])],
        "regression": 5000 + score,
    }[task]
    raw = spark.createDataFrame(
        pa.table(
            {
                "x": pa.array(x, mask=gone),
                "z": z,
                "colour": pa.array(colour, mask=bare),
                "w": np.where(rng.random(n) < 0.1, 0.0, rng.uniform(0.5, 2, n)),
                "y": label,
            }
        )
    )
    plan = fit_plan(raw, name="own", label="y", task=task, weight="w")
    table = publish_table(assemble(raw, plan), str(folder), partition_by=[SPLIT])
    return plan, [table.files(**{SPLIT: s}) for s in ("train", "validation")]


def hard_rows(X, form, categorical):
    """Rows with every value of a split, and its neighbours, in place of their own; every code, a new one, none; no number."""
    values = [{np.nan, -3.4e38, 3.4e38, 0.0} for _ in range(X.shape[1])]
    if isinstance(form, TreeEnsemble):
        for tree in form.trees:
            for feature, at, by_code in zip(
                tree.split_feature, tree.threshold.astype(np.float32), tree.is_categorical, strict=True
            ):
                if not by_code:
                    up, down = (np.nextafter(at, np.float32(end)) for end in (np.inf, -np.inf))
                    values[feature] |= {float(at), float(up), float(down)}
    for i in categorical:
        values[i] = {np.nan, 0.0, 1.0, 2.0, 3.0, 4.0}
    made = [X[:100]]
    for i, some in enumerate(values):
        block = np.repeat(X[:1], len(some), axis=0)
        block[:, i] = sorted(some)
        made.append(block)
    return np.concatenate(made).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "task", "params"),
    [
        ("spark_random_forest", "multiclass", {"numTrees": 3, "maxDepth": 5, "subsamplingRate": 0.8}),
        ("spark_gbt", "binary", {"maxIter": 3, "stepSize": 0.5, "maxDepth": 4}),
        ("spark_linear", "binary", {}),
        pytest.param("spark_gbt", "regression", {"maxIter": 4, "maxDepth": 4}, marks=pytest.mark.slow),
        pytest.param("spark_random_forest", "binary", {"numTrees": 4}, marks=pytest.mark.slow),
        pytest.param("spark_random_forest", "regression", {"numTrees": 4}, marks=pytest.mark.slow),
        pytest.param("spark_linear", "multiclass", {"elasticNetParam": 0.5}, marks=pytest.mark.slow),
        pytest.param("spark_linear", "regression", {"regParam": 0.0}, marks=pytest.mark.slow),
    ],
)
def test_answers_are_those_of_pyspark_ml(spark, tmp_path, monkeypatch, name, task, params):
    plan, files = table_of(spark, tmp_path, task)
    family, spec = learner_of(name), TrainSpec(learner=name, params=params)
    caught = keep_spark_models(monkeypatch, family)
    model = family.fit(spark, plan, spec, {}, *files)
    own = caught[-1]
    if name == "spark_linear" and task != "regression":
        # A model that was trained here keeps its summary, and with it a session that Spark cannot always send to a task.
        own.write().save(str(tmp_path / "own"))
        own = type(own).load(str(tmp_path / "own"))
    categorical = [plan.feature_names.index(c) for c in plan.categorical_features]
    assert categorical
    X = hard_rows(read_rows(spark, files[1], plan.feature_names).X, model.form, categorical)

    frame = spark.createDataFrame(
        pa.table({**{f"c{i}": X[:, i].astype(float) for i in range(X.shape[1])}, "n": np.arange(len(X))})
    )
    frame = frame.selectExpr("*", "0.0 as label", "1.0 as weight").coalesce(1).sort("n")
    data = rows.from_files(spark, files[0], plan.feature_names, plan.categorical_features, task)
    if name == "spark_linear":
        design, _ = linear.design_of(data)
        some = rows.TrainingRows(frame, data.features, data.codes, len(X), ())
        vectors = linear.vectors(some, design)
    else:
        vectors = trees.vectors(frame, data.features, data.codes, 0)
    told = own.transform(vectors).toPandas()
    if task == "regression":
        mean = caught[0] if name == "spark_linear" else model.label_offset
        expected = told["prediction"].to_numpy() + mean
    else:
        expected = np.array([v.toArray() for v in told["probability"]])
        expected = expected[:, 1] if task == "binary" else expected
    found = model.predict(X)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * max(1.0, np.abs(expected).max()))

    graph = Scorer(OnnxModel(model_to_onnx(model)))
    scored = graph.score({"features": X})
    column = "prediction" if task == "regression" else "probability"
    answers = np.array(scored.column(column).to_pylist(), np.float64).reshape(len(X), -1)
    answers = answers[:, -1] if task != "multiclass" else answers
    np.testing.assert_allclose(answers, found, rtol=1e-6, atol=1e-6)


def keep_spark_models(monkeypatch, family):
    """Return a list that the models which Spark trains are put into; of a linear regression the label's mean first."""
    caught = []
    if family.name == "spark_linear":
        logistic, least_squares = spark_linear._logistic, spark_linear._least_squares

        def logistic_kept(*given):
            caught.append(logistic(*given))
            return caught[-1]

        def least_squares_kept(*given):
            fitted, middle = least_squares(*given)
            caught.extend([middle, fitted])
            return fitted, middle

        monkeypatch.setattr(spark_linear, "_logistic", logistic_kept)
        monkeypatch.setattr(spark_linear, "_least_squares", least_squares_kept)
        return caught
    made = type(family).estimator

    class Keeping:
        def __init__(self, estimator):
            self.estimator = estimator

        def fit(self, data):
            caught.append(self.estimator.fit(data))
            return caught[-1]

    monkeypatch.setattr(type(family), "estimator", lambda self, *given: Keeping(made(self, *given)))
    return caught


def test_the_design_of_a_table_is_that_of_its_rows_in_memory(classic_spark, tmp_path):
    plan, (files, _) = table_of(classic_spark, tmp_path, "binary")
    memory = read_rows(classic_spark, files, plan.feature_names)
    categorical = {plan.feature_names.index(c) for c in plan.categorical_features}
    data = rows.from_files(classic_spark, files, plan.feature_names, plan.categorical_features, "binary")
    assert data.rows == (memory.weight > 0).sum()
    found, shares = linear.design_of(data)
    wanted = Design.of(memory.X[memory.weight > 0], memory.weight[memory.weight > 0], categorical)
    np.testing.assert_array_equal(found.numeric, wanted.numeric)
    np.testing.assert_array_equal(found.flagged, wanted.flagged)
    np.testing.assert_allclose(found.mean, wanted.mean, rtol=1e-12)
    np.testing.assert_allclose(found.spread, wanted.spread, rtol=1e-12)
    assert set(zip(wanted.category_feature, wanted.category_code, strict=True)) <= set(
        zip(found.category_feature, found.category_code, strict=True)
    )
    gone = ~np.isfinite(memory.X)
    np.testing.assert_allclose(shares.gone, np.average(gone, axis=0, weights=memory.weight), atol=1e-12)


def test_a_session_that_trains_none_of_these_models_is_refused_before_the_work():
    class Remote:
        __module__ = "pyspark.sql.connect.session"
        version = "3.5.4"

    with pytest.raises(SetupError, match=r"runs Spark 3\.5\.4, and pyspark\.ml works on Connect from 4\.0"):
        session.check_session(Remote(), "spark_gbt")
    turned_off = Remote()
    turned_off.version = "4.1.0"
    turned_off.conf = {"spark.connect.session.connectML.enabled": "false"}
    with pytest.raises(SetupError, match=r"connectML\.enabled is false"):
        session.check_session(turned_off, "spark_gbt")


def test_a_model_that_spark_cut_short_is_no_model():
    with pytest.raises(TrainingError, match="stopped before the model was whole"), session.clear_errors("f"):
        logging.getLogger("pyspark.ml.util").warning(
            "The random forest training stops early because the model size (9) exceeds the threshold (8)."
        )
    found = trees.SavedTrees([{"left": np.array([-1])}], [], [], [], [1.0])
    with pytest.raises(TrainingError, match="1 of 20 trees"):
        learner_of("spark_gbt").check_whole(found, {"maxIter": 20})


def test_what_says_nothing_to_these_families_is_refused():
    with pytest.raises(ValueError, match=r"params\.maxIter says how many trees"):
        TrainSpec(learner="spark_gbt", rounds=10)
    with pytest.raises(ConfigError, match="does not learn task multiclass"):
        learner_of("spark_gbt").check_task("multiclass")
    with pytest.raises(ValueError, match="Did you mean 'maxDepth'"):
        TrainSpec(learner="spark_random_forest", params={"maxDept": 3})
    assert TrainSpec(learner="spark_gbt", params={"learning_rate": 0.2}).params == {"stepSize": 0.2}
    with pytest.raises(ValueError, match=r"0 up to 1|from 0 to 1"):
        TrainSpec(learner="spark_linear", params={"elasticNetParam": 2})
    with pytest.raises(ConfigError, match="'gini' does not go with task 'regression'"):
        ensemble.check_criterion("gini", ("variance",), "regression", "price")


def test_rows_of_one_class_are_refused(classic_spark):
    frame = classic_spark.createDataFrame(
        pa.table({"c0": [1.0, 2.0], "label": [1.0, 1.0], "weight": [1.0, 1.0]})
    )
    with pytest.raises(DataError, match="one class"):
        rows._looked_at(frame, 2, ["a"], set(), "binary")


def test_a_number_that_is_one_value_where_it_is_known_is_no_column(classic_spark):
    rng = np.random.default_rng(0)
    X = np.full((500, 2), 7.0, np.float32)
    X[rng.random(500) < 0.3, 0] = np.nan
    X[:, 1] = rng.normal(size=500)
    given = Rows(X, (X[:, 1] > 0).astype(float), rng.random(500), of=500)
    data = rows.from_memory(classic_spark, given, ["a", "b"], [], "binary")
    assert linear.design_of(data)[0].numeric.tolist() == [1]
