"""Whole numbers beyond 2^53 stay what they are: as classes, as categories, in the graph and in the answers."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synml_dagster.errors import DataError
from synml_dagster.export import check_parity, export_pipeline
from synml_dagster.features import FeatureSpec, assemble, fit_plan
from synml_dagster.files import ParquetFiles
from synml_dagster.learners.lightgbm import LightGBM
from synml_dagster.onnx import OnnxModel, Scorer, score

BIG = 2**53


def _rows():
    rng = np.random.default_rng(0)
    store, x = rng.integers(0, 4, 600), rng.normal(size=600).round(3)
    answer = np.where(store % 2 == 0, BIG, BIG + 1)
    return pa.table({"store": BIG + 10 + store, "x": x, "answer": answer})


@pytest.mark.parametrize("from_files", [False, True])
def test_neighbours_beyond_2_53_are_two_classes_and_two_categories(classic_spark, tmp_path, from_files):
    rows = _rows()
    pq.write_table(rows, tmp_path / "t.parquet")
    frame = classic_spark.read.parquet(str(tmp_path / "t.parquet"))
    files = ParquetFiles((str(tmp_path / "t.parquet"),), rows=rows.num_rows, schema_json=frame.schema.json())
    plan = fit_plan(
        files if from_files else frame,
        name="p",
        label="answer",
        features=FeatureSpec(categorical=["store"]),
        spark=classic_spark,
    )
    assert plan.label.classes == [str(BIG), str(BIG + 1)]
    store = plan.columns[0]
    assert sorted(store.words) == [str(BIG + 10 + i) for i in range(4)]
    features = assemble(frame, plan)
    model = LightGBM({"objective": "binary", "verbosity": -1}, rounds=10).fit(
        features, label="__label", features=plan.feature_names, categorical=plan.categorical_features
    )
    graph = OnnxModel(export_pipeline(plan, model))
    assert check_parity(classic_spark, plan, model, graph, frame, rows=300).passed
    answers = score(frame, graph, keep=["answer"], spark=classic_spark).toPandas()
    assert (answers["prediction"] == answers["answer"]).all()
    assert answers["prediction"].dtype == np.int64
    alone = Scorer(graph).score(rows.to_pandas()).column("prediction").to_numpy()
    assert (alone == rows.column("answer").to_numpy()).all()


def test_a_label_that_its_predictions_could_not_tell_apart_is_refused(classic_spark):
    ids = pa.array([Decimal(BIG), Decimal(BIG + 1)] * 20, pa.decimal128(20, 0))
    frame = classic_spark.createDataFrame(pa.table({"x": [float(i) for i in range(40)], "y": ids}))
    with pytest.raises(DataError, match="are one number to the float64"):
        fit_plan(frame, name="p", label="y")
