"""Decisions by a table of costs in the exported graph: by every way that it is run, those of the lowest expected cost."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from synml_dagster.errors import ConfigError
from synml_dagster.evaluation import Evaluation
from synml_dagster.explain import explain_predictions
from synml_dagster.export import check_parity, export_pipeline, write_bundle
from synml_dagster.onnx import OnnxModel, Scorer, score
from synml_dagster.onnx.row_scorer import RowScorer

COSTS = [[0, 1, 2], [5, 0, 1], [60, 3, 0]]


@pytest.fixture(scope="module")
def decided(pipelines) -> OnnxModel:
    plan, model = pipelines["grade"]
    return OnnxModel(export_pipeline(plan, model, costs=COSTS))


def by_brute_force(answers: pa.RecordBatch) -> list[int]:
    each = []
    for p in answers.column("probability").to_pylist():
        expected = [sum(p[t] * COSTS[t][a] for t in range(3)) for a in range(3)]
        each.append([0, 10, 20][expected.index(min(expected))])
    return each


@pytest.mark.parametrize("trees", ["onnxruntime", "tables"])
def test_the_graph_answers_the_decision_of_the_lowest_expected_cost(decided, table, trees):
    answers = Scorer(decided, trees=trees).score(table)
    assert answers.schema.names == ["prediction", "probability", "decision", "expected_cost"]
    assert answers.schema.field("decision").type == answers.schema.field("prediction").type
    assert answers.column("decision").to_pylist() == by_brute_force(answers)
    assert answers.column("decision").to_pylist() != answers.column("prediction").to_pylist()
    p = np.array(answers.column("probability").to_pylist())
    assert answers.column("expected_cost").to_pylist() == pytest.approx(
        (p @ COSTS).min(axis=1).tolist(), abs=1e-5
    )


def test_spark_a_row_at_a_time_and_mlflow_answer_the_same(decided, pipelines, table, classic_spark, tmp_path):
    rows = table.slice(0, 40)
    answers = Scorer(decided).score(rows)
    decisions = answers.column("decision").to_pylist()
    frame = score(classic_spark.createDataFrame(rows), decided, keep=["id"]).toPandas().sort_values("id")
    assert list(frame.columns) == ["id", "prediction", "probability", "decision", "expected_cost"]
    assert frame["decision"].tolist() == decisions
    plan, model = pipelines["grade"]
    why = explain_predictions(classic_spark.createDataFrame(rows), decided, model, plan, keep=["id"], top=1)
    assert why.columns[:5] == list(frame.columns)
    assert why.toPandas().sort_values("id")["decision"].tolist() == decisions
    single = RowScorer(decided)
    names = [i.name for i in decided.inputs]
    told = single.score(single.read({n: rows.column(n).to_pylist() for n in names}, rows.num_rows))
    assert told["decision"] == decisions
    assert told["expected_cost"] == answers.column("expected_cost").to_pylist()
    import mlflow.pyfunc

    nothing = Evaluation(task="multiclass", rows=1, weight=1, metrics={})
    write_bundle(tmp_path / "bundle", plan, model, decided, nothing)
    opened = mlflow.pyfunc.load_model(str(tmp_path / "bundle"))
    assert opened.metadata.signature.outputs.input_names() == list(frame.columns[1:])
    assert opened.predict(rows.to_pandas())["decision"].tolist() == decisions


def test_parity_holds_and_a_graph_without_costs_has_no_decision(
    decided, exported, pipelines, table, classic_spark
):
    plan, model = pipelines["grade"]
    assert check_parity(
        classic_spark, plan, model, decided, classic_spark.createDataFrame(table), rows=300
    ).passed
    with pytest.raises(ConfigError, match="this model gives no 'decision'"):
        Scorer(exported["grade"], outputs=["decision"])
