"""The explainer agrees with LightGBM's own `pred_contrib` and adds up to the raw score, whatever the trees look like."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import synml_dagster
from synml_dagster.errors import DataError, ModelError
from synml_dagster.explain.tree_shap.explainer import TreeExplainer

F = 12


def table(seed=0, rows=3_000):
    """Numbers, whole numbers with many ties and zeros, a category of 70 levels, and a tenth missing."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, F)).astype(np.float32)
    X[:, 0] = rng.integers(0, 70, rows)
    X[:, 1:4] = np.round(X[:, 1:4])
    X[rng.random(X.shape) < 0.1] = np.nan
    filled = np.nan_to_num(X)
    signal = (filled[:, 0] % 3 == 0) + filled[:, 1] + filled[:, 2] * filled[:, 4] + filled[:, 5] ** 2
    return X, signal + rng.normal(size=rows)


def train(params, X, y, rounds=8, categorical=(0,)):
    data = lgb.Dataset(X, y, categorical_feature=list(categorical))
    base = {"verbose": -1, "num_threads": 2, "seed": 0, "min_data_in_leaf": 5}
    return lgb.train({**base, **params}, data, num_boost_round=rounds)


def assert_exact(booster, X, tolerance=1e-9):
    explainer = TreeExplainer(booster.model_to_string())
    phi, base = explainer.values(X)
    k = explainer.num_outputs
    phi = phi.reshape(len(X), F, k)
    theirs = booster.predict(X, pred_contrib=True).reshape(len(X), k, F + 1).transpose(0, 2, 1)
    raw = booster.predict(X, raw_score=True).reshape(len(X), k)
    scale = max(1.0, np.abs(raw).max())
    np.testing.assert_allclose(phi, theirs[:, :F], atol=tolerance * scale)
    np.testing.assert_allclose(np.atleast_1d(base), theirs[0, F], atol=tolerance * scale)
    np.testing.assert_allclose(phi.sum(1) + base, raw, atol=tolerance * scale)


@pytest.mark.parametrize(
    "params",
    [
        {"objective": "regression"},
        {"objective": "regression", "zero_as_missing": True},
        {"objective": "regression", "use_missing": False},
        {"objective": "poisson", "num_leaves": 63},
        {"objective": "regression", "num_leaves": 255, "min_data_in_leaf": 2},
        {"objective": "regression", "boosting": "dart", "drop_rate": 0.5},
        {"objective": "regression", "num_leaves": 2},
        {"objective": "regression", "min_data_in_leaf": 100_000},
        {"objective": "regression", "max_cat_to_onehot": 100},
    ],
    ids=lambda params: ",".join(f"{k}={v}" for k, v in params.items()),
)
def test_values_equal_pred_contrib(params):
    X, y = table()
    y = np.abs(y) if params["objective"] == "poisson" else y
    assert_exact(train(params, X, y), X[:300])


@pytest.mark.parametrize("objective", ["multiclass", "multiclassova"])
def test_every_class_has_its_own_values(objective):
    X, y = table()
    booster = train({"objective": objective, "num_class": 3}, X, np.digitize(y, [0, 2]))
    assert_exact(booster, X[:200])


def test_rows_that_training_never_saw_take_the_default_way():
    X, y = table()
    booster = train({"objective": "binary"}, X, y > 1)
    odd = np.zeros((6, F), dtype=np.float32)
    odd[0] = np.nan
    odd[1:, 0] = [1e6, -3, -0.5, 69.9, np.inf]
    odd[2:, 1] = [np.inf, -np.inf, 1e-36, -0.0]
    assert_exact(booster, odd)


def test_a_forest_explains_the_mean_of_its_trees():
    X, y = table()
    params = {"objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6}
    booster = train(params, X, y > 1)
    phi, base = TreeExplainer(booster.model_to_string()).values(X[:200])
    # LightGBM's own raw score and contributions of a forest are sums over its trees, though it predicts their mean.
    np.testing.assert_allclose(phi, booster.predict(X[:200], pred_contrib=True)[:, :F] / 8, atol=1e-9)
    np.testing.assert_allclose(1 / (1 + np.exp(-(phi.sum(1) + base))), booster.predict(X[:200]), atol=1e-9)


def test_deep_paths_take_the_quadrature_and_agree():
    X, y = table()
    booster = train({"objective": "regression", "num_leaves": 63}, X, y)
    tabled, _ = TreeExplainer(booster.model_to_string()).values(X[:300])
    computed, _ = TreeExplainer(booster.model_to_string(), largest_table=2).values(X[:300])
    np.testing.assert_allclose(computed, tabled, atol=1e-12)


def test_tables_stay_within_their_memory():
    X, y = table()
    booster = train({"objective": "regression", "num_leaves": 255}, X, y)
    explainer = TreeExplainer(booster.model_to_string(), table_bytes=100_000)
    assert 0 < explainer._tables.nbytes <= 100_000
    phi, _ = explainer.values(X[:100])
    np.testing.assert_allclose(phi, TreeExplainer(booster.model_to_string()).values(X[:100])[0], atol=1e-12)


def test_threads_and_blocks_change_nothing():
    X, y = table(rows=9_000)
    explainer = TreeExplainer(train({"objective": "regression"}, X, y).model_to_string())
    phi, _ = explainer.values(X, threads=3)
    np.testing.assert_array_equal(phi[4_990:5_010], explainer.values(X[4_990:5_010])[0])


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 1_000),
    leaves=st.integers(2, 80),
    objective=st.sampled_from(["binary", "regression_l1", "multiclass"]),
    missing=st.sampled_from([{}, {"zero_as_missing": True}, {"use_missing": False}]),
)
def test_random_boosters_are_explained_exactly(seed, leaves, objective, missing):
    X, y = table(seed, rows=400)
    labels = {"binary": y > 1, "regression_l1": y, "multiclass": np.digitize(y, [0, 2])}[objective]
    params = {"objective": objective, "num_leaves": leaves, "seed": seed, **missing}
    params |= {"num_class": 3} if objective == "multiclass" else {}
    assert_exact(train(params, X, labels, rounds=3), X[:50])


def test_linear_trees_are_refused():
    X, y = table()
    booster = train({"objective": "regression", "linear_tree": True}, np.nan_to_num(X), y, categorical=())
    with pytest.raises(ModelError, match="linear_tree=false"):
        TreeExplainer(booster.model_to_string())


def test_rows_of_another_width_are_refused():
    X, y = table()
    explainer = TreeExplainer(train({"objective": "regression"}, X, y).model_to_string())
    with pytest.raises(DataError, match="12 features"):
        explainer.values(X[:, :5])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: "no model", "does not begin with 'tree'"),
        (lambda text: text[: text.index("end of trees")], "cut short"),
        (lambda text: re.sub(r"left_child=\S+", "left_child=0", text, count=1), "do not form a tree"),
        (lambda text: text.replace("leaf_count=", "leaf_count=7 ", 1), "'leaf_count'"),
        (lambda text: text.replace("threshold=", "threshold=x", 1), "'threshold'"),
        (lambda text: text.replace("split_feature=", "split_feature=9", 1), "does not name"),
    ],
    ids=["not a model", "cut short", "cycle", "length", "not a number", "unknown feature"],
)
def test_damaged_model_text_is_refused(damage, message):
    X, y = table()
    text = train({"objective": "regression"}, X, y, rounds=1, categorical=()).model_to_string()
    assert damage(text) != text
    with pytest.raises(ModelError, match=message):
        TreeExplainer(damage(text))


def test_kernels_run_from_a_zip_where_nothing_can_be_kept(tmp_path):
    """As on an executor that got the package's code with the job and has no folder of its own."""
    package = Path(synml_dagster.__file__).parent
    with zipfile.ZipFile(tmp_path / "code.zip", "w") as code:
        for file in package.rglob("*.py"):
            code.write(file, file.relative_to(package.parent))
    X, y = table(rows=300)
    booster = train({"objective": "regression"}, X, y, rounds=2)
    booster.save_model(tmp_path / "model.txt")
    np.save(tmp_path / "X.npy", X)
    script = (
        "import sys; sys.path.insert(0, 'code.zip')\n"
        "import numpy as np, synml_dagster.explain.tree_shap.kernels as kernels\n"
        "assert 'code.zip' in kernels.__file__\n"
        "from synml_dagster.explain.tree_shap.explainer import TreeExplainer\n"
        "np.save('phi.npy', TreeExplainer(open('model.txt').read()).values(np.load('X.npy'))[0])\n"
    )
    nowhere = {"PATH": os.environ["PATH"], "HOME": "/proc/nowhere", "XDG_CACHE_HOME": "/proc/nowhere"}
    run = subprocess.run(
        [sys.executable, "-P", "-c", script], cwd=tmp_path, env=nowhere, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr[-2000:]
    theirs = booster.predict(X, pred_contrib=True)[:, :F]
    np.testing.assert_allclose(np.load(tmp_path / "phi.npy"), theirs, atol=1e-9)
