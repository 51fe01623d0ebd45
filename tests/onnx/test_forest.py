"""Tables of leaf masks answer, bit for bit, what ONNX Runtime answers when it walks the trees."""

from __future__ import annotations

import lightgbm as lgb
import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synml_dagster.errors import ConfigError
from synml_dagster.export import model_to_onnx
from synml_dagster.learners.lightgbm.model_text import parse_trees
from synml_dagster.onnx import Scorer
from synml_dagster.onnx.forest import open_forest, tables
from synml_dagster.onnx.forest.bins import Bins, ordered
from synml_dagster.onnx.forest.masks import masked_tree
from synml_dagster.onnx.forest.nodes import read_nodes
from tests.learners.lightgbm.test_onnx import OBJECTIVES, VARIANTS, awkward, columns, labels

singles = st.floats(width=32, allow_nan=False)


def opened(graph, threads: int = 1):
    return open_forest(graph, [out.name for out in graph.graph.output], threads)


def check(graph, X: np.ndarray, threads: int = 1) -> None:
    """Compare all outputs of the graph for `X`; the trees must suit tables."""
    forest = opened(graph, threads)
    assert forest is not None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # several may add the trees of few rows in another order
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options)
    names = [out.name for out in session.get_outputs()]
    for name, by_graph, by_tables in zip(
        names, session.run(names, {"features": X}), forest.run(names, {"features": X}), strict=True
    ):
        np.testing.assert_array_equal(by_tables, by_graph, err_msg=name, strict=True)


def trained(
    X: np.ndarray, y: np.ndarray, rounds: int = 8, categorical=(), group=None, **params
) -> lgb.Booster:
    params = {"verbose": -1, "num_threads": 1, "seed": 1, **params}
    data = lgb.Dataset(X, y, group=group, categorical_feature=list(categorical))
    return lgb.train(params, data, rounds)


@given(st.lists(singles, min_size=1, max_size=40), st.lists(st.floats(width=32), max_size=40))
def test_bins_are_those_of_a_binary_search(edges, values):
    known = np.unique(np.array(edges, np.float32) + np.float32(0))
    negative_nan = np.array([0xFFC00000], np.uint32).view(np.float32)
    with np.errstate(over="ignore"):
        near = [np.nextafter(known, np.float32(way)) for way in (np.inf, -np.inf)]
    X = np.concatenate([known, -known, *near, np.array(values, np.float32), negative_nan])
    expected = np.where(np.isnan(X), len(known) + 1, np.searchsorted(known, X))
    np.testing.assert_array_equal(Bins(known).of(ordered(X)), expected)


@pytest.mark.parametrize("spread", [1e-6, 1.0, 1e6, 1e30])
def test_bins_of_crowded_and_of_distant_edges(spread):
    rng = np.random.default_rng(4)
    edges = np.unique(np.r_[rng.normal(size=200), 7 + spread * rng.normal(size=200)].astype(np.float32))
    X = np.r_[edges, np.nextafter(edges, np.float32(np.inf)), rng.normal(size=5000) * spread, 0, -0.0]
    X = X.astype(np.float32)
    np.testing.assert_array_equal(Bins(edges).of(ordered(X)), np.searchsorted(edges, X))


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_every_leaf_is_the_one_that_the_walk_comes_to(objective, variant):
    rng = np.random.default_rng(sum(map(ord, objective)))
    X = columns(1000, rng)
    kind = OBJECTIVES[objective]
    params = {"objective": objective, "num_leaves": 15, "min_data_in_leaf": 5, **VARIANTS[variant]}
    params |= {"num_class": 3} if kind == "three" else {}
    group = [10] * 100 if kind == "grade" else None
    booster = trained(X, labels(kind, X), 12, (0, 1), group, **params)
    rows = awkward(X, booster)
    text = booster.model_to_string()
    check(model_to_onnx(parse_trees(text)), rows)
    fractions = (rows[:, :2] != np.trunc(rows[:, :2])) & np.isfinite(rows[:, :2])
    check(model_to_onnx(parse_trees(text), whole_categories=True), rows[~fractions.any(axis=1)])


@pytest.fixture
def always(monkeypatch):
    """Trees that walk faster go by tables too."""
    monkeypatch.setattr(tables, "are_worth_it", lambda blocks, features: True)


@pytest.mark.parametrize("leaves", [2, 15, 16, 31, 32, 63])
def test_masks_of_every_width(leaves, always):
    rng = np.random.default_rng(leaves)
    X = columns(6000, rng)[:, :4]
    y = np.nan_to_num(X).sum(axis=1) + rng.normal(size=len(X))
    booster = trained(X, y, 70, (1,), num_leaves=leaves, min_data_in_leaf=2, objective="regression")
    counts = [tree["num_leaves"] for tree in booster.dump_model()["tree_info"]]
    assert max(counts) == leaves
    check(model_to_onnx(parse_trees(booster.model_to_string())), awkward(X, booster), threads=2)


def test_pieces_blocks_and_threads_add_up():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(20_001, 5)).astype(np.float32)
    y = np.digitize(X[:, 0] * X[:, 1] + X[:, 2], [-0.5, 0.5])
    booster = trained(X, y, 90, objective="multiclass", num_class=3, num_leaves=16)
    for threads in (1, 3):
        check(model_to_onnx(parse_trees(booster.model_to_string())), X, threads)
    check(model_to_onnx(parse_trees(booster.model_to_string())), X[:0])


def test_trees_of_one_leaf_add_their_constant(always):
    X = np.random.default_rng(0).normal(size=(400, 3)).astype(np.float32)
    y = np.where(X[:, 0] > 0, 3.0, 1.0)
    first = trained(X, np.full(400, 5.0), 2)
    params = {"num_leaves": 4, "verbose": -1, "num_threads": 1}
    both = lgb.train(params, lgb.Dataset(X, y), 4, init_model=first)
    counts = {tree["num_leaves"] for tree in both.dump_model()["tree_info"]}
    assert 1 in counts
    assert max(counts) > 1
    for booster in (first, both):
        check(model_to_onnx(parse_trees(booster.model_to_string())), X)


@pytest.mark.parametrize("categorical", [False, True])
def test_no_leaf_is_numbered_twice(categorical):
    """Several edges lead to the subtrees of a category set; each leaf has one bit all the same."""
    rng = np.random.default_rng(6)
    X = columns(20_000, rng)
    X[:, 0] = rng.integers(0, 2000, len(X))
    y = rng.normal(size=2000)[X[:, 0].astype(int)] * (1 + (X[:, 3] > 0)) + rng.normal(0, 0.1, len(X))
    sets = {"max_cat_threshold": 32, "min_data_per_group": 5, "cat_smooth": 1, "max_bin": 3000}
    booster = trained(X, y, 10, (0,) if categorical else (), objective="regression", **sets)
    graph = model_to_onnx(parse_trees(booster.model_to_string()), whole_categories=True)
    ensemble = next(node for node in graph.graph.node if node.op_type == "TreeEnsembleRegressor")
    nodes = read_nodes(ensemble, {0: 1.0} if categorical else {})
    counts = [len(masked_tree(nodes, tree).weights) for tree in nodes.trees]
    assert counts == [tree["num_leaves"] for tree in booster.dump_model()["tree_info"]]
    check(graph, X)


def test_a_category_is_found_where_the_graph_rounds_to_it():
    rng = np.random.default_rng(8)
    X = columns(3000, rng)[:, :3]
    X[:, 0] = rng.integers(0, 12, len(X))
    booster = trained(X, (X[:, 0] % 3 == 0) + 0.1 * rng.normal(size=len(X)), 10, (0,), objective="regression")
    rows = X[:8].repeat(8, axis=0)
    rows[:, 0] = np.tile(np.array([1e-30, -1e-30, 1e-17, -1e-17, 1e-16, 1e-40, 0.0, -0.0], np.float32), 8)
    check(model_to_onnx(parse_trees(booster.model_to_string()), whole_categories=True), rows)


def test_leaves_are_added_in_the_order_of_the_trees():
    """Leaves clipped to the same size cancel, so that any other order shows."""
    rng = np.random.default_rng(9)
    X = rng.integers(0, 2, (20_000, 12)).astype(np.float32)
    y = 1000 * (2 * X - 1).sum(axis=1) + rng.normal(size=len(X))
    params = {"max_delta_step": 0.7, "learning_rate": 0.1, "boost_from_average": False}
    booster = trained(X, y, 130, objective="regression", num_leaves=31, **params)
    check(model_to_onnx(parse_trees(booster.model_to_string())), X)


def test_a_chain_of_hundreds_of_questions_is_left_to_the_graph():
    rng = np.random.default_rng(10)
    kind = np.r_[np.arange(700).repeat(3), rng.integers(0, 700, 900)]
    X = np.eye(700, dtype=np.float32)[kind]
    y = rng.permutation(700)[kind].astype(float)
    for sign in (1, -1):
        params = {"num_leaves": 700, "min_data_in_leaf": 1, "min_sum_hessian_in_leaf": 0}
        booster = trained(sign * X, y, 2, objective="regression", enable_bundle=False, **params)
        assert opened(model_to_onnx(parse_trees(booster.model_to_string()))) is None


def test_deep_and_wide_trees_are_left_to_the_graph():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(4000, 3)).astype(np.float32)
    deep = trained(X, X.prod(axis=1), 5, num_leaves=200, min_data_in_leaf=2)
    assert opened(model_to_onnx(parse_trees(deep.model_to_string()))) is None
    X = rng.normal(size=(800, 600)).astype(np.float32)
    wide = trained(X, X.sum(axis=1), 60, num_leaves=31, min_data_in_leaf=2, feature_fraction=0.1)
    assert opened(model_to_onnx(parse_trees(wide.model_to_string()))) is None


@pytest.mark.parametrize("label", ["accepted", "grade", "amount"])
def test_a_scorer_answers_the_same_by_tables(exported, table, label):
    wanted = ["prediction", "raw_score"]
    wanted += ["probability"] if "label" in exported[label].roles else []
    inner = next(
        node.input[0]
        for node in exported[label].proto.graph.node
        if node.op_type == "Cast" and node.output[0].startswith("model/")
    )
    by_graph = Scorer(exported[label], outputs=[*wanted, inner], trees="onnxruntime")
    by_tables = Scorer(exported[label], outputs=[*wanted, inner], trees="tables")
    for rows in (table, table.slice(0, 1)):
        # As text, because NaN is not NaN.
        assert str(by_tables.score(rows).to_pylist()) == str(by_graph.score(rows).to_pylist())
    assert by_tables.has_tables
    assert not by_graph.has_tables


def test_large_batches_go_by_tables_once_there_were_many_rows(exported, table):
    import pyarrow as pa

    scorer = Scorer(exported["accepted"])
    few = scorer.score(table)
    many = pa.concat_tables([table, table])
    for _ in range(5):
        scorer.score(many)
        assert "_forest" not in vars(scorer)
    answers = scorer.score(many)
    assert vars(scorer)["_forest"] is not None
    for start in (0, table.num_rows):
        assert answers.slice(start, table.num_rows).equals(few)
    assert scorer.score(table).equals(few)
    with pytest.raises(ConfigError, match="trees is 'auto'"):
        Scorer(exported["accepted"], trees="fast")
