"""Labels that come after the rows were scored: weights come with them, or with the predictions, or nothing is compared."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as sf

from synml_dagster.assets.evaluation import evaluate_scored
from synml_dagster.checks.live import LiveSpec, decayed, labelled_since
from synml_dagster.features import LABEL, WEIGHT, fit_plan

ROWS = 600
SPEC = LiveSpec(key=["id"])


@pytest.fixture(scope="module")
def weighed(classic_spark):
    """Rows of which the model has one class right, the one that weighs ten times as much, with their plan and their evaluation."""
    rng = np.random.default_rng(0)
    y = rng.random(ROWS) < 0.5
    rows = pd.DataFrame(
        {
            "id": np.arange(ROWS),
            "x": rng.normal(size=ROWS),
            "y": np.where(y, "yes", "no"),
            "days": np.where(y, 10.0, 1.0),
            "probability": np.where(y, 0.9, 0.6),
            "prediction": "yes",
            "model_version": "3",
        }
    )
    frame = classic_spark.createDataFrame(rows)
    plan = fit_plan(frame.select("x", "y", "days"), name="p", label="y", weight="days")
    test = frame.select(
        (frame.y == "yes").cast("int").alias(LABEL), frame.days.alias(WEIGHT), "probability", "prediction"
    )
    return frame, plan, evaluate_scored(test, plan, None)


@pytest.mark.parametrize("where", ["labels", "predictions", "both"])
def test_the_very_same_rows_have_not_decayed(weighed, where):
    frame, plan, test = weighed
    labels = frame.select("id", "y", *(["days"] if where != "predictions" else []))
    scored = frame.drop("y", *(["days"] if where == "labels" else []))
    joined, made = labelled_since(scored, labels, plan, ["id"], "3")
    live = evaluate_scored(joined, plan, None)
    assert (made, live.rows, live.weighted) == (ROWS, ROWS, True)
    assert live.metrics["accuracy"] == pytest.approx(test.metrics["accuracy"], abs=1e-12)
    assert decayed("accuracy", live, test, SPEC)[0] is False


def test_rows_without_a_label_need_no_weight_and_those_with_one_all_of_them(weighed):
    frame, plan, test = weighed
    late = frame.withColumn(
        "days", sf.when(frame.id < 500, frame.days)
    )  # as a source that learns it with the label
    for most, weighted in ((500, True), (501, False)):
        labels = frame.select("id", "y").where(frame.id < most)
        joined, made = labelled_since(late.drop("y"), labels, plan, ["id"], "3")
        live = evaluate_scored(joined, plan, None)
        assert (made, live.rows, live.weighted) == (ROWS, most, weighted)
        assert (decayed("accuracy", live, test, SPEC)[2] is not None) is weighted


def test_without_weights_nothing_is_compared(weighed):
    frame, plan, test = weighed
    joined, _ = labelled_since(frame.drop("y", "days"), frame.select("id", "y"), plan, ["id"], "3")
    bad, said, loss = decayed("accuracy", evaluate_scored(joined, plan, None), test, SPEC)
    assert (bad, loss) == (False, None)
    assert "had weights and these have none" in said
