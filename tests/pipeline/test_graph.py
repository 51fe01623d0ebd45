"""The asset graph can be read: few edges, and what an asset is made of carries its own plan and versions."""

from __future__ import annotations

import dagster as dg
import pytest

from synml_dagster import MLPipeline
from synml_dagster.assets.artifacts import FittedPipeline, plan_of
from synml_dagster.errors import ModelError, SourceError
from synml_dagster.features import SPLIT, assemble, fit_plan
from synml_dagster.learners import TrainSpec, learner_of
from synml_dagster.tables import publish_table
from synml_dagster.testing.tables import awkward_table
from synml_dagster.tuning import SweepResult
from tests.pipeline.tables import breast_cancer
from tests.pipeline.whole import QUICK


def test_the_graph_can_be_read(tmp_path):
    assets = MLPipeline(name="p", source="a.csv", label="y").assets()
    edges = {
        (up.path[-1], key.path[-1]) for asset in assets for key, ups in asset.asset_deps.items() for up in ups
    }
    assert len(edges) == 17  # one of them from the source, which no run makes
    assert {up for up, down in edges if down == "report"} == {"evaluation", "explanations", "champion"}
    assert {up for up, down in edges if down == "model"} == {"features", "sweep"}


@pytest.fixture
def fitted(classic_spark, tmp_path):
    raw = publish_table(classic_spark.createDataFrame(awkward_table("binary")), str(tmp_path / "raw"))
    plan = fit_plan(raw.dataframe(classic_spark), name="p", label="label")
    import json

    features = publish_table(
        assemble(raw.dataframe(classic_spark), plan),
        str(tmp_path / "features"),
        partition_by=[SPLIT],
        texts={"_plan.json": plan.to_json(), "_raw.json": json.dumps([(raw.root, raw.version)])},
    )
    learner, sides = learner_of("linear"), [features.files(**{SPLIT: s}) for s in ("train", "validation")]
    model = learner.fit(classic_spark, plan, TrainSpec(learner="linear"), {}, *sides)
    return FittedPipeline.of(
        model, plan_of(features), SweepResult(metric="binary_logloss", direction="minimize"), features
    )


def test_a_fitted_pipeline_carries_what_it_was_made_of(classic_spark, fitted, tmp_path):
    (tmp_path / "model").mkdir()
    fitted.save(tmp_path / "model")
    again = FittedPipeline.load(tmp_path / "model")
    assert again.plan == fitted.plan
    assert again.model.text == fitted.model.text
    assert again.raw.rows == 600
    assert sum(again.rows.values()) == 600
    # A newer table does not get between the model and the rows that it was held out on.
    newer = publish_table(
        again.features.dataframe(classic_spark).limit(5), again.features.root, partition_by=[SPLIT]
    )
    assert newer.rows == 5
    assert again.features.rows == 600


def test_tables_that_are_gone_are_said_with_what_to_do(classic_spark, fitted):
    for _ in range(2):
        publish_table(classic_spark.range(3), fitted.raw_at[0][0], keep=1)
    with pytest.raises(
        SourceError, match=r"raw rows that this model was trained on are gone.*Materialize the model again"
    ):
        _ = fitted.raw


def test_a_model_of_an_earlier_version_says_so(fitted, tmp_path):
    (tmp_path / "old").mkdir()
    fitted.save(tmp_path / "old")
    (tmp_path / "old" / "made_of.json").unlink()
    with pytest.raises(ModelError, match="earlier version of synml_dagster wrote it"):
        FittedPipeline.load(tmp_path / "old")


def test_a_table_without_its_plan_says_so(classic_spark, tmp_path):
    table = publish_table(classic_spark.range(3), str(tmp_path / "t"))
    with pytest.raises(SourceError, match=r"has no '_plan.json'.*Materialize it again"):
        plan_of(table)


@pytest.mark.slow
def test_one_asset_is_made_again_from_what_it_carries(classic_spark, tmp_path, monkeypatch):
    """`evaluation` alone, in a run of its own, measures the model on its own held-out rows."""
    monkeypatch.setenv("SYNML_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SPARK_MASTER", "local[2]")
    about = {"name": "p", "source": str(breast_cancer(tmp_path)), "label": "diagnosis", **QUICK}
    defs = MLPipeline.model_validate(about | {"sweep": {"trials": 0}}).definitions()
    job = defs.resolve_job_def("p_train")

    def materialize(*stages):
        keys = [dg.AssetKey(["p", stage]) for stage in stages]
        result = job.execute_in_process(instance=instance, asset_selection=keys)
        return {
            event.asset_key.path[-1]: event.step_materialization_data.materialization.metadata
            for event in result.get_asset_materialization_events()
        }

    with dg.DagsterInstance.ephemeral() as instance:
        materialize("raw", "feature_plan", "features", "sweep", "model")
        first = materialize("evaluation")["evaluation"]
        materialize("raw", "feature_plan", "features")
        again = materialize("evaluation")["evaluation"]
    assert first["test rows"] == again["test rows"]
    assert first["test/auc"].value == again["test/auc"].value
