"""Each named set of parameters trains a model that has learnt something."""

import numpy as np
import pytest

from synml_dagster.features import LABEL, SPLIT, FeatureSpec, assemble, fit_plan
from synml_dagster.learners import TrainSpec, learner_names, learner_of
from synml_dagster.tables import publish_table
from synml_dagster.testing.tables import awkward_table

CASES = [
    ("lightgbm", {"rounds": 40}),
    ("linear", {}),
    ("xgboost", {"rounds": 40}),
    ("random_forest", {"params": {"n_estimators": 20}}),
    ("extra_trees", {"params": {"n_estimators": 20}}),
    ("mlp", {"rounds": 40}),
]


@pytest.fixture(scope="module")
def regression(classic_spark, tmp_path_factory):
    raw = classic_spark.createDataFrame(awkward_table("regression", rows=400))
    plan = fit_plan(raw, name="p", label="label", weight="weight", features=FeatureSpec(exclude=["query"]))
    place = tmp_path_factory.mktemp("portfolio") / "features"
    return plan, publish_table(assemble(raw, plan), str(place), partition_by=[SPLIT])


@pytest.mark.parametrize(("family", "train"), CASES)
def test_each_set_learns(classic_spark, regression, family, train):
    plan, table = regression
    learner, parts = learner_of(family), [table.files(**{SPLIT: s}) for s in ("train", "validation")]
    labels = np.array(parts[1].dataframe(classic_spark).select(LABEL).toPandas()[LABEL])
    spec = TrainSpec(learner=family, **train)
    sets = learner.portfolio("regression")
    assert sets
    for name, chosen in sets.items():
        model = learner.fit(classic_spark, plan, spec, chosen, *parts)
        _, value = model.validation_score("rmse")
        assert value < 0.8 * labels.std(), name


def test_no_family_with_a_portfolio_is_left_out():
    have = {name for name in learner_names() if learner_of(name).portfolio("regression")}
    assert have == {name for name, _ in CASES}
