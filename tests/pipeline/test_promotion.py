"""A challenger beside the champion on the same rows, as the stage `champion` compares them."""

from __future__ import annotations

import dagster as dg
import pandas as pd
import pytest

from synml_dagster import MLPipeline
from synml_dagster.assets.gates import Challenger
from synml_dagster.resources import MLflowResource
from tests.pipeline.tables import breast_cancer

STAGES = ("raw", "feature_plan", "features", "sweep", "model", "evaluation", "onnx_model", "champion")


@pytest.fixture(scope="module")
def materialize(tmp_path_factory, classic_spark):
    """Materializes stages of a pipeline that has a champion of one small tree; returns the metadata of the last."""
    folder = tmp_path_factory.mktemp("promotion")
    source = str(breast_cancer(folder))
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        patch.setenv("SYNML_DATA_DIR", str(folder / "data"))
        patch.setenv("SPARK_MASTER", "local[2]")
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)

        def materialize(*stages, rounds=1, **promote):
            spec = {"name": "p", "source": source, "label": "diagnosis", "sweep": {"trials": 0}}
            spec |= {"train": {"rounds": rounds, "params": {"num_leaves": 4}}, "promote": promote}
            job = MLPipeline.model_validate(spec).definitions().resolve_job_def("p_train")
            keys = [dg.AssetKey(["p", stage]) for stage in stages]
            made = job.execute_in_process(instance=instance, asset_selection=keys)
            told = made.get_asset_materialization_events()[-1].step_materialization_data.materialization
            return {name: value.value for name, value in told.metadata.items()}

        materialize.source = source
        assert materialize(*STAGES)["champion version"] == "1"
        yield materialize


@pytest.mark.slow
def test_how_sure_a_gain_is_decides_where_one_asks_and_so_do_size_speed_and_what_was_taken_back(materialize):
    told = materialize(*STAGES[-4:], rounds=40, confidence=0.9, most_kilobytes=1)
    assert told["decision"].endswith("kB, and promote.most_kilobytes is 1")
    assert 0.9 < told["sure of the gain"] <= 1
    assert told["gain"] == pytest.approx(told["challenger/auc"] - told["champion/auc"], abs=1e-6)
    assert told["gain_low"] < told["gain"] < told["gain_high"]
    assert told["promoted"] is False

    told = materialize("champion", rounds=40, confidence=0.9, most_milliseconds=1e-6)
    assert "ms for 1,000 rows, and promote.most_milliseconds is 1e-06" in told["decision"]

    told = materialize("champion", rounds=40, confidence=0.9, most_milliseconds=60_000)
    assert "of 1,000 draws of them" in told["decision"]
    assert told["promoted"] is True

    told = materialize("champion", rounds=40, confidence=0.9)
    assert "no better than the champion's" in told["decision"]
    assert "gain" not in told

    # Of two that a person has taken back the challenger beats the last, as small as the first of all, and not the one before.
    registry = MLflowResource()
    good, small = registry.champion("p"), registry.version("p", "1")
    again = registry.client.create_model_version("p", source=small.source, run_id=small.run_id)
    registry.promote("p", registry.version("p", again.version))
    registry.put_back("p", small)
    told = materialize("champion", rounds=40)
    assert (
        f"version {good.version} was taken back by hand, and this one is not surely better"
        in told["decision"]
    )
    registry.promote("p", good)


def test_a_champion_that_came_meanwhile_is_not_replaced_unseen(materialize, monkeypatch):
    asked, real = [], Challenger._measured

    def measured(*arguments):
        """Another run promotes a version of its own while this one is measured against the champion of before."""
        found, reason = real(*arguments)
        asked.append(reason)
        client, first = MLflowResource().client, MLflowResource().champion("p")
        other = client.create_model_version("p", source=first.source, run_id=first.run_id)
        client.set_registered_model_alias("p", "champion", other.version)
        return found.model_copy(update={"metrics": dict.fromkeys(found.metrics, 0.6)}), reason

    before = MLflowResource().champion("p").version
    monkeypatch.setattr(Challenger, "_measured", measured)
    told = materialize("champion")
    assert asked == [None]
    assert (
        f"version {told['champion version']} became champion while this one was compared with version {before}"
        in told["decision"]
    )
    assert MLflowResource().champion("p").version == told["champion version"] != before


def test_a_champion_whose_answers_have_come_to_mean_the_contrary_is_said(materialize):
    table = pd.read_csv(materialize.source)
    words = sorted(table["diagnosis"].unique())
    table["diagnosis"] = table["diagnosis"].map(dict(zip(words, reversed(words), strict=True)))
    table.to_csv(materialize.source, index=False)
    told = materialize(*STAGES)
    assert told["promoted"] is True
    assert told["champion/auc"] < 0.1
    assert (
        "The champion is no better on these rows than the best answer that looks at no column: auc is 0.0"
        in told["decision"]
    )
