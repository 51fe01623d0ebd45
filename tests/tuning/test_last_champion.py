"""What the champion's sweep had chosen is tried again on new rows."""

from __future__ import annotations

import dagster as dg
import pytest

from synml_dagster.assets.sweep import last_champion
from synml_dagster.learners import TrainSpec
from synml_dagster.resources import MLflowResource
from synml_dagster.tuning import SweepResult, SweepSpec
from synml_dagster.tuning.choice import families_of
from synml_dagster.tuning.result import EnsembleMember


@pytest.fixture
def registry(monkeypatch, tmp_path):
    monkeypatch.setenv("SYNML_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    mlflow = MLflowResource()

    def champion(result):
        folder = tmp_path / f"bundle-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        (folder / "model.onnx").write_text("graph")
        if result is not None:
            result.save(folder)

        @dg.asset
        def made(context, mlflow: MLflowResource) -> None:
            with mlflow.run(context) as run:
                mlflow.promote("adult", run.register("adult", folder))

        with dg.DagsterInstance.ephemeral() as instance:
            assert dg.materialize([made], resources={"mlflow": mlflow}, instance=instance).success

    return mlflow, champion


def result(**more):
    return SweepResult(metric="logloss", direction="minimize", **more)


def test_it_is_the_second_candidate_of_its_family(registry):
    mlflow, champion = registry
    assert last_champion(mlflow, "adult") == (None, "")
    champion(result(learner="lightgbm", best_params={"num_leaves": 9, "learning_rate": 0.05}))
    known, why = last_champion(mlflow, "adult")
    train = TrainSpec(params={"learning_rate": 0.2})
    names = ["linear", "lightgbm"]
    families = {f.name: f for f in families_of(names, SweepSpec(learners=names), train, "binary", known)}
    second = families["lightgbm"].portfolio[1]
    assert (second.name, second.params["num_leaves"]) == ("champion 1", 9)
    assert "learning_rate" not in second.params
    assert all("champion" not in c.name for c in families["linear"].portfolio)
    assert not why


def test_of_an_ensemble_it_is_the_heaviest_member_and_without_a_sweep_there_is_none(registry):
    mlflow, champion = registry
    members = [
        EnsembleMember(trial=3, learner="linear", params={"alpha": 0.5}, weight=0.8),
        EnsembleMember(trial=1, learner="lightgbm", params={"num_leaves": 3}, weight=0.2),
    ]
    champion(result(learner="lightgbm", best_params={"num_leaves": 3}, ensemble=members))
    (family, candidate), _ = last_champion(mlflow, "adult")
    assert (family, candidate.params) == ("linear", {"alpha": 0.5})
    champion(result())
    assert last_champion(mlflow, "adult") == (None, "")
    champion(None)
    known, why = last_champion(mlflow, "adult")
    assert known is None
    assert "champion 3 are not tried" in why
