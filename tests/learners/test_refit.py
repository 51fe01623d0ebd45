"""A model that is trained again on training and validation rows: for how long, and what is still told of the rows held out."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from synml_dagster import MLPipeline
from synml_dagster.features import SPLIT, assemble, fit_plan
from synml_dagster.files import ParquetFiles
from synml_dagster.learners import TrainSpec, learner_of, refitted
from synml_dagster.tables import publish_table


@pytest.fixture(scope="module")
def made(classic_spark, tmp_path_factory):
    rng = np.random.default_rng(3)
    x, z = rng.normal(size=(2, 1200)).round(3)
    y = np.where(x * z + rng.normal(0, 0.5, 1200) > 0, "yes", "no")
    raw = classic_spark.createDataFrame(pa.table({"x": x, "z": z, "y": y}))
    plan = fit_plan(raw, name="t", label="y")
    place = str(tmp_path_factory.mktemp("refit") / "features")
    table = publish_table(assemble(raw, plan), place, partition_by=[SPLIT])
    return plan, *(table.files(**{SPLIT: s}) for s in ("train", "validation"))


def trained(spark, made, learner, **keys):
    plan, rows, validation = made
    family, spec = learner_of(learner), TrainSpec(learner=learner, refit=True, **keys)
    first = family.fit(spark, plan, spec, {}, rows, validation)
    return first, refitted(first, family, spark, plan, spec, {}, rows, validation)


@pytest.mark.parametrize("learner", ["lightgbm", "xgboost"])
def test_boosted_trees_are_trained_for_more_rounds_on_more_rows(classic_spark, made, learner):
    plan, rows, validation = made
    first, again = trained(classic_spark, made, learner, rounds=200, early_stopping=10)
    few, more = rows.count(), validation.count()
    wanted = round(first.best_iteration * (few + more) / few)
    assert again.iterations == wanted > first.iterations
    both = ParquetFiles((*rows.paths, *validation.paths))
    spec = TrainSpec(learner=learner, rounds=wanted, early_stopping=0)
    same = learner_of(learner).fit(classic_spark, plan, spec, {}, both, validation)
    assert again.text == same.text
    # What is told of validation rows is of the model that has not seen them.
    assert again.validation_score() == first.validation_score()
    assert same.validation_score()[1] < first.validation_score()[1]
    assert again.facts["refit"] == {
        "rows": few + more,
        "rounds": wanted,
        "best round before": first.best_iteration,
    }
    assert f"for {wanted} rounds, the best {first.best_iteration} of before" in again.facts["notes"][-1]


def test_what_has_no_rounds_sees_the_rows_and_what_they_steer_does_not(classic_spark, made):
    first, again = trained(classic_spark, made, "linear")
    assert again.text != first.text
    assert again.facts["rows"] == made[1].count() + made[2].count()
    first, again = trained(classic_spark, made, "mlp", rounds=3)
    assert again is first
    assert "is not trained again" in again.facts["notes"][-1]


def test_a_threshold_is_not_chosen_by_rows_that_were_trained_on():
    about = {"name": "p", "source": "t.csv", "label": "y", "train": {"refit": True}}
    MLPipeline.model_validate(about)
    with pytest.raises(ValueError, match=r"evaluate\.costs does not go with train\.refit"):
        MLPipeline.model_validate(
            {**about, "evaluate": {"costs": {"false_positive": 1, "false_negative": 5}}}
        )
