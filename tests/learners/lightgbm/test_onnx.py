"""The converter's graph decides every row as LightGBM does."""

from __future__ import annotations

import lightgbm as lgb
import numpy as np
import onnxruntime
import pytest

from synml_dagster.errors import ModelError
from synml_dagster.export import model_to_onnx
from synml_dagster.learners.lightgbm.model_text import parse_trees
from synml_dagster.learners.onnx.tree_nodes import floor32

OBJECTIVES = {
    "binary": "classes",
    "multiclass": "three",
    "multiclassova": "three",
    "cross_entropy": "share",
    "cross_entropy_lambda": "share",
    "regression": "large",
    "regression_l1": "positive",
    "huber": "positive",
    "fair": "positive",
    "quantile": "positive",
    "mape": "positive",
    "poisson": "positive",
    "gamma": "positive",
    "tweedie": "positive",
    "lambdarank": "grade",
    "rank_xendcg": "grade",
}
VARIANTS = {
    "plain": {},
    "zero_as_missing": {"zero_as_missing": True},
    "no_missing": {"use_missing": False},
    "slope_and_sqrt": {"sigmoid": 2.5, "reg_sqrt": True},
    "large_category_sets": {"max_cat_threshold": 200, "cat_smooth": 1, "cat_l2": 0},
}


def columns(rows: int, rng: np.random.Generator) -> np.ndarray:
    X = rng.normal(size=(rows, 6)).astype(np.float32)
    X[:, 0] = rng.integers(0, 300, rows)
    X[:, 1] = rng.integers(0, 10, rows)
    X[:, 2] = np.round(X[:, 2], 1)
    X[rng.random(X.shape) < 0.08] = np.nan
    X[rng.random(X.shape) < 0.08] = 0
    return X


def labels(kind: str, X: np.ndarray) -> np.ndarray:
    base = np.nan_to_num(X[:, 0]) % 7 / 3 + np.nan_to_num(X[:, 1]) % 3 + np.nan_to_num(X[:, 2])
    return {
        "classes": (base > 2).astype(float),
        "three": np.digitize(base, [1, 2]).astype(float),
        "share": 1 / (1 + np.exp(2 - base)),
        "large": 500_000 + 100_000 * base,
        "positive": np.abs(base) + 0.1,
        "grade": np.clip(base, 0, 4).astype(int),
    }[kind]


def awkward(X: np.ndarray, booster: lgb.Booster) -> np.ndarray:
    """Rows of one awkward value each, and rows with the model's own thresholds and their float32 neighbours."""
    odd = [
        np.inf,
        -np.inf,
        1e30,
        -1e30,
        0.0,
        -0.0,
        -0.5,
        3.7,
        -7,
        1e-36,
        -1e-36,
        1e-35,
        -1e-35,
        5e9,
        np.nan,
        301,
        2**24,
    ]
    rows = [X[:200], *(np.full((2, X.shape[1]), v, np.float32) for v in odd)]
    for tree in booster.dump_model()["tree_info"][:3]:
        stack = [tree["tree_structure"]]
        while stack:
            node = stack.pop()
            if "split_feature" not in node:
                continue
            stack += [node["left_child"], node["right_child"]]
            if node["decision_type"] == "<=":
                at = np.float32(node["threshold"])
                for value in (
                    at,
                    np.nextafter(at, np.float32(np.inf)),
                    np.nextafter(at, np.float32(-np.inf)),
                ):
                    row = X[:1].copy()
                    row[0, node["split_feature"]] = value
                    rows.append(row)
    return np.concatenate(rows)


def difference(booster: lgb.Booster, X: np.ndarray, whole: bool = False) -> tuple[float, float]:
    """Largest difference of the prediction and of the raw score, relative above 1."""
    session = onnxruntime.InferenceSession(
        model_to_onnx(parse_trees(booster.model_to_string()), whole_categories=whole).SerializeToString()
    )
    names = [out.name for out in session.get_outputs()]
    found = dict(zip(names, session.run(names, {"features": X}), strict=True))
    predicted, raw = booster.predict(X), booster.predict(X, raw_score=True)
    ours = found["probabilities"] if "probabilities" in found else found["prediction"]
    ours = ours[:, 1] if predicted.ndim == 1 and ours.shape[1] == 2 else ours.reshape(predicted.shape)
    pairs = ((ours, predicted), (found["raw_score"].reshape(raw.shape), raw))
    return tuple(float(np.max(np.abs(a - b) / np.maximum(1, np.abs(b)))) for a, b in pairs)  # type: ignore[return-value]


BOOSTINGS = [(objective, "gbdt") for objective in OBJECTIVES] + [
    (objective, boosting)
    for objective in ("binary", "multiclass", "regression", "poisson")
    for boosting in ("rf", "dart", "goss")
]


@pytest.mark.parametrize(("objective", "boosting"), BOOSTINGS)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_graph_predicts_as_lightgbm(objective, boosting):
    rng = np.random.default_rng(sum(map(ord, objective + boosting)))
    variants = VARIANTS if boosting == "gbdt" else {"plain": {}}
    for name, extra in variants.items():
        X = columns(1000, rng)
        kind = OBJECTIVES[objective]
        params = {"objective": objective, "boosting": "gbdt" if boosting == "goss" else boosting, **extra}
        params |= {"data_sample_strategy": "goss"} if boosting == "goss" else {}
        params |= {"bagging_freq": 1, "bagging_fraction": 0.7} if boosting == "rf" else {}
        params |= {"num_class": 3} if kind == "three" else {}
        params |= {"num_leaves": 15, "verbose": -1, "num_threads": 1, "min_data_in_leaf": 5, "seed": 1}
        group = [10] * 100 if kind == "grade" else None
        data = lgb.Dataset(X, labels(kind, X), group=group, categorical_feature=[0, 1])
        booster = lgb.train(params, data, 4)
        rows = awkward(X, booster)
        assert max(difference(booster, rows)) <= 1e-6, name
        fractions = (rows[:, :2] != np.trunc(rows[:, :2])) & np.isfinite(rows[:, :2])
        assert max(difference(booster, rows[~fractions.any(axis=1)], whole=True)) <= 1e-6, name


def test_five_hundred_trees_over_a_target_of_half_a_million_do_not_drift():
    rng = np.random.default_rng(3)
    X = columns(2000, rng)
    booster = lgb.train(
        {"objective": "regression", "verbose": -1, "num_threads": 1}, lgb.Dataset(X, labels("large", X)), 500
    )
    assert max(difference(booster, X)) <= 1e-7


def test_hundred_thousand_categories_stay_small_and_right():
    rng = np.random.default_rng(5)
    X = columns(20_000, rng)
    X[:, 0] = rng.integers(0, 100_000, len(X))
    y = (X[:, 0] % 5 == 0).astype(float)
    params = {
        "objective": "binary",
        "verbose": -1,
        "num_threads": 1,
        "min_data_per_group": 1,
        "cat_smooth": 0,
    }
    booster = lgb.train(params, lgb.Dataset(X, y, categorical_feature=[0]), 10)
    text = booster.model_to_string()
    assert "num_cat=0" not in text.split("Tree=1")[0]
    assert difference(booster, X)[0] <= 1e-6
    assert difference(booster, X, whole=True)[0] <= 1e-6
    assert model_to_onnx(parse_trees(text)).ByteSize() < 3 * len(text)


def test_a_column_that_is_categories_in_some_trees_and_a_number_in_others():
    rng = np.random.default_rng(7)
    X = columns(2000, rng)
    y = labels("classes", X)
    params = {"objective": "binary", "verbose": -1, "num_threads": 1, "min_data_in_leaf": 5}
    first = lgb.train(params, lgb.Dataset(X, y, categorical_feature=[0, 1]), 3)
    both = lgb.train(params, lgb.Dataset(X, y, categorical_feature=[0]), 3, init_model=first)
    trees = parse_trees(both.model_to_string()).trees
    kinds = {bool(kind) for tree in trees for kind in tree.is_categorical[tree.split_feature == 1]}
    assert kinds == {True, False}
    assert max(difference(both, X, whole=True)) <= 1e-6


def test_a_model_of_one_leaf_and_a_model_of_no_tree_answer_a_constant():
    X = np.zeros((50, 2), np.float32)
    booster = lgb.train({"objective": "binary", "verbose": -1}, lgb.Dataset(X, np.arange(50) % 2), 3)
    assert difference(booster, X)[0] <= 1e-7


def test_linear_leaves_are_refused_with_the_parameter_to_change():
    X = np.random.default_rng(0).normal(size=(500, 3))
    booster = lgb.train({"linear_tree": True, "verbose": -1}, lgb.Dataset(X, X[:, 0]), 3)
    with pytest.raises(ModelError, match="linear_tree"):
        model_to_onnx(parse_trees(booster.model_to_string()))


@pytest.mark.parametrize("value", [0.1, -0.1, 1e300, -1e300, 1e-320, -1e-320, 1.5, 16777217.0])
def test_a_threshold_rounded_down_to_float32_decides_as_the_double(value):
    cut = floor32(value)
    near = [cut, np.nextafter(cut, np.float32(np.inf)), np.nextafter(cut, np.float32(-np.inf))]
    for x in near:
        assert (x <= cut) == (float(x) <= value)
