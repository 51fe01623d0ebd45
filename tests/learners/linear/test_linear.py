"""The linear learner against scikit-learn's own pipelines, and at the ends of what it takes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from synml_dagster import MLPipeline
from synml_dagster.errors import DataError
from synml_dagster.features import LABEL, WEIGHT
from synml_dagster.learners import TrainSpec
from synml_dagster.learners.linear.fitting import _classification, _regression
from synml_dagster.learners.link import Link
from synml_dagster.learners.one_process.design import Design
from synml_dagster.learners.one_process.rows import Rows, read_rows
from synml_dagster.tables import publish_table

PARAMS = {"alpha": 1e-3, "l1_ratio": 0.0, "max_iter": 5000}


def rows_of(task, n=500, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal([0, 50, 1e4], [1, 10, 1e3], (n, 3)).astype(np.float32)
    score = X[:, 0] + (X[:, 1] - 50) / 10 - (X[:, 2] - 1e4) / 1e3 + rng.normal(size=n)
    y = (
        score
        if task == "regression"
        else (score > 0).astype(float)
        if task == "binary"
        else np.digitize(score, [-1, 1])
    )
    return Rows(X, y.astype(float), rng.uniform(0.5, 2, n), n)


def form_of(rows, fit, *more, link=None, params=PARAMS, categorical=()):
    design = Design.of(rows.X, rows.weight, categorical)
    intercept, coefficients = fit(design.columns(rows.X), rows, params, *more, 0)
    return design.form(intercept, coefficients, rows.X, rows.weight, link or Link(), bool(more))[0]


def scaled(rows):
    from sklearn.preprocessing import StandardScaler

    return (
        StandardScaler()
        .fit(rows.X.astype(np.float64), sample_weight=rows.weight)
        .transform(rows.X.astype(np.float64))
    )


def test_a_regression_is_scikit_learns_ridge_on_scaled_columns():
    from sklearn.linear_model import Ridge

    rows = rows_of("regression")
    theirs = Ridge(alpha=PARAMS["alpha"] * rows.weight.sum()).fit(scaled(rows), rows.y, rows.weight)
    ours = form_of(rows, _regression)
    np.testing.assert_allclose(
        ours.raw_scores(rows.X)[:, 0], theirs.predict(scaled(rows)), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize(("task", "classes"), [("binary", 2), ("multiclass", 3)])
def test_a_classifier_is_scikit_learns_on_scaled_columns(task, classes):
    from sklearn.linear_model import LogisticRegression

    rows = rows_of(task)
    link = Link("logistic" if classes == 2 else "softmax")
    theirs = LogisticRegression(C=1 / (PARAMS["alpha"] * rows.weight.sum()), max_iter=5000)
    theirs.fit(scaled(rows), rows.y, rows.weight)
    ours = link.apply(form_of(rows, _classification, classes, link=link).raw_scores(rows.X))
    expected = theirs.predict_proba(scaled(rows))
    np.testing.assert_allclose(ours[:, -1], expected[:, -1], atol=1e-6)


def test_a_penalty_of_sizes_takes_columns_out():
    rows = rows_of("regression")
    noise = np.random.default_rng(9).normal(size=(500, 1)).astype(np.float32)
    rows = Rows(np.hstack([rows.X, noise]), rows.y, rows.weight, rows.of)
    form = form_of(rows, _regression, params=PARAMS | {"alpha": 0.2, "l1_ratio": 1.0})
    assert form.slope[3, 0] == 0
    assert (form.slope[:3, 0] != 0).all()


@pytest.mark.parametrize("categories", [5, 400])
def test_a_category_has_a_term_of_its_own_and_an_unseen_one_none(categories):
    rng = np.random.default_rng(0)
    code = rng.integers(0, categories, 4000).astype(np.float32)
    effect = rng.normal(size=categories)
    code[:40] = np.nan
    y = np.where(np.isnan(code), 5.0, effect[np.nan_to_num(code).astype(int)])
    rows = Rows(code[:, None], y, np.ones(4000), 4000)
    form = form_of(rows, _regression, params=PARAMS | {"alpha": 1e-7}, categorical={0})
    seen = np.unique(code[~np.isnan(code)])
    found = form.raw_scores(np.r_[seen, np.nan].astype(np.float32)[:, None])[:, 0]
    np.testing.assert_allclose(found, np.r_[effect[seen.astype(int)], 5.0], atol=0.02)
    assert form.raw_scores(np.array([[categories + 3]], np.float32))[0, 0] == pytest.approx(form.intercept[0])


def test_a_class_that_no_training_row_has_is_never_the_answer():
    rows = rows_of("binary")
    link = Link("softmax")
    form = form_of(rows, _classification, 3, link=link)
    answers = link.apply(form.raw_scores(rows.X))
    assert answers[:, 2].max() < 1e-10
    assert (answers.argmax(1) == rows.y).mean() > 0.8
    with pytest.raises(DataError, match="have one class"):
        form_of(Rows(rows.X, np.zeros(500), rows.weight, 500), _classification, 2)


def test_a_large_table_is_sampled_by_its_content(classic_spark, tmp_path):
    frame = pd.DataFrame({"a.b": np.arange(20_000, dtype=np.float32), LABEL: 1.0, WEIGHT: 2.0})
    some = publish_table(classic_spark.createDataFrame(frame), str(tmp_path / "a")).files()
    other = publish_table(classic_spark.createDataFrame(frame).repartition(5), str(tmp_path / "b")).files()
    read = [read_rows(classic_spark, files, ["a.b"], most_values=2000) for files in (some, other)]
    assert read[0].of == 20_000
    assert 1500 < len(read[0].y) < 2500
    assert sorted(read[0].X[:, 0]) == sorted(read[1].X[:, 0])
    assert len(read_rows(classic_spark, some, ["a.b"]).y) == 20_000


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"rounds": 10}, "rounds does not go with learner linear"),
        ({"ranks": 2}, "trained in one process"),
        ({"params": {"alhpa": 1}}, "Did you mean 'alpha'"),
        ({"params": {"alpha": 0}}, "params.alpha is a number from 0"),
        ({"params": {"l1_ratio": 2}}, "params.l1_ratio is a number from 0 to 1"),
    ],
)
def test_what_a_linear_model_does_not_take_is_refused(train, message):
    with pytest.raises(ValueError, match=message):
        TrainSpec(learner="linear", **train)


def test_a_task_that_it_does_not_learn_is_refused_with_the_description():
    with pytest.raises(ValueError, match="linear does not learn task ranking"):
        MLPipeline(
            name="p", source="a.csv", label="y", task="ranking", group="q", train={"learner": "linear"}
        )
    with pytest.raises(ValueError, match=r"there is no learner 'liner'.*Did you mean 'linear'"):
        MLPipeline(name="p", source="a.csv", label="y", train={"learner": "liner"})


def test_a_number_that_is_one_value_where_it_is_known_is_no_column_whatever_rows_weigh():
    rng = np.random.default_rng(0)
    X = np.full((500, 3), 7.0, np.float32)
    X[rng.random(500) < 0.3, 0] = np.nan
    X[:, 1] = rng.normal(size=500)
    X[3, 2] = 9.0
    weight = rng.random(500)
    weight[3] = 0.0  # a row that weighs nothing says nothing
    design = Design.of(X, weight, ())
    assert design.numeric.tolist() == [1]
    assert design.flagged.tolist() == [0]
