"""What a sweep cannot do is refused where the description is read, or at the latest before its first trial."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from synml_dagster import MLPipeline
from synml_dagster.errors import ConfigError
from synml_dagster.features import SPLIT, assemble, fit_plan
from synml_dagster.tables import publish_table
from synml_dagster.tuning.folds import Fewest, FoldPlan, fewest_of

GIVEN = {"name": "p", "source": "rows.csv", "label": "y"}
UP = {"low": 2, "high": 8}


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ({"sweep": {"space": {"num_leafs": UP}}}, "no parameter 'num_leafs'. Did you mean"),
        ({"sweep": {"space": {"num_leaves": {"low": -5, "high": 8}}}}, "LightGBM takes no num_leaves=-5"),
        ({"sweep": {"space": {"feature_fraction": {"low": 0.5, "high": 3.0}}}}, "no feature_fraction=3.0"),
        ({"sweep": {"space": {"num_leaves": {"low": 2.5, "high": 8}}}}, "should be of type int"),
        ({"sweep": {"space": {"boosting": {"choices": ["gbdtt"]}}}}, "Unknown boosting type gbdtt"),
        ({"sweep": {"space": {"learning_rate": {"low": 0.1, "high": float("inf")}}}}, "two finite ends"),
        (
            {"sweep": {"learners": ["lightgbm", "linear"], "space": {"lightgmb.num_leaves": UP}}},
            "Did you mean 'lightgbm'",
        ),
        ({"sweep": {"learners": "all", "space": {"xgboost.max_dept": UP}}}, "Did you mean 'max_depth'"),
        (
            {"train": {"learner": "spark_gbt"}, "sweep": {"space": {"maxDepth": {"low": 2, "high": 80}}}},
            "0 to 30",
        ),
        ({"train": {"params": {"bagging_fraction": 2}}}, "no bagging_fraction=2"),
        ({"train": {"params": {"metric": "aucc"}}}, "Did you mean 'auc'"),
        ({"train": {"learner": "xgboost", "params": {"eval_metric": "aucc"}}}, "Did you mean 'auc'"),
        (
            {"task": "regression", "train": {"params": {"metric": "auc"}}},
            "'auc' says nothing of task regression",
        ),
        ({"task": "multiclass", "train": {"params": {"metric": ["rmse"]}}}, "nothing of task multiclass"),
        (
            {"task": "regression", "train": {"learner": "xgboost", "params": {"eval_metric": "auc"}}},
            "no metric of task regression",
        ),
        (
            {"task": "multiclass", "sweep": {"learners": ["lightgbm", "spark_gbt"]}},
            "spark_gbt does not learn",
        ),
    ],
)
def test_a_description_that_cannot_be_searched_is_refused_when_it_is_read(said, text):
    with pytest.raises(ValueError) as refused:  # noqa: PT011 (pydantic's, with the text of ours)
        MLPipeline(**GIVEN | said)
    assert text in str(refused.value)


@pytest.mark.parametrize(
    "said",
    [
        {"task": "binary", "train": {"params": {"metric": ["rmse", "auc"]}}},
        {"task": "ranking", "group": "q", "train": {"params": {"metric": "ndcg@5"}}},
        {"sweep": {"space": {"boosting": {"choices": ["gbdt", "rf", "goss"]}}}},
        {"sweep": {"space": {"lightgbm.num_leaves": UP}}},
        {"train": {"params": {"linear_tree": True, "monotone_constraints": [1, 0], "extra_trees": True}}},
        {"train": {"params": {"objective": "poisson", "metric": "poisson"}}},
    ],
)
def test_what_can_be_searched_is_not_refused(said):
    MLPipeline(**GIVEN | said)


def test_folds_that_the_rows_cannot_fill_are_refused_or_not_taken(classic_spark, tmp_path):
    n = 60
    label = np.array(["a", "b"])[np.arange(n) % 2].astype(object)
    label[:3] = "alone"
    raw = classic_spark.createDataFrame(pa.table({"x": np.arange(n, dtype=float) % 7, "y": label.tolist()}))
    plan = fit_plan(raw, name="few", label="y", task="multiclass")
    table = publish_table(assemble(raw, plan), str(tmp_path / "t"), partition_by=[SPLIT])
    parts = [table.files(**{SPLIT: s}) for s in ("train", "validation", "test")]
    assert fewest_of(classic_spark, plan, *parts) == Fewest(rarest=("alone", 3))
    fewest = Fewest(rarest=("alone", 1))
    with pytest.raises(ConfigError, match="class 'alone' has one row"):
        FoldPlan.of(plan, 5, 40, 10, fewest=fewest)
    chosen = FoldPlan.of(plan, None, 40, 10, fewest=fewest)
    assert chosen.folds == 0
    assert "class 'alone' has one row" in chosen.why
    assert FoldPlan.of(plan, None, 40, 10, fewest=Fewest(rarest=("alone", 2))).folds == 5


def test_more_folds_than_queries_are_refused_before_a_trial(classic_spark, tmp_path):
    n = 48
    raw = classic_spark.createDataFrame(
        pa.table({"x": np.arange(n) % 5 + 0.5, "q": [f"q{i // 4}" for i in range(n)], "y": np.arange(n) % 3})
    )
    plan = fit_plan(raw, name="few", label="y", task="ranking", group="q")
    table = publish_table(assemble(raw, plan), str(tmp_path / "t"), partition_by=[SPLIT])
    fewest = fewest_of(
        classic_spark, plan, *(table.files(**{SPLIT: s}) for s in ("train", "validation", "test"))
    )
    assert fewest == Fewest(queries=12)
    with pytest.raises(ConfigError, match="folds is 20 and there are 12 queries"):
        FoldPlan.of(plan, 20, n, 0, fewest=fewest)
    assert FoldPlan.of(plan, None, n, 0, fewest=Fewest(queries=6)).folds == 0
    assert FoldPlan.of(plan, None, n, 0, fewest=fewest).folds == 5
