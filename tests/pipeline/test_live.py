"""`live` in a description: labels that come after the rows were scored, and what they say of the champion."""

from __future__ import annotations

import dagster as dg
import pytest

from synml_dagster import MLPipeline
from tests.pipeline.shop import ROWS, customers, described


@pytest.fixture
def measured(trained):
    """Score `rows`, then measure with `labels`; both are tables of `customers`, and the scores go to `into`."""

    def run(rows, labels, into=None, **live):
        rows.to_csv(trained / "waiting.csv", index=False)
        labels.to_csv(trained / "labels.csv", index=False)
        description = described(trained, source=str(trained / "waiting.csv"), **into or {}) | {
            "live": {"key": ["id"], "labels": str(trained / "labels.csv"), "minimum_rows": 50} | live
        }
        defs = MLPipeline.model_validate(description).definitions()
        with dg.DagsterInstance.ephemeral() as instance:
            scored = defs.resolve_job_def("shop_score").execute_in_process(instance=instance)
            assert scored.success
            done = defs.resolve_job_def("shop_measure").execute_in_process(
                instance=instance, raise_on_error=False
            )
            checks = {c.check_name: c for c in done.get_asset_check_evaluations()}
            made = [
                m.step_materialization_data.materialization.metadata
                for m in done.get_asset_materialization_events()
            ]
            failures = [e.step_failure_data.error.message for e in done.all_events if e.is_step_failure]
        return checks, made, failures

    return run


def flipped(table):
    return table.assign(leaves=table["leaves"].map({"yes": "no", "no": "yes"}))


def test_labels_that_agree_leave_the_metric_and_labels_that_do_not_decay_it(measured):
    rows = customers()
    labels = rows[["id", "leaves"]]
    checks, (told,), _ = measured(rows.drop(columns="leaves"), labels)
    assert checks["decay"].passed
    assert told["rows labelled since"].value == ROWS
    assert told["live/auc"].value > 0.9
    assert "source_version" in " ".join(told)
    checks, (told,), _ = measured(rows.drop(columns="leaves"), flipped(labels))
    assert not checks["decay"].passed
    assert checks["decay"].severity == dg.AssetCheckSeverity.WARN
    assert "worse by" in checks["decay"].description
    assert checks["decay"].metadata["loss"].value > 0.5
    assert told["live/auc"].value < 0.1


def test_rows_whose_answer_was_known_when_they_were_scored_are_not_measured(measured, classic_spark):
    """Nor where the scores are in a catalog table."""
    classic_spark.sql("CREATE DATABASE IF NOT EXISTS shop")
    rows = customers()
    late = rows.copy()
    late.loc[late.index % 2 == 0, "leaves"] = None
    checks, (told,), _ = measured(late, rows[["id", "leaves"]], {"table": "shop.awaited"}, labelled=0.9)
    assert told["rows labelled since"].value == ROWS / 2
    assert told["rows scored without a label"].value == ROWS / 2
    assert checks["label_arrival"].passed


def test_labels_that_have_not_come_are_no_decay_and_late_arrival_says_how_many(measured):
    rows = customers()
    nobody = rows[["id", "leaves"]].assign(leaves=None)
    checks, made, _ = measured(rows.drop(columns="leaves"), nobody, labelled=0.5, severity="error")
    assert not made
    assert checks["decay"].passed
    assert f"none of {ROWS} rows" in checks["decay"].description
    assert not checks["label_arrival"].passed
    assert checks["label_arrival"].severity == dg.AssetCheckSeverity.ERROR
    few = rows[["id", "leaves"]][:20]
    checks, _, _ = measured(rows.drop(columns="leaves"), few)
    assert checks["decay"].passed
    assert "20 labelled rows are too few" in checks["decay"].description


def test_a_key_that_does_not_tell_rows_apart_ends_the_run_with_the_values(measured):
    rows, labels = customers(), customers()[["id", "leaves"]]
    labels.loc[3, "id"] = 2
    _, made, (failure,) = measured(rows.drop(columns="leaves"), labels)
    assert not made
    assert "does not tell the rows of live.labels apart: 2 (2 rows)" in failure
    _, _, (failure,) = measured(rows.drop(columns="leaves"), labels.rename(columns={"id": "idd"}))
    assert "live.labels have no column 'id'" in failure


def test_rows_to_score_and_labels_may_be_other_assets(trained):
    rows = customers()
    rows.drop(columns="leaves").to_parquet(trained / "waiting.parquet")
    rows[["id", "leaves"]].to_parquet(trained / "came.parquet")
    description = described(trained, source={"asset": "shop_floor/waiting"}) | {
        "live": {"key": ["id"], "labels": {"asset": "shop_floor/labels"}, "minimum_rows": 50},
        "automation": {"on_new_data": "score", "on_new_labels": True},
    }
    defs = MLPipeline.model_validate(description).definitions()
    graph = defs.resolve_asset_graph()
    scored, live = (graph.get(dg.AssetKey(["shop", s])) for s in ("predictions", "live_evaluation"))
    assert dg.AssetKey(["shop_floor", "waiting"]) in scored.parent_keys
    assert dg.AssetKey(["shop_floor", "labels"]) in live.parent_keys
    with dg.DagsterInstance.ephemeral() as instance:
        for name, file in (("waiting", "waiting.parquet"), ("labels", "came.parquet")):
            told = {"dagster/uri": str(trained / file)}
            instance.report_runless_asset_event(dg.AssetMaterialization(["shop_floor", name], metadata=told))
        assert defs.resolve_job_def("shop_score").execute_in_process(instance=instance).success
        done = defs.resolve_job_def("shop_measure").execute_in_process(instance=instance)
        (measured,) = (
            m.step_materialization_data.materialization for m in done.get_asset_materialization_events()
        )
        assert measured.metadata["rows labelled since"].value == ROWS
        for word in ("new_data", "new_labels"):
            with dg.build_sensor_context(
                instance=instance, definitions=defs, resources={"spark": defs.resources["spark"]}
            ) as context:
                tick = defs.resolve_sensor_def(f"shop_{word}").evaluate_tick(context)
            assert "is unchanged" in tick.skip_message
