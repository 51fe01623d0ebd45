"""What the asset `effects` finds out about rows that are awkward: nothing to step through, one class, weights, queries."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import functions as sf

from synml_dagster.assets.artifacts import ExportedPipeline, FittedPipeline
from synml_dagster.assets.reasons.asked import Asked
from synml_dagster.assets.reasons.effects import measured
from synml_dagster.assets.stage import EffectsSpec
from synml_dagster.export import export_pipeline
from synml_dagster.features import LABEL, FeatureSpec, assemble, fit_plan, labelled
from synml_dagster.learners import TrainSpec, learner_of
from synml_dagster.learners.one_process.rows import Rows
from synml_dagster.onnx import OnnxModel
from synml_dagster.testing.tables import awkward_table
from synml_dagster.tuning import SweepResult

SPEC = EffectsSpec(points=4, curves=2, shuffles=2, rows=5_000)


@pytest.fixture(scope="module")
def asked(classic_spark):
    """Task -> the pipeline that is asked, and its rows, with their label, weight and query."""

    def of(task: str) -> tuple[Asked, object]:
        df = classic_spark.createDataFrame(awkward_table(task, rows=300))
        ranks = task == "ranking"
        plan = fit_plan(
            df, name="effects", label="label", task=task, weight="weight", group="query" if ranks else None,
            features=FeatureSpec(include=["amount", "age", "city", "constant.ish"]),
        )  # fmt: skip
        table = assemble(df, plan).toArrow()
        X = np.stack([table.column(f).to_numpy() for f in plan.feature_names], axis=1).astype(np.float32)
        y = table.column(LABEL).to_numpy().astype(np.float64)
        group = np.arange(len(y)) // 12 if ranks else None
        rows = Rows(X, y, np.ones(len(y)), len(y), group)
        spec = TrainSpec(early_stopping=0, rounds=10, params={"min_data_in_leaf": 5})
        learner = learner_of("lightgbm")
        model = learner.fit_rows(plan, spec, dict(learner.start()), rows, rows)
        sweep = SweepResult(metric="", direction="minimize")
        fitted = FittedPipeline(model, plan, sweep, ("", ""), (), {"test": 300})
        exported = ExportedPipeline(fitted, OnnxModel(export_pipeline(plan, model)))
        return Asked.of(exported), labelled(df, plan)

    return of


def test_a_column_without_values_is_left_out_and_one_class_is_measured_by_log_loss(asked):
    pipeline, rows = asked("binary")
    rows = rows.withColumn("amount", sf.lit(float("nan"))).where(f"{LABEL} = 1")
    found = measured(rows, pipeline, SPEC)
    assert "amount" not in found.columns
    assert set(found.columns) <= {"age", "city", "constant.ish"}
    assert found.notes == [
        "amount: no test row that was looked at has a value.",
        "The test rows that were looked at are all of one class: permutation importance is by logloss.",
    ]
    assert found.metric == "logloss"
    importance = found.to_pandas("permutation").set_index("column")["mean"]
    assert importance["amount"] == 0  # nothing to shuffle
    assert importance["age"] != 0


def test_a_ranking_is_measured_by_its_queries(asked):
    pipeline, rows = asked("ranking")
    found = measured(rows, pipeline, SPEC)
    assert (found.metric, found.notes) == ("ndcg@10", [])
    importance = found.to_pandas("permutation").set_index("column")["mean"]
    assert 0.5 < found.baseline < 1
    assert importance["amount"] > 0.02
    assert importance["constant.ish"] < importance["amount"]


def test_rows_count_by_their_weight(asked):
    pipeline, rows = asked("regression")
    old = rows.withColumn("__weight", sf.when(sf.col("age") > 50, 1.0).otherwise(0.0))
    found, alone = (measured(r, pipeline, SPEC) for r in (old, rows.where("age > 50").drop("__weight").withColumn("__weight", sf.lit(1.0))))  # fmt: skip
    assert found.mean_answer == pytest.approx(alone.mean_answer)
    mine, theirs = (
        f.to_pandas("dependence").query("column == 'city'").set_index("value")["mean"] for f in (found, alone)
    )
    shared = mine.index.intersection(theirs.index)
    assert len(shared) >= 2
    assert mine[shared].tolist() == pytest.approx(theirs[shared].tolist())
    nothing = measured(rows.withColumn("__weight", sf.lit(0.0)), pipeline, SPEC)
    assert nothing.notes == ["The test rows that were looked at weigh nothing, and count the same here."]
