"""Kernel SHAP: Shapley values by their definition on random games, the shap package, the protocol's contract, and players of all kinds."""

from __future__ import annotations

from itertools import combinations, permutations
from math import factorial

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from synml_dagster.errors import ConfigError, DataError, ModelError
from synml_dagster.explain import Background, KernelExplainer, explain_rows, explain_with
from synml_dagster.explain.agnostic.coalitions import coalitions, default_budget
from synml_dagster.explain.agnostic.games import FunctionGame, MatrixGame, tokens
from synml_dagster.explain.agnostic.kernel_shap import shapley_values
from synml_dagster.explain.base import explainer_for
from synml_dagster.learners import Link
from synml_dagster.testing import ExplainerContract


def number_of(masks: np.ndarray) -> np.ndarray:
    return masks.astype(np.int64) @ (1 << np.arange(masks.shape[1]))


def by_definition(worth: np.ndarray, players: int) -> np.ndarray:
    """The Shapley values of a game given as a table by bit pattern."""
    found = np.zeros(players)
    for i in range(players):
        others = [j for j in range(players) if j != i]
        for size in range(players):
            weight = factorial(size) * factorial(players - size - 1) / factorial(players)
            for known in combinations(others, size):
                without = sum(1 << j for j in known)
                found[i] += weight * (worth[without | 1 << i] - worth[without])
    return found


@pytest.mark.parametrize("players", [1, 2, 3, 5, 8, 12])
def test_a_game_of_few_players_has_its_exact_values(players):
    worth = np.random.default_rng(players).normal(size=2**players)
    found = shapley_values(FunctionGame(players, lambda masks: worth[number_of(masks)]))
    np.testing.assert_allclose(found.values[:, 0], by_definition(worth, players), atol=1e-8)
    assert found.base[0] == worth[0]
    assert found.values.sum() + found.base[0] == pytest.approx(worth[-1], abs=1e-9)


@pytest.mark.parametrize("players", [13, 20, 61])
def test_a_game_without_interactions_is_exact_from_a_sample_too(players):
    value = np.random.default_rng(0).normal(size=(players, 2))
    found = shapley_values(FunctionGame(players, lambda m: m @ value + 3), budget=4 * players)
    np.testing.assert_allclose(found.values, value, atol=1e-8)
    np.testing.assert_allclose(found.r2, 1)


def test_the_kernel_s_mass_is_kept_and_complements_come_together():
    asked = coalitions(16, 1000, 3)
    assert len(asked.masks) <= 1000
    assert len(np.unique(asked.masks, axis=0)) == len(asked.masks)
    assert asked.weight.sum() == pytest.approx(1)
    there = {m.tobytes() for m in asked.masks}
    assert all((~m).tobytes() in there for m in asked.masks)
    assert (asked.masks.sum(1) == 1).sum() == (asked.masks.sum(1) == 15).sum() == 16
    np.testing.assert_array_equal(coalitions(16, 1000, 3).masks, asked.masks)
    assert not np.array_equal(coalitions(16, 1000, 4).masks, asked.masks)


def test_a_sample_is_near_the_exact_values_and_no_worse_than_the_shap_package_s():
    import shap

    rng = np.random.default_rng(1)
    W = rng.normal(size=(14, 10))

    def model(X):
        return np.tanh(X @ W).sum(1) + X[:, 0] * X[:, 1]

    background, rows = rng.normal(size=(20, 14)), rng.normal(size=(6, 14))
    weight = np.full(20, 1 / 20)
    games = [MatrixGame(model, row, background, weight) for row in rows]
    exact = np.array([shapley_values(g, budget=2**14).values[:, 0] for g in games])
    ours = np.array([shapley_values(g, budget=600).values[:, 0] for g in games])
    theirs = shap.KernelExplainer(model, background).shap_values(rows, nsamples=600, l1_reg=0, silent=True)
    error, other = np.abs(ours - exact).mean(), np.abs(theirs - exact).mean()
    assert error < 0.1 * np.abs(exact).mean()
    assert error < 1.25 * other  # both are random; over many seeds ours is 0.8 of theirs


def test_exact_values_are_the_shap_package_s():
    import shap

    rng = np.random.default_rng(2)
    background, rows = rng.normal(size=(10, 6)), rng.normal(size=(4, 6))

    def model(X):
        return np.column_stack([X[:, 0] * X[:, 1] + np.sin(X[:, 2]), X[:, 3] ** 2 * X[:, 4]])

    theirs = shap.KernelExplainer(model, background).shap_values(rows, nsamples=2**6, l1_reg=0, silent=True)
    for i, row in enumerate(rows):
        found = shapley_values(MatrixGame(model, row, background, np.full(10, 0.1)))
        np.testing.assert_allclose(found.values, theirs[i], atol=1e-8)


class Network:
    """A form that is neither trees nor terms."""

    num_features, num_outputs, link = 5, 2, Link("softmax")

    def __init__(self):
        rng = np.random.default_rng(0)
        self.background = rng.normal(size=(7, 5)).astype(np.float32)
        self.W = rng.normal(size=(5, 2))

    def raw_scores(self, X):
        x = np.nan_to_num(X.astype(np.float64))
        # Column by column: a matrix product's last digit depends on how many rows there are.
        return np.stack(
            [np.tanh(x[:, 0] * x[:, 1] + sum(x[:, j] * w[j] for j in range(5))) for w in self.W.T], 1
        )


class TestKernel(ExplainerContract):
    @pytest.fixture
    def case(self):
        form = Network()
        X = np.random.default_rng(1).normal(size=(30, 5)).astype(np.float32)
        X[::4, 2] = np.nan
        return explainer_for(form), form.raw_scores, X

    def value_of(self, case, row, known):
        form = case[0]._form
        mixed = form.background.copy()
        mixed[:, list(known)] = row[list(known)]
        return form.raw_scores(mixed).mean(0)


def test_any_other_form_is_explained_by_kernel_shap():
    explainer = explainer_for(Network())
    assert isinstance(explainer, KernelExplainer)
    assert explainer.method == "Exact SHAP values against 7 background rows"
    form = Network()
    form.background = form.background[:, :3]
    with pytest.raises(ModelError, match="must be rows of 5 features"):
        explainer_for(form)


def frame(n: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": rng.integers(18, 90, n),
            "job": rng.choice(["clerk", "nurse", None], n),
            "a.b c": rng.normal(size=n),
            "member": rng.random(n) < 0.5,
        }
    )


def answer(rows: pd.DataFrame) -> np.ndarray:
    return rows["age"] / 50 * (rows["job"] == "nurse") + rows["a.b c"] * rows["member"].astype(float)


def test_raw_columns_of_any_type_are_players():
    rows, others = frame(3), frame(9, seed=1)
    found = explain_rows(answer, rows, Background.of(others), takes="pandas")
    assert found.players[0] == ["age", "job", "a.b c", "member"]
    for i in range(3):
        orders = list(permutations(range(4)))
        expected = np.zeros(4)
        for order in orders:
            mixed = others.copy()
            before = answer(mixed).mean()
            for j in order:
                mixed[mixed.columns[j]] = rows.iloc[i, j]
                after = answer(mixed).mean()
                expected[j] += (after - before) / len(orders)
                before = after
        np.testing.assert_allclose(found.values[i][:, 0], expected, atol=1e-9)
    assert found.base[:, 0] == pytest.approx([answer(others).mean()] * 3)
    assert repr(found).startswith("Attributions(3 rows by Kernel SHAP values of columns, R²")
    assert len(found.to_pandas()) == 12


def test_a_lone_missing_value_and_a_whole_number_take_the_background_s_type():
    background = Background.of({"x": [0.5, 1.5], "w": ["a", "b"]})

    def model(rows):
        return rows["x"] * 2 + rows["w"].isna()

    found = explain_rows(model, {"x": [3], "w": [None]}, background, takes="pandas")
    np.testing.assert_allclose(found.values[0][:, 0], [4, 1], atol=1e-9)
    with pytest.raises(DataError, match="background: column 'x' is of type string"):
        explain_rows(model, {"x": [3], "w": ["a"]}, Background.of({"x": ["p"], "w": ["b"]}), takes="pandas")


def test_columns_together_are_one_player_and_others_stay():
    rows, background = frame(2), Background.of(frame(5, seed=1))
    found = explain_rows(
        answer, rows, background, takes="pandas", columns=["age"], groups={"rest": ["job", "member"]}
    )
    assert found.players[0] == ["age", "rest"]
    mixed = background.table.to_pandas().assign(**{"a.b c": rows["a.b c"][0]})
    assert found.base[0, 0] == pytest.approx(answer(mixed).mean())


def test_places_of_a_vector_are_players():
    rng = np.random.default_rng(0)
    rows = {"v": pa.array(rng.normal(size=(2, 3)).tolist()), "k": pa.array([2.0, 3.0])}
    others = {"v": pa.array(rng.normal(size=(6, 3)).tolist()), "k": pa.array([1.0] * 6)}

    def model(batch):
        v = np.array(batch.column("v").to_pylist())
        return v @ [1.0, -2.0, 0.5] * batch.column("k").to_numpy()

    found = explain_rows(model, rows, Background.of(others), vector="v")
    mean = np.array(others["v"].to_pylist()).mean(0)
    for i, k in enumerate([2.0, 3.0]):
        expected = k * (np.array(rows["v"][i].as_py()) - mean) * [1.0, -2.0, 0.5]
        np.testing.assert_allclose(found.values[i][:, 0], expected, atol=1e-9)
    assert found.players[0] == ["0", "1", "2"]


def test_tokens_of_a_text_are_players_and_the_model_gets_the_text_as_it_is_written():
    asked: list[str] = []

    def model(batch):
        asked.extend(batch.column("text").to_pylist())
        return np.array([2.0 * ("BAD" in t) - 1.0 * ("not" in t) for t in batch.column("text").to_pylist()])

    found = explain_rows(model, {"text": ["This is  not BAD, really", "", None]}, text="text")
    assert found.players == [["This", "is", "not", "BAD,", "really"], [], []]
    np.testing.assert_allclose(found.values[0][:, 0], [0, 0, -1, 2, 0], atol=1e-9)
    assert found.spans[0][3] == (13, 17)
    assert "This is  not BAD, really" in asked
    assert "is  BAD, " in asked  # original letters, dots and blanks: only spans are taken out
    assert [t.text for t in tokens("a-b c", r"\w+")] == ["a", "b", "c"]


@pytest.fixture(scope="module")
def bundle(classic_spark):
    """A pipeline's graph over raw columns, and the rows that it learned from."""
    import lightgbm as lgb

    from synml_dagster.export import export_pipeline
    from synml_dagster.features import LABEL, assemble, fit_plan
    from synml_dagster.learners.lightgbm import LightGBMModel
    from synml_dagster.onnx import OnnxModel

    raw = frame(400)
    raw["label"] = np.where(answer(raw) + np.random.default_rng(0).normal(size=400) > 0.6, "yes", "no")
    df = classic_spark.createDataFrame(raw.astype({"job": object}))
    plan = fit_plan(df, name="p", label="label")
    features = assemble(df, plan).toPandas()
    names = plan.feature_names
    data = lgb.Dataset(features[names], features[LABEL], categorical_feature=plan.categorical_features)
    booster = lgb.train({"objective": "binary", "verbose": -1, "num_threads": 1}, data, 10)
    model = LightGBMModel(booster.model_to_string(), names, list(plan.categorical_features))
    return OnnxModel(export_pipeline(plan, model)), raw.drop(columns="label")


def test_a_graph_is_explained_by_its_raw_columns_on_spark_as_in_this_process(spark, bundle):
    graph, raw = bundle
    df = spark.createDataFrame(raw.head(6).assign(id=range(6)).astype({"job": object}))
    background = Background.of(raw.iloc[100:120])
    found = explain_with(df, graph, background, output="raw_score", keep=["id"]).toPandas().sort_values("id")
    here = explain_rows(graph, raw.head(6), background, output="raw_score")
    for told, values, names in zip(found["contributions"], here.values, here.players, strict=True):
        assert [t["player"] for t in told] == names
        np.testing.assert_allclose([t["values"][0] for t in told], values[:, 0], atol=1e-6)
    from synml_dagster.onnx import Scorer

    scores = Scorer(graph, outputs=["raw_score"]).score(raw.head(6)).column(0).to_numpy()
    sums = [v.sum() + b[0] for v, b in zip(here.values, here.base, strict=True)]
    np.testing.assert_allclose(sums, scores, atol=1e-5)
    assert list(found.columns) == ["id", "contributions", "contributions_base", "contributions_r2"]


def test_a_python_function_is_explained_on_spark(spark):
    def longest(rows):
        return rows["t"].str.len().to_numpy(dtype=float)

    df = spark.createDataFrame(pd.DataFrame({"id": [1, 2], "t": ["ab cde", "f"]}))
    found = explain_with(df, longest, text="t", takes="pandas").toPandas().sort_values("id")
    first = found["contributions"].iloc[0]
    assert [(t["player"], t["start"], t["end"]) for t in first] == [("ab", 0, 2), ("cde", 3, 6)]
    assert sum(t["values"][0] for t in first) == 6


def test_backgrounds_are_samples_or_summaries_with_a_cap(spark):
    raw = frame(500).astype({"job": object})
    df = spark.createDataFrame(raw)
    sample = Background.sample(df, rows=30)
    assert sample.table.num_rows == 30
    again = Background.sample(df.repartition(3), rows=30)
    assert again.table.to_pandas().equals(sample.table.to_pandas())
    assert sample.said == "30 of 500 rows, chosen by their content"
    summary = Background.kmeans(df, ["age", "job", "a.b c"], rows=8)
    assert summary.table.num_rows == 8
    assert summary.weight.sum() == pytest.approx(1)
    real = set(raw["a.b c"])
    assert set(summary.table.column("a.b c").to_pylist()) <= real
    with pytest.raises(ConfigError, match="from 1 to 1,000 but got 5,000"):
        Background.sample(df, rows=5000)
    with pytest.raises(ConfigError, match=r"has 1,001 rows and may have 1,000"):
        Background.of({"x": np.zeros(1001)})
    with pytest.raises(ConfigError, match=r"no column 'agee'. Did you mean 'age'"):
        Background.sample(df, ["agee"])
    with pytest.raises(DataError, match="empty"):
        Background.sample(df.limit(0))


@pytest.mark.parametrize(
    ("more", "error", "said"),
    [
        ({"background": None}, ConfigError, "background: say which rows"),
        ({"columns": ["agee"]}, ConfigError, "'agee'. Did you mean 'age'"),
        ({"columns": ["age"], "groups": {"g": ["age"]}}, ConfigError, "named twice"),
        ({"columns": ["age"], "text": "job"}, ConfigError, "name one of them"),
        ({"method": "shap"}, ConfigError, "method is 'kernel_shap' or 'lime'"),
        ({"output": "probability"}, ConfigError, "a function returns"),
        ({"takes": "panda"}, ConfigError, "Did you mean 'pandas'"),
        ({"background": Background.of({"age": [1]})}, ConfigError, "background: it has no column 'job'"),
        ({"model": lambda rows: np.zeros(1)}, DataError, "answered 1 rows where it was asked"),
        ({"model": lambda rows: np.full(len(rows), np.nan)}, DataError, "missing or infinite"),
    ],
)
def test_what_cannot_be_explained_is_refused(more, error, said):
    asked = {
        "model": answer,
        "rows": frame(1),
        "background": Background.of(frame(4)),
        "takes": "pandas",
    } | more
    with pytest.raises(error, match=said):
        explain_rows(asked.pop("model"), asked.pop("rows"), asked.pop("background"), **asked)


def test_a_budget_that_cannot_tell_players_apart_is_refused():
    with pytest.raises(ConfigError, match="at least 40 coalitions"):
        coalitions(20, 30)
    assert default_budget(20) == 2088


def test_a_graph_without_such_an_answer_is_refused(bundle):
    graph, raw = bundle
    with pytest.raises(ModelError, match=r"no answer 'probabilty'.*Did you mean 'probability'"):
        explain_rows(graph, raw.head(1), Background.of(raw.head(5)), output="probabilty")


def test_a_text_of_too_many_tokens_is_refused():
    with pytest.raises(DataError, match="has 500 tokens"):
        explain_rows(lambda b: np.zeros(b.num_rows), {"t": ["a " * 500]}, text="t")
