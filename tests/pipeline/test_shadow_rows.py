"""Rows that two models have scored: what they are asked with, what is carried along, and what is compared."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from synml_dagster.assets.artifacts import Provenance
from synml_dagster.assets.shadow.live import rows_of
from synml_dagster.assets.shadow.side_by_side import Beside
from synml_dagster.checks.shadow import challenger_answers, compared
from synml_dagster.checks.shadow_registry import InShadow
from synml_dagster.errors import ConfigError, DataError
from synml_dagster.evaluation import Evaluation
from synml_dagster.export import export_pipeline
from synml_dagster.features import LABEL, FeatureSpec, assemble, fit_plan
from synml_dagster.learners.lightgbm import LightGBMModel
from synml_dagster.onnx import OnnxModel, Scorer
from synml_dagster.resources import ModelVersion

ROWS = 300
COSTS = [[0, 1, 2], [5, 0, 1], [60, 3, 0]]
NAMED = ["Decision", "probability", "model_version", "Bad_Row"]
"""Features of the challenger alone that are called like what a model answers, or like what is added to a score."""


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    place = np.arange(ROWS)
    age = 18 + (place * 37) % 70
    return pd.DataFrame(
        {
            "id": place,
            "challenger_id": place + 1000,
            "age": age,
            "Decision": np.array(["stop", "go"])[(place // 3) % 2],
            "probability": (place * 7919 % 500) / 500,
            "model_version": np.array(["a", "b", "c"])[(place // 2) % 3],
            "Bad_Row": (place * 31) % 11,
            "grade": (age + 9 * (place % 3) + 20 * ((place // 3) % 2)) // 42,
        }
    )


@pytest.fixture(scope="module")
def graphs(classic_spark, people):
    """The champion by age alone, the challenger by all that is there, and both with a table of costs."""
    raw = classic_spark.createDataFrame(people)
    made = []
    for drop in (["id", "challenger_id", *NAMED], ["id", "challenger_id"]):
        plan = fit_plan(raw, name="p", label="grade", task="multiclass", features=FeatureSpec(exclude=drop))
        rows = assemble(raw, plan).toArrow()
        X = np.stack([rows.column(f).to_numpy() for f in plan.feature_names], axis=1).astype(np.float32)
        told = {"objective": "multiclass", "num_class": 3, "verbose": -1, "num_threads": 1, "num_leaves": 7}
        booster = lgb.train(told, lgb.Dataset(X, rows.column(LABEL).to_numpy()), 8)
        model = LightGBMModel(
            text=booster.model_to_string(),
            features=plan.feature_names,
            categorical=plan.categorical_features,
            objective="multiclass",
            num_class=3,
        )
        made += [
            OnnxModel(export_pipeline(plan, model)),
            OnnxModel(export_pipeline(plan, model, costs=COSTS)),
        ]
    return dict(zip(("champion", "costly champion", "challenger", "costly challenger"), made, strict=True))


def beside(champion) -> Beside:
    return Beside(
        champion, Provenance("1", "f", datetime(2026, 1, 1, tzinfo=UTC)), Evaluation.model_construct()
    )


def test_features_and_kept_columns_that_are_called_like_answers_reach_the_challenger(
    classic_spark, people, graphs
):
    rows = classic_spark.createDataFrame(people)
    opened = beside(graphs["champion"])
    once = opened.scored(rows, ["id", "challenger_id", "Decision", "grade", "Bad_Row"], classic_spark)
    made = opened.answered(once, graphs["costly challenger"], "2", classic_spark)
    found = made.toPandas().set_index("id").sort_index()
    assert made.columns == [
        *("id", "challenger_id", "Decision", "grade", "Bad_Row", "prediction", "probability"),
        *("challenger_prediction", "challenger_probability", "challenger_decision"),
        *("challenger_expected_cost", "challenger_bad_row", "challenger_version"),
        *("model_version", "plan_fingerprint", "scored_at"),
    ]
    for name in ("challenger_id", "Decision", "grade", "Bad_Row"):
        assert found[name].tolist() == people[name].tolist()
    assert found["challenger_bad_row"].isna().all()
    for name, of in (("", "champion"), ("challenger_", "costly challenger")):
        own = Scorer(graphs[of]).score(people)
        assert found[f"{name}prediction"].tolist() == own.column("prediction").to_pylist()
        assert [list(p) for p in found[f"{name}probability"]] == own.column("probability").to_pylist()
    assert found["challenger_decision"].tolist() == own.column("decision").to_pylist()

    alone = challenger_answers(made).toPandas().set_index("id").sort_index()
    assert alone["challenger_id"].tolist() == people["challenger_id"].tolist()
    assert alone["decision"].tolist() == own.column("decision").to_pylist()
    assert set(alone["model_version"]) == {"2"}


def test_what_cannot_be_carried_along_is_said_and_is_no_fault_of_the_challengers(
    classic_spark, people, graphs
):
    opened = beside(graphs["champion"])
    rows = classic_spark.createDataFrame(people.assign(challenger_decision="x"))
    for keep in (["id", "challenger_decision"], ["probability"], ["model_version"], None):
        with pytest.raises(ConfigError, match="cannot be carried along"):
            opened.scored(rows, keep, classic_spark)
    with pytest.raises(DataError, match=r"no column 'idd'.*'id'"):
        opened.scored(rows, ["idd"], classic_spark)
    with pytest.raises(DataError, match="lacks 1 column"):
        opened.scored(rows.drop("age"), ["id"], classic_spark)
    once = opened.scored(rows.drop("Decision"), ["id"], classic_spark)
    with pytest.raises(DataError, match="'Decision'"):
        opened.answered(once, graphs["challenger"], "2", classic_spark)


def test_decisions_are_compared_where_both_weigh_costs_and_else_predictions(classic_spark, people, graphs):
    class Written:
        def __init__(self, frame):
            self.frame = frame

        def dataframe(self, spark):
            return self.frame

    rows = classic_spark.createDataFrame(people)
    for of, by in (("costly champion", "decision"), ("champion", "prediction")):
        opened = beside(graphs[of])
        # The one without costs carries a column of this name along, and it is no answer of a model.
        keep = ["id"] if by == "decision" else ["id", "Decision"]
        opened = replace(
            opened, test=Evaluation.model_construct(scores=None, actual_vs_predicted=None, confusion=None)
        )
        once = opened.scored(rows, keep, classic_spark)
        made = opened.answered(once, graphs["costly challenger"], "2", classic_spark)
        run = opened.compared("r", {"": Written(made)}, graphs["costly challenger"], classic_spark)
        found = made.toPandas()
        otherwise = {c: (found[c] != found[f"challenger_{c}"]).mean() for c in ("prediction", by)}
        assert run.changed == otherwise[by]
        assert 0 < run.changed < 1
        assert f"{otherwise[by]:.2%} decided otherwise by `{by}`" in run.said()
        if by == "decision":
            assert otherwise["decision"] != otherwise["prediction"]


def test_a_column_of_the_users_that_is_called_probability_is_no_answer(classic_spark):
    told = "prediction double, challenger_prediction double, probability string, challenger_bad_row string"
    rows = [(1.0, 1.5, "high", None), (2.0, 2.25, "low", None), (3.0, None, "low", "no number")]
    run = compared("r", "now", [classic_spark.createDataFrame(rows, told)], None)
    assert (run.rows, run.unscored, run.changed) == (3, 1, None)
    assert (run.difference, run.largest) == (0.375, 0.5)


def test_live_measures_both_on_the_rows_of_the_version_in_shadow_alone(classic_spark):
    told = "id int, model_version string, challenger_version string, challenger_prediction int"
    rows = [(1, "1", "2", 0), (2, "1", "3", 0), (3, "1", "3", None), (4, "0", "3", 0), (5, "1", None, None)]
    shadow = InShadow(ModelVersion("p", "3", ""), beside="1", reason="better")
    found = rows_of(classic_spark.createDataFrame(rows, told), shadow)
    assert [row["id"] for row in found.collect()] == [2]
