"""Texts are one graph with the model, too."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from synml_dagster.export import export_pipeline
from synml_dagster.features import LABEL, assemble, fit_plan
from synml_dagster.learners import TrainSpec, learner_of
from synml_dagster.learners.one_process.rows import Rows
from synml_dagster.onnx import OnnxModel, Scorer


def test_a_pipeline_with_a_text_is_exported_and_answers_as_its_model_does(classic_spark):
    rng = np.random.default_rng(0)
    words = np.array(["red", "green", "blue", "small", "large", "old"])
    texts = [" ".join(rng.choice(words, rng.integers(3, 9))) for _ in range(300)]
    label = ["yes" if "red" in text else "no" for text in texts]
    raw = pa.table({"text": texts, "size": rng.normal(size=300), "label": label})
    df = classic_spark.createDataFrame(raw)
    plan = fit_plan(df, name="texts", label="label")
    assert next(c.kind for c in plan.columns if c.name == "text") == "text"
    made = assemble(df, plan).toArrow()
    X = np.stack([made.column(f).to_numpy() for f in plan.feature_names], axis=1).astype(np.float32)
    rows = Rows(X, made.column(LABEL).to_numpy().astype(np.float64), np.ones(300), 300)
    learner, spec = learner_of("lightgbm"), TrainSpec(early_stopping=0, rounds=5)
    model = learner.fit_rows(plan, spec, dict(learner.start()), rows, rows)
    told = Scorer(OnnxModel(export_pipeline(plan, model))).score(raw).column("probability").to_numpy()
    np.testing.assert_allclose(np.sort(told), np.sort(model.predict(X)), atol=1e-6)
    assert np.ptp(told) > 0.1
