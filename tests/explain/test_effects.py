"""ICE, partial dependence, accumulated local effects and permutation importance: equal to scikit-learn's, and to their definitions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.inspection import partial_dependence as sklearn_dependence
from sklearn.inspection import permutation_importance as sklearn_importance

from synml_dagster.errors import ConfigError, DataError, ModelError
from synml_dagster.explain.effects import (
    accumulated_local_effects,
    partial_dependence,
    permutation_importance,
)
from synml_dagster.explain.effects.grid import sampled

NAMES = ["x", "y.z", "n"]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"x": rng.normal(size=400), "y.z": rng.normal(size=400), "n": rng.integers(0, 4, 400)}
    )
    frame["label"] = (frame["x"] * frame["y.z"] + frame["n"] + rng.normal(size=400) > 1.5).astype(int)
    return frame


@pytest.fixture(scope="module")
def fitted(table):
    return GradientBoostingClassifier(n_estimators=15, random_state=0).fit(table[NAMES], table["label"])


@pytest.fixture(scope="module")
def model(fitted):
    return lambda rows: fitted.predict_proba(rows[NAMES])[:, 1]


def test_dependence_is_scikit_learn_s(classic_spark, table, fitted, model):
    grid = {"x": [-1.5, -0.3, 0.4, 2.0], "n": [0, 1, 3]}
    one, two, both = partial_dependence(
        classic_spark.createDataFrame(table[NAMES]),
        model,
        ["x", "n", ("x", "n")],
        grid=grid,
        curves=30,
        takes="pandas",
    )
    floats = table[NAMES].astype(float)  # scikit-learn refuses whole numbers
    given = {"method": "brute", "response_method": "predict_proba", "kind": "average"}
    for found, column in ((one, "x"), (two, "n")):
        theirs = sklearn_dependence(
            fitted, floats, [column], custom_values={column: np.array(grid[column])}, **given
        )
        np.testing.assert_allclose(found.mean[:, 0], theirs["average"][0], atol=1e-6)
        np.testing.assert_array_equal(found.grid[0], theirs["grid_values"][0])
    values = {name: np.array(steps) for name, steps in grid.items()}
    theirs = sklearn_dependence(fitted, floats, ["x", "n"], custom_values=values, **given)
    np.testing.assert_allclose(both.mean[..., 0], theirs["average"][0], atol=1e-6)
    assert one.rows == 400
    assert len(both.to_pandas()) == 12
    rows = one.curve_rows.to_pandas().astype(float)
    each = sklearn_dependence(
        fitted, rows, ["x"], custom_values={"x": values["x"]}, **given | {"kind": "individual"}
    )
    np.testing.assert_allclose(one.curves[:, :, 0], each["individual"][0], atol=1e-6)
    whole = sklearn_dependence(
        fitted, floats, ["x"], custom_values={"x": values["x"]}, **given | {"kind": "individual"}
    )["individual"][0]
    np.testing.assert_allclose(one.deviation[:, 0], whole.std(0), atol=1e-6)
    assert both.curves is None


def test_grids_are_steps_of_numbers_and_the_commonest_words(classic_spark):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "a": rng.normal(size=300),
            "k": rng.integers(0, 1000, 300),
            "w": rng.choice(list("abcde"), 300, p=[0.4, 0.3, 0.2, 0.06, 0.04]),
        }
    )

    def model(rows):
        return rows["a"] + rows["k"] + (rows["w"] == "b") * 2.0

    a, k, w = partial_dependence(
        classic_spark.createDataFrame(frame), model, ["a", "k", "w"], points=3, takes="pandas"
    )
    assert a.grid[0] == pytest.approx(np.linspace(*np.quantile(frame["a"], [0.05, 0.95]), 3))
    assert all(isinstance(value, int) for value in k.grid[0])
    assert w.grid[0] == ["a", "b", "c"]
    assert w.mean[1, 0] - w.mean[0, 0] == pytest.approx(2)


def test_importance_is_scikit_learn_s(spark, table, fitted, model):
    df = spark.createDataFrame(table)
    found = permutation_importance(
        df, model, "label", metric="auc", features=NAMES, repeats=4, seed=7, takes="pandas"
    )
    rows = sampled(df, [*table.columns]).to_pandas()  # the order in which rows are shuffled
    theirs = sklearn_importance(
        fitted, rows[NAMES], rows["label"], scoring="roc_auc", n_repeats=4, random_state=7
    )
    expected = dict(zip(NAMES, theirs["importances"], strict=True))
    for column, losses in zip(found.columns, found.losses, strict=True):
        np.testing.assert_allclose(losses, expected[column], atol=1e-6)
    assert list(found.mean) == sorted(found.mean, key=found.mean.get, reverse=True)
    assert (found.rows, found.of_rows) == (400, 400)
    again = permutation_importance(
        df.repartition(3), model, "label", metric="auc", features=NAMES, repeats=4, seed=7, takes="pandas"
    )
    np.testing.assert_array_equal(again.losses, found.losses)


def test_importance_by_errors_grows_with_them(classic_spark):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(300, 3)), columns=["a", "b", "c"])
    frame["y"] = 3 * frame["a"] + frame["b"]
    found = permutation_importance(
        classic_spark.createDataFrame(frame),
        lambda r: 3 * r["a"] + r["b"],
        "y",
        metric="rmse",
        features=["a", "b", "c"],
        takes="pandas",
        rows=200,
    )
    assert found.columns == ["a", "b", "c"]
    assert found.baseline == pytest.approx(0, abs=1e-12)
    assert found.mean["c"] == 0
    assert found.mean["a"] == pytest.approx(3 * found.mean["b"], rel=0.25)
    assert found.rows == 200
    assert repr(found).startswith("PermutationImportance(rmse")


def test_accumulated_effects_are_those_of_a_sum(spark):
    """Columns that go together: partial dependence is led astray by the product, these are not."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=500)
    frame = pd.DataFrame({"a": a, "b": a + 0.1 * rng.normal(size=500), "k": rng.integers(0, 6, 500)})
    frame.loc[:9, "b"] = np.nan

    def model(rows):
        return 2 * rows["a"] + np.where(rows["b"].isna(), 0, rows["b"] ** 2) + rows["k"]

    found = accumulated_local_effects(
        spark.createDataFrame(frame), model, ["a", "b", "k"], bins=10, takes="pandas"
    )
    a, b, k = found
    np.testing.assert_allclose(np.diff(a.effect[:, 0]), 2 * np.diff(a.edges), atol=1e-9)
    np.testing.assert_allclose(np.diff(b.effect[:, 0]), np.diff(b.edges**2), atol=1e-9)
    np.testing.assert_allclose(np.diff(k.effect[:, 0]), np.diff(k.edges), atol=1e-9)
    for one, rows in zip(found, (500, 490, 500), strict=True):
        assert one.rows.sum() == rows
        middle = (one.effect[1:, 0] + one.effect[:-1, 0]) / 2
        assert (one.rows * middle).sum() == pytest.approx(0, abs=1e-6)
    assert len(a.to_pandas()) == len(a.edges)


@pytest.mark.parametrize(
    ("ask", "error", "said"),
    [
        (
            lambda d, m: partial_dependence(d, m, ["xx"], takes="pandas"),
            ConfigError,
            "'xx'. Did you mean 'x'",
        ),
        (lambda d, m: partial_dependence(d, m, [], takes="pandas"), ConfigError, "at least one"),
        (lambda d, m: partial_dependence(d, m, [("x", "x")], takes="pandas"), ConfigError, "nor a pair"),
        (lambda d, m: partial_dependence(d, m, ["x"], points=1, takes="pandas"), ConfigError, "at least 2"),
        (
            lambda d, m: partial_dependence(d, m, ["n"], grid={"n": ["a"]}, takes="pandas"),
            ConfigError,
            "of its type",
        ),
        (lambda d, m: partial_dependence(d.limit(0), m, ["x"], takes="pandas"), DataError, "empty"),
        (
            lambda d, m: permutation_importance(d, m, "lable", metric="auc", takes="pandas"),
            ConfigError,
            "Did you mean 'label'",
        ),
        (
            lambda d, m: permutation_importance(d, m, "label", metric="acc", takes="pandas"),
            ConfigError,
            "Did you mean 'auc' or 'accuracy'",
        ),
        (
            lambda d, m: permutation_importance(
                d, lambda r: r["x"] * 9, "label", metric="auc", takes="pandas"
            ),
            DataError,
            "is of probabilities",
        ),
        (
            lambda d, m: accumulated_local_effects(d.selectExpr("'w' AS w"), m, ["w"], takes="pandas"),
            ConfigError,
            "need numbers",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused(classic_spark, table, model, ask, error, said):
    with pytest.raises(error, match=said):
        ask(classic_spark.createDataFrame(table), model)


@pytest.mark.parametrize(
    ("function", "said", "kind"),
    [
        (lambda rows: rows["nope"], r"function failed on \d+ rows: KeyError: 'nope'", ModelError),
        (lambda rows: ["a"] * len(rows), "must return numbers", ModelError),
        (lambda rows: [1.0], r"answered 1 rows where it was asked \d+", DataError),
        (lambda rows: rows["x"] / 0 * 0, "missing or infinite for", DataError),
    ],
)
def test_faults_of_a_function_are_told_in_one_sentence_from_tasks_too(
    classic_spark, table, function, said, kind
):
    with pytest.raises(kind, match=said):
        partial_dependence(
            classic_spark.createDataFrame(table[["x"]].head(40)), function, ["x"], points=2, takes="pandas"
        )
