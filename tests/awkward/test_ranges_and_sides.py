"""Numbers beyond float32's range, sides that ties in time make lopsided, and rankings with nothing to rank."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from synml_dagster.assets.artifacts import check_queries
from synml_dagster.checks import PromoteSpec, decide
from synml_dagster.errors import DataError
from synml_dagster.evaluation import evaluate
from synml_dagster.export import check_parity, export_pipeline
from synml_dagster.features import SplitSpec, assemble, fit_plan
from synml_dagster.learners.lightgbm import LightGBM
from synml_dagster.onnx import OnnxModel
from synml_dagster.tables import publish_table


@pytest.mark.parametrize("size", [1e300, 1e-300, 1e-44])
def test_a_column_beyond_float32_keeps_its_values_in_spark_and_in_the_graph(classic_spark, size):
    x = np.random.default_rng(0).normal(size=400).round(3)
    rows = pd.DataFrame({"x": x * size, "y": np.where(x > 0.5, "a", "b")})
    frame = classic_spark.createDataFrame(rows)
    plan = fit_plan(frame, name="p", label="y")
    assert any("column 'x': its values are divided by" in note for note in plan.notes)
    features = assemble(frame, plan)
    assert features.toPandas()["x"].nunique() == len(np.unique(rows["x"]))
    model = LightGBM({"objective": "binary", "verbosity": -1}, rounds=5).fit(
        features, label="__label", features=plan.feature_names
    )
    graph = OnnxModel(export_pipeline(plan, model))
    report = check_parity(classic_spark, plan, model, graph, frame, rows=200)
    assert report.passed, report.worst


@pytest.mark.parametrize(("size", "said"), [(1e39, "a larger unit"), (1e-45, "a smaller unit")])
def test_a_target_beyond_float32_is_refused_before_anything_trains(classic_spark, size, said):
    x = np.linspace(-1, 1, 80)
    frame = classic_spark.createDataFrame(pd.DataFrame({"x": x, "y": x * size}))
    with pytest.raises(DataError, match=said):
        fit_plan(frame, name="p", label="y")


@pytest.mark.parametrize("weight", [1e39, 1e-30])
def test_weights_that_lightgbm_cannot_use_are_refused(classic_spark, weight):
    rows = {"x": [float(i) for i in range(40)], "y": ["a", "b"] * 20, "w": [weight] * 40}
    with pytest.raises(DataError, match="weight 'w' goes up to"):
        fit_plan(classic_spark.createDataFrame(pa.table(rows)), name="p", label="y", weight="w")


def _by_time(spark, times, **more):
    rows = {"t": times, "x": [float(i % 9) for i in range(len(times))], "y": ["a", "b"] * (len(times) // 2)}
    frame = spark.createDataFrame(pa.table(rows))
    plan = fit_plan(frame, name="p", label="y", split=SplitSpec(by="time", column="t", **more))
    return plan, assemble(frame, plan).toPandas()["__split"].value_counts().to_dict()


def test_each_side_of_a_split_by_time_has_a_time_of_its_own_and_lopsided_ones_are_said(classic_spark):
    plan, rows = _by_time(classic_spark, [0] * 4 + [1] * 6 + [2] * 90)
    assert rows == {"train": 4, "validation": 6, "test": 90}
    assert any("90% of the rows are on the test side, and 20% were asked for" in w for w in plan.warnings)
    plan, rows = _by_time(classic_spark, [0] * 90 + [1] * 6 + [2] * 4)
    assert rows == {"train": 90, "validation": 6, "test": 4}
    plan, rows = _by_time(classic_spark, [i // 10 for i in range(100)])
    assert rows == {"train": 60, "validation": 20, "test": 20}
    assert plan.warnings == []
    plan, rows = _by_time(classic_spark, [0] * 50 + [1] * 50, validation=0)
    assert rows == {"train": 50, "test": 50}
    with pytest.raises(DataError, match="has 2 values, and the sides need 3"):
        _by_time(classic_spark, [0] * 50 + [1] * 50)
    plan, rows = _by_time(classic_spark, [None] * 20 + [0] * 40 + [1] * 40)
    assert rows == {"train": 20, "validation": 40, "test": 40}


@pytest.mark.parametrize(
    ("group", "grades", "said"),
    [
        (np.repeat(range(30), 4), np.repeat([0, 1, 2] * 10, 4), "all rows of a query have one grade"),
        (np.arange(120), np.tile([0, 1, 2], 40), "every row is a query of its own"),
        ([None] * 8 + [f"q {i // 4}" for i in range(112)], np.tile([0, 1, 2], 40), "is missing in 8 rows"),
    ],
)
def test_a_ranking_with_nothing_to_rank_is_refused_before_anything_trains(
    classic_spark, tmp_path, group, grades, said
):
    rows = {"q": pa.array(group), "x": [float(i % 7) for i in range(120)], "grade": grades}
    raw = classic_spark.createDataFrame(pa.table(rows))

    def prepare():
        plan = fit_plan(raw, name="p", label="grade", group="q")
        check_queries(classic_spark, plan, publish_table(assemble(raw, plan), str(tmp_path / "features")))

    with pytest.raises(DataError, match=said):
        prepare()


def test_a_ranking_no_better_than_no_order_is_not_promoted(classic_spark):
    rows = {"g": [0, 0, 0, 1], "__label": [2.0, 0.0, 0.0, 1.0], "prediction": [0.1, 0.9, 0.8, 0.2]}
    found = evaluate(classic_spark.createDataFrame(pd.DataFrame(rows)), task="ranking", group="g")
    # The first query's one relevant row, of the best gain, stands first, second or third equally often.
    first = (1 + 1 / np.log2(3) + 1 / np.log2(4)) / 3
    assert found.baseline["ndcg@10"] == pytest.approx((first + 1) / 2)
    assert found.baseline["ndcg@1"] == pytest.approx((1 / 3 + 1) / 2)
    for metric in ("ndcg@10", "map@5"):
        decision = decide(PromoteSpec(), metric, found.metrics, None, baseline=found.baseline)
        assert not decision.promote
        assert "ndcg@10 is" in decision.reason


def test_rows_without_a_group_are_no_query_and_are_said_where_they_are_split_by_it(classic_spark):
    rows = {
        "q": [float(i // 5) if i % 10 else None for i in range(300)],
        "text": [f"g{i // 5}" if i % 10 else "" for i in range(300)],
        "x": [float(i % 7) for i in range(300)],
        "y": [i % 4 for i in range(300)],
    }
    frame = classic_spark.createDataFrame(pa.table(rows))
    for group in ("q", "text"):
        with pytest.raises(DataError, match=f"group '{group}' is missing in 30 rows"):
            fit_plan(frame, name="p", label="y", group=group)
        warnings = fit_plan(frame, name="p", label="y", split=SplitSpec(by="group", column=group)).warnings
        assert f"30 rows have no '{group}' and are on one side together, as one group" in warnings
