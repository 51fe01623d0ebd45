"""What the tables of a pipeline's trees answer about changed rows is what the graph itself answers, row by row."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from synml_dagster.explain.agnostic.models import scored
from synml_dagster.explain.effects.changed_rows import AskedRows, ChangedRows
from synml_dagster.explain.effects.quickest import open_rows
from synml_dagster.explain.effects.tree_rows import TreeRows
from synml_dagster.export import export_pipeline
from synml_dagster.features import LABEL, FeatureSpec, assemble, fit_plan
from synml_dagster.learners import TrainSpec, learner_of
from synml_dagster.learners.one_process.rows import Rows
from synml_dagster.onnx import OnnxModel
from synml_dagster.testing.tables import awkward_table

ROUNDS = {"early_stopping": 0, "rounds": 12}
FAMILIES = {
    "binary": ("binary", "lightgbm", {**ROUNDS, "params": {"min_data_in_leaf": 3}}),
    "multiclass": ("multiclass", "lightgbm", {**ROUNDS, "params": {"boosting": "dart", "drop_rate": 0.4}}),
    "forest of bags": (
        "regression",
        "lightgbm",
        {**ROUNDS, "params": {"boosting": "rf", "bagging_fraction": 0.6, "bagging_freq": 1}},
    ),
    "more leaves than a mask has bits": (
        "binary",
        "lightgbm",
        {**ROUNDS, "params": {"num_leaves": 250, "min_data_in_leaf": 1}},
    ),
    "xgboost": ("multiclass", "xgboost", ROUNDS),
    "random forest": ("regression", "random_forest", {"params": {"n_estimators": 8}}),
    "extra trees": ("multiclass", "extra_trees", {"params": {"n_estimators": 8}}),
}


def rows_of(task: str) -> pa.Table:
    """The awkward table, and a text: one column that many features are made of."""
    table = awkward_table(task, rows=400)
    rng = np.random.default_rng(1)
    words = np.array(["red", "green", "blue", "small", "large", "old"])
    texts = [" ".join(rng.choice(words, rng.integers(3, 9))) for _ in range(table.num_rows)]
    return table.append_column("text", pa.array(texts))


@pytest.fixture(scope="module")
def plans(classic_spark) -> dict[str, tuple]:
    """Task -> the plan, the raw rows and the features that Spark made of them."""
    made = {}
    for task in ("binary", "multiclass", "regression"):
        raw = rows_of(task)
        df = classic_spark.createDataFrame(raw)
        spec = FeatureSpec(exclude=["query", "weight"])
        plan = fit_plan(df, name="effects", label="label", task=task, features=spec)
        table = assemble(df, plan).toArrow()
        X = np.stack([table.column(f).to_numpy() for f in plan.feature_names], axis=1)
        y = table.column(LABEL).to_numpy().astype(np.float64)
        made[task] = (plan, raw, Rows(X.astype(np.float32), y, np.ones(len(y)), len(y)))
    return made


@pytest.fixture(params=FAMILIES)
def asked(request, plans) -> tuple[ChangedRows, ChangedRows, pa.RecordBatch]:
    """The same rows by tables and by asking the graph."""
    task, family, options = FAMILIES[request.param]
    plan, raw, rows = plans[task]
    learner, spec = learner_of(family), TrainSpec(learner=family, **options)
    chosen = {**learner.start(), **options.get("params", {})}
    trained = learner.fit_rows(plan, spec, chosen, rows, rows.take(np.arange(100)))
    model = scored(OnnxModel(export_pipeline(plan, trained)))
    batch = raw.select(list(model.columns)).slice(0, 150).combine_chunks().to_batches()[0]
    return open_rows(model)(batch), AskedRows(model.open(), batch), batch


def all_steps(rows: ChangedRows, grids: dict[str, pa.Array]) -> np.ndarray:
    parts = list(rows.stepped(grids))
    found = np.full((parts[-1].rows.stop, parts[-1].steps.stop, parts[0].answers.shape[2]), np.nan)
    for part in parts:
        found[part.rows, part.steps] = part.answers
    return found


def test_tables_answer_what_the_graph_answers(asked):
    quick, slow, batch = asked
    assert isinstance(quick, TreeRows)
    np.testing.assert_allclose(quick.as_they_are(), slow.as_they_are(), rtol=1e-6, atol=1e-6)
    rng = np.random.default_rng(0)
    moved = 0.0
    for name in batch.schema.names:
        column = batch.column(name)
        grids = {name: column.take(pa.array([0, 7, 3, 90, 41, 3, 11]))}  # in no order, and one value twice
        steps = all_steps(slow, grids)
        np.testing.assert_allclose(all_steps(quick, grids), steps, rtol=1e-6, atol=1e-6)
        places = np.stack([rng.permutation(len(batch)) for _ in range(3)])
        for mine, theirs in zip(quick.replaced(name, places), slow.replaced(name, places), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-6)
        donors = column.slice(40, 5)
        for mine, theirs in zip(
            quick.replaced(name, places % 5, donors), slow.replaced(name, places % 5, donors), strict=True
        ):
            np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-6)
        moved = max(moved, float(np.ptp(steps, axis=1).max()))
    assert moved > 0.05  # the columns do change the answers
    pair = {"amount": pa.array([1.0, 20.0, None, 90.0]), "city": pa.array(["Oslo", None, "nowhere"])}
    np.testing.assert_allclose(all_steps(quick, pair), all_steps(slow, pair), rtol=1e-6, atol=1e-6)


def test_a_column_that_shares_a_feature_with_another_is_asked_about(plans):
    plan, raw, rows = plans["binary"]
    trained = learner_of("lightgbm").fit_rows(
        plan, TrainSpec(**ROUNDS), dict(learner_of("lightgbm").start()), rows, rows.take(np.arange(100))
    )
    model = scored(OnnxModel(export_pipeline(plan, trained)))
    batch = raw.select(list(model.columns)).slice(0, 20).combine_chunks().to_batches()[0]
    quick = open_rows(model)(batch)
    assert isinstance(quick, TreeRows)
    whole = dict(quick._trees.own_features(batch))
    assert len(whole["text"]) > 1
    assert sorted(f for own in whole.values() for f in own) == list(range(len(plan.feature_names)))
    quick._trees.__dict__["_own"] = {name: own for name, own in whole.items() if name != "age"}
    try:
        slow = AskedRows(model.open(), batch)
        grid = {"age": pa.array([20, 50, 80])}
        np.testing.assert_array_equal(all_steps(quick, grid), all_steps(slow, grid))
        places = np.arange(20)[None, ::-1]
        np.testing.assert_array_equal(
            *map(list, (quick.replaced("age", places), slow.replaced("age", places)))
        )
    finally:
        quick._trees.__dict__["_own"] = whole


def test_a_model_that_does_not_end_in_trees_is_asked(plans):
    plan, raw, rows = plans["binary"]
    trained = learner_of("linear").fit_rows(
        plan, TrainSpec(learner="linear"), dict(learner_of("linear").start()), rows, rows.take(np.arange(100))
    )
    model = scored(OnnxModel(export_pipeline(plan, trained)))
    batch = raw.select(list(model.columns)).slice(0, 20).combine_chunks().to_batches()[0]
    assert isinstance(open_rows(model)(batch), AskedRows)
